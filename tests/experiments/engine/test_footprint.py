"""What a run leaves behind lies in its workdir, and nothing that it reads can run code."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Prints what Python opens for writing, makes, moves or removes, as a JSON list on the last line of stdout.
WATCHED = """
import json, os, sys

touched = set()
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod"}


def watch(event, args):
    if event == "open" and isinstance(args[0], str | bytes) and args[2] & WRITING:
        touched.add(os.path.abspath(os.fsdecode(args[0])))
    elif event in ("shutil.rmtree", "os.truncate") or (event in CHANGES and args[-1] == -1):
        # Else it is relative to a folder that is open: a step of shutil.rmtree.
        touched.update(os.path.abspath(os.fsdecode(arg)) for arg in args[:2] if isinstance(arg, str | bytes))


sys.addaudithook(watch)
from tests.experiments.engine import toy

status = toy.main(sys.argv[1:])
print(json.dumps(sorted(touched)))
sys.exit(status)
"""


def test_a_run_writes_into_its_workdir_only(tmp_path):
    """Libraries written in C++ are not watched: for them stand the folders where they might write."""
    workdir, folders = tmp_path / "workdir", {name: tmp_path / name for name in ("HOME", "TMPDIR", "here")}
    for folder in folders.values():
        folder.mkdir()
    (tmp_path / "fonts").mkdir()  # matplotlib's list of the machine's fonts is its own affair
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "JAX_COMP"))}
    environment |= {"HOME": str(folders["HOME"]), "TMPDIR": str(folders["TMPDIR"]), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"MPLCONFIGDIR": str(tmp_path / "fonts"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WATCHED, f"--config={ROOT}/tests/experiments/engine/toy_config.py:tiny"]
    command += [f"--workdir={workdir}", "--models=plain", "--config.cpu_devices=1", "--profile"]
    done = subprocess.run(command, cwd=folders["here"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    touched = [Path(path) for path in json.loads(done.stdout.splitlines()[-1])]
    assert workdir / "metrics.jsonl" in touched and workdir / "summary.json.tmp" in touched
    allowed = (workdir, tmp_path / "fonts", Path("/dev"), Path("/proc"))
    assert [path for path in touched if not any(path.is_relative_to(place) for place in allowed)] == []
    assert [path for folder in folders.values() for path in folder.rglob("*")] == []
    assert "profile: " in done.stderr and list(workdir.rglob("profile/**/*.xplane.pb"))


def unsafe(source):
    """Lines of a source text that could load pickled objects."""
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & {name.split(".")[0] for name in names}:
            yield node.lineno
        if isinstance(node, ast.Call):
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            called = ast.unparse(node.func)
            wrong = called == "torch.load" and given.get("weights_only") != "True"
            if wrong or given.get("allow_pickle", "False") != "False":
                yield node.lineno


def test_nothing_is_unpickled():
    sources = [path for folder in ("oscnets", "experiments", "data_gen") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 50
    assert [f"{path}:{line}" for path in sources for line in unsafe(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "np.load(f, **{}, allow_pickle=x)",
    ],
)
def test_what_unpickles_is_found(source):
    assert list(unsafe(source)) == [1]
