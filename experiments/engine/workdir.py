"""The folder of a run: one config, one process at a time."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments.engine import config as config_lib
from experiments.engine.errors import RunError, UsageError

_PACKAGES = ("oscnets", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_ABSENT = "(absent)"


def environment() -> dict[str, Any]:
    """Versions of Python and of the packages that matter, the devices, and the commit where this is a checkout."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    devices = jax.local_devices()
    device = {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}
    return {"versions": versions, "device": device, "commit": _commit()}


@contextlib.contextmanager
def claim(workdir: Path, config: ConfigDict, experiment: str, **facts: Any) -> Iterator[None]:
    """Make a workdir this run's own: create it, lock it, and write or compare its config.json.

    Args:
        workdir: the folder.
        config: must equal the one the workdir was started with.
        experiment: likewise.
        facts: what else config.json should tell of the run's start; not compared.

    Raises:
        UsageError: it cannot be written, another run holds it, or it belongs to another config or experiment.
    """
    workdir = Path(workdir)
    with _usable(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "a")  # noqa: SIM115 - closed below, and by the system should we be killed
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"workdir {workdir}: another run is using it") from error
        present = {"experiment": experiment, **facts, "config": config_lib.to_json(config), **environment()}
        if (workdir / "config.json").exists():
            compare(workdir, config, experiment)
            _warn_of_changes(load(workdir), present, workdir)
        else:
            _start(workdir, present)
        yield


def load(workdir: Path) -> dict[str, Any]:
    """What a workdir's config.json holds.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    path = Path(workdir) / "config.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"workdir {workdir}: cannot read config.json: {error}") from error


def _start(workdir, present):
    left = [name for name in ("metrics.jsonl", "checkpoints") if (workdir / name).exists()]
    if left:
        raise UsageError(f"workdir {workdir} holds {' and '.join(left)} of a run, but no config.json to compare with")
    write_atomically(workdir / "config.json", _encode(present))


def note(workdir: Path, **facts: Any) -> None:
    """Add to config.json what is known only later; it is not compared."""
    write_atomically(Path(workdir) / "config.json", _encode({**load(workdir), **facts}))


def compare(workdir: Path, config: ConfigDict, experiment: str) -> None:
    """Refuse a workdir of another experiment or config, with the differences.

    Raises:
        UsageError: it belongs to another one, or its config.json cannot be read.
    """
    stored, present = load(workdir), {"experiment": experiment, "config": config_lib.to_json(config)}
    for part in present:
        different = differences(stored.get(part), present[part])
        if different:
            raise UsageError(
                f"workdir {workdir} belongs to another {part}:\n"
                + "\n".join(f"  {part}{key}: {old} there, {new} here" for key, old, new in different)
                + "\nchoose another --workdir, or the flags it was started with"
            )


def _warn_of_changes(stored, present, workdir):
    for part in ("versions", "device", "commit"):
        for key, old, new in differences(stored.get(part), present[part]):
            print(f"WARNING: workdir {workdir} was started with {part}{key} {old}, now {new}", file=sys.stderr)


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Leaves of two JSON values that differ: (dotted path with a leading dot, old value, new value)."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        pairs = [(f"{path}.{key}", old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys]
        return [found for where, a, b in pairs for found in differences(a, b, where)]
    return [] if old == new else [(path, old, new)]


def _encode(facts):
    return (json.dumps(facts, indent=2) + "\n").encode()


@contextlib.contextmanager
def _usable(workdir):
    try:
        yield
    except OSError as error:
        raise UsageError(f"workdir {workdir} cannot be written: {error.strerror or error}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either as before or complete.

    Raises:
        RunError: it could not be written (a full disk, say); it is as before.
    """
    fresh = path.with_name(path.name + ".tmp")
    try:
        fresh.write_bytes(data)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _commit() -> str | None:
    here = Path(__file__).resolve()

    def git(*args):
        return subprocess.run(["git", "-C", here.parent, *args], capture_output=True, text=True, check=False)

    try:
        # A checkout that only contains the installation (a virtual environment inside some repository) does not count.
        if git("ls-files", "--error-unmatch", here.name).returncode:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
        return git("rev-parse", "HEAD").stdout.strip() + ("+changes" if changed else "")
    except OSError:
        return None
