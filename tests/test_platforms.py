"""Systems that lack what the one at hand has: modules and calls of Unix, a home, a place for caches."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import engine, report
from experiments.sweep import sweep
from tests.experiments.engine import toy
from tests.test_house_rules import modules

ROOT = Path(__file__).parents[1]

# As on Windows: third-party packages find no modules of Unix, ours no calls and signals either. Text files whose
# encoding is left to the system are errors of ours.
WITHOUT_UNIX = """
import importlib.abc, os, signal, sys, warnings
ABSENT = {"fcntl", "resource", "pwd", "grp", "termios"}
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
for name in ABSENT:
    sys.modules.pop(name, None)
import jax, matplotlib.figure, optuna, orbax.checkpoint, platformdirs, tensorflow_datasets
for name in ("fork", "uname", "killpg", "setsid", "getuid", "geteuid", "getgid", "getpgid"):
    delattr(os, name)
for name in ("SIGKILL", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGALRM", "SIGQUIT"):
    delattr(signal, name)
warnings.filterwarnings("error", category=EncodingWarning, module="(oscnets|experiments|data_gen)[.]")
"""

# A user whom the system does not know, as in a container that is started with any number.
WITHOUT_HOME = """
import os, pwd, sys
def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = unknown
for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
    os.environ.pop(name, None)
"""

# Homes and folders for caches that cannot be made, also by an administrator.
WITHOUT_CACHES = """
import os
for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TMPDIR"):
    os.environ[name] = "/dev/null/nowhere"
"""

IMPORT_ALL = "import importlib\nfor name in sys.argv[2:]: importlib.import_module(name)\n"

RUN = """
import sys
from pathlib import Path
from experiments import drum, report, sweep
from experiments.report.__main__ import main as page
from tests.experiments.engine import toy
config, folder = sys.argv[1], Path.cwd()
flags = [f"--config={config}:tiny", "--models=plain", "--tests=test", "--config.train.epochs=1", "--config.seeds=1"]
for _ in range(2):
    assert toy.main([*flags, "--workdir=run"]) == 0
assert toy.main(flags) == 0
assert page(["run"]) == 0
assert drum.main(["--steps=4000", "--sizes", "13", "--workdir=drum"]) == 0
for path in ("run/summary.md", "run/figures/learning_curves.png", "run/report.html", "drum/drum.png"):
    assert (folder / path).stat().st_size > 100, path
"""


def run(code, folder, *arguments):
    command = [sys.executable, "-X", "warn_default_encoding", "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("system", [WITHOUT_UNIX, WITHOUT_HOME, WITHOUT_CACHES], ids=["unix", "home", "caches"])
def test_an_experiment_runs_without(system, tmp_path):
    done = run(system + RUN, tmp_path, f"{ROOT}/tests/experiments/engine/toy_config.py")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drum", "run", "runs"]


def test_every_module_can_be_imported_without_unix(tmp_path):
    done = run(WITHOUT_UNIX + IMPORT_ALL, tmp_path, "", *modules("oscnets", "experiments", "data_gen"))
    assert done.returncode == 0, done.stderr


def sources():
    return {path: path.read_text() for name in ("experiments", "data_gen") for path in (ROOT / name).rglob("*.py")}


def test_every_flag_that_is_a_path_expands_a_tilde():
    """Flags named so, and those of type Path; programs on absl parse their flags in one place of the engine."""
    found = {}
    for path, text in sources().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and re.search(r"add(_argument)?$", ast.unparse(node.func)) and node.args:
                flag = ast.unparse(node)
                if re.search(r"['\"]--(work_?dir|data_dir|out|json)['\"]|type=Path", flag):
                    found[f"{path.name}: {flag}"] = "user_path" in flag or "**path" in flag or "data_dir" in flag
    assert len(found) > 8
    assert [flag for flag, expands in found.items() if not expands] == []


def test_functions_that_take_a_path_expand_a_tilde(tmp_path, monkeypatch):
    config = f"{ROOT}/tests/experiments/engine/toy_config.py:tiny"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert toy.main([f"--config={config}", "--workdir=~/run", "--models=plain", "--config.train.epochs=1"]) == 0
    assert "plain" in engine.load_metrics("~/run")
    assert engine.load_config("~/run")["experiment"] == "toy"
    experiment = engine.experiment_of(toy.FAMILY, "~/run")
    assert engine.load_trained(experiment, "~/run", "plain").seeds.tolist() == [0, 1]
    engine.run(experiment, "~/run")
    engine.report(experiment, "~/run")
    report.write(["~/run"], "~/page.html")
    program = sweep.Program("tests.experiments.engine.toy", toy.FAMILY)
    sweep.claim(tmp_path, program.module, points := sweep.points([config], {}), [])
    assert sweep.run(program, points, "~", report_only=True) == []
    assert not list((tmp_path / "here").iterdir())
    assert {"page.html", "run", "sweep.md"} <= {path.name for path in tmp_path.iterdir()}
