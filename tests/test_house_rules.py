"""What the sources keep to: short files, and modules that do nothing when they are imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("oscnets", "experiments", "data_gen", "tests")
MAX_LINES = 400

# Importing must start no JAX backend (the number of virtual devices could not be set any more), warn of nothing,
# print nothing, read no command line and leave nothing behind in the folder it runs in.
IMPORT_ALL = """
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import jax
jax.config.update("jax_num_cpu_devices", 3)
print(jax.local_device_count("cpu"), os.listdir("."))
"""


def too_long(root: Path) -> list[str]:
    paths = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    return [str(path.relative_to(root)) for path in paths if len(path.read_text().splitlines()) > MAX_LINES]


def modules(*packages: str) -> list[str]:
    """Every module of the packages, but programs and those named torch_*, which need the extra `bench`."""
    paths = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    paths = [path for path in paths if not path.name.startswith("torch_")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def import_all(names: list[str], folder: Path, path: Path = ROOT) -> str:
    """What a fresh interpreter prints while it imports the modules and then counts three devices and the files."""
    setup = f"import sys; sys.path.insert(0, {str(path)!r})"
    command = [sys.executable, "-W", "error", "-c", setup + IMPORT_ALL, *names]
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


def test_files_are_short():
    assert too_long(ROOT) == []


def test_a_long_file_is_found(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "short.py").write_text("\n" * MAX_LINES)
    (tmp_path / "tests" / "long.py").write_text("\n" * (MAX_LINES + 1))
    assert too_long(tmp_path) == ["tests/long.py"]


def test_nothing_happens_at_import(tmp_path):
    told = import_all(modules("oscnets", "experiments", "data_gen"), tmp_path)
    assert told == "3 []\n", told


@pytest.mark.parametrize(
    ("source", "trace"),
    [
        ("import jax.numpy as jnp; ZERO = jnp.zeros(())", "before backends are initialized"),
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
        ("print('hello'); open('log', 'w').close()", "hello\n3 ['log']"),
    ],
)
def test_a_busy_module_is_noticed(source, trace, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (tmp_path / "busy.py").write_text(source)
    assert trace in import_all(["busy"], folder, tmp_path)
