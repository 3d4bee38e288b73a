"""Packages and data for a machine without a network: collected into a folder, and used there where they are missing.

What is packed are the files of packages without compiled parts as they are installed here. Imports nothing but the
standard library until something is collected.
"""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

LIMIT = 60 * 2**20  # bytes of the folder
FLAG = "--from"
_INDEX = "packages.json"  # name -> top-level modules
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_WITHOUT_EXTENSION = ("pyyaml",)  # whose compiled part is not needed
_LEFT_OUT = ("jax", "tensorflow-datasets", "tensorflow-metadata")  # jax belongs to its plugin; TFDS to files not packed
_FAMILIES = ("komplexnet", "gaspnet", "waves")


def use_of(argv: Sequence[str]) -> None:
    """`use` of the folder that a command line names with --from, if it names one."""
    for i, word in enumerate(argv):
        if word.startswith(f"{FLAG}="):
            use(Path(word.partition("=")[2]))
        elif word == FLAG and i + 1 < len(argv):
            use(Path(argv[i + 1]))


def use(folder: Path) -> list[str]:
    """Let this process, and those that it starts, import the packages of a folder that are not installed; their names.

    The others are left alone, so that a machine keeps the versions that it has.
    """
    index = folder / _INDEX
    if not index.is_file():
        return []  # the command line reports it
    missing = [name for name, tops in json.loads(index.read_text(encoding="utf-8")).items() if _is_missing(tops)]
    places = [str((folder / "packages" / name).absolute()) for name in missing]
    sys.path.extend(places)
    present = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    os.environ["PYTHONPATH"] = os.pathsep.join([*present, *(place for place in places if place not in present)])
    return missing


def _is_missing(tops: Iterable[str]) -> bool:
    return all(importlib.util.find_spec(top) is None for top in tops)


def collect(folder: Path) -> list[str]:
    """Copy the packages that the experiments import, and those that they declare, into a folder; their names.

    Left out are those with compiled parts and jax, which must suit the machine.
    """
    shutil.rmtree(folder / "packages", ignore_errors=True)
    index = {}
    for name in sorted(_needed()):
        found = importlib.metadata.distribution(name)
        files = [file for file in found.files or () if ".." not in file.parts]
        if any(file.suffix in _COMPILED for file in files) and name not in _WITHOUT_EXTENSION:
            continue
        kept = [file for file in files if _is_kept(file)]
        for file in kept:
            to = folder / "packages" / name / file
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(found.locate_file(file)), to)
        tops = sorted({file.parts[0].removesuffix(".py") for file in kept if file.suffix == ".py"})
        if tops := [top for top in tops if top.isidentifier()]:
            index[name] = tops
    (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return list(index)


def _is_kept(file: importlib.metadata.PackagePath) -> bool:
    inside = any(part in ("tests", "testing", "__pycache__") for part in file.parts[:-1])
    return not inside and file.suffix not in (*_COMPILED, ".pyc", ".pyi")


def _needed() -> set[str]:
    """Names of the distributions behind every module that the families import, and of those that are declared."""
    for family in _FAMILIES:
        importlib.import_module(f"experiments.{family}.specs")
    owners = importlib.metadata.packages_distributions()
    tops = {name.partition(".")[0] for name in sys.modules}
    names = {_normal(owner) for top in tops for owner in owners.get(top, ())} | set(_declared())
    names -= {"oscnets", *_LEFT_OUT}
    return {name for name in names if _is_installed(name)}


def _declared() -> Iterator[str]:
    if _is_installed("oscnets"):
        for line in importlib.metadata.requires("oscnets") or ():
            if "extra ==" not in line:
                yield _normal(re.split(r"[^\w.-]", line)[0])


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
