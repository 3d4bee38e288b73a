"""The folder of a run: one config, one process at a time."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments.engine.process import hosts
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.run import config as config_lib

_PACKAGES = ("oscnets", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_ABSENT = "(absent)"


def environment() -> dict[str, Any]:
    """Versions of Python and of the packages that matter, the devices, and the commit where this is a checkout."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    devices = jax.devices()
    device = {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}
    return {"versions": versions, "device": device, "commit": _commit()}


@contextlib.contextmanager
def claim(
    workdir: Path, config: ConfigDict, experiment: str, *, may_change: Sequence[str] = (), **facts: Any
) -> Iterator[None]:
    """Make a workdir this run's own: create it, lock it, and write or compare its config.json.

    Of several processes the first does so, for all of them.

    Args:
        workdir: the folder.
        config: must equal the one the workdir was started with.
        experiment: likewise.
        may_change: entries of the config that may differ; config.json then tells the new ones.
        facts: what else config.json should tell of the run's start; not compared.

    Raises:
        UsageError: it cannot be written, another run holds it, or it belongs to another config or experiment.
    """
    with contextlib.ExitStack() as held:
        hosts.on_first(lambda: _claim(held, Path(workdir), config, experiment, may_change, facts))
        yield


def _claim(held, workdir, config, experiment, may_change, facts):
    with _usable(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "a")  # noqa: SIM115 - closed below, and by the system should we be killed
    held.enter_context(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"workdir {workdir}: another run is using it") from error
    present = {"experiment": experiment, **facts, "config": config_lib.to_json(config), **environment()}
    if not (workdir / "config.json").exists():
        _start(workdir, present)
        return
    changed = compare(workdir, config, experiment, may_change)
    _warn_of_changes(load(workdir), present, workdir)
    if changed:
        told = ", ".join(f"config{key} {old!r}, now {new!r}" for key, old, new in changed)
        print(f"WARNING: workdir {workdir} was started with {told}", file=sys.stderr)
        write_atomically(workdir / "config.json", _encode({**load(workdir), "config": present["config"]}))


def load(workdir: Path, experiment: str | None = None) -> dict[str, Any]:
    """What a workdir's config.json holds.

    Raises:
        UsageError: there is none, it is damaged, or it is not of the experiment, where one is named.
    """
    path = Path(workdir) / "config.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"workdir {workdir}: cannot read config.json: {error}") from error
    if not (isinstance(found, dict) and isinstance(found.get("config", {}), dict)):
        raise UsageError(f"workdir {workdir}: its config.json does not hold a config")
    if experiment is not None and found.get("experiment") != experiment:
        there = found.get("experiment")
        raise UsageError(f"workdir {workdir} belongs to another experiment: {there}, not {experiment}")
    return found


def _start(workdir, present):
    left = [name for name in ("metrics.jsonl", "checkpoints") if (workdir / name).exists()]
    if left:
        raise UsageError(f"workdir {workdir} holds {' and '.join(left)} of a run, but no config.json to compare with")
    write_atomically(workdir / "config.json", _encode(present))


def note(workdir: Path, **facts: Any) -> None:
    """Add to config.json what is known only later; it is not compared."""
    path = Path(workdir) / "config.json"
    hosts.on_first(lambda: write_atomically(path, _encode({**load(workdir), **facts})))


def compare(
    workdir: Path, config: ConfigDict, experiment: str, may_change: Sequence[str] = ()
) -> list[tuple[str, Any, Any]]:
    """Refuse a workdir of another experiment or config, with the differences.

    A config written before the engine had all the entries of today has their defaults.

    Returns:
        The differences in entries that may change, as `differences` gives them.

    Raises:
        UsageError: it belongs to another one, or its config.json cannot be read.
    """
    present = config_lib.to_json(config)
    started = config_lib.with_defaults(load(workdir, experiment).get("config", {}), present)
    different = differences(started, present)
    changed = [found for found in different if found[0].removeprefix(".") in may_change]
    refused = [found for found in different if found not in changed]
    if refused:
        raise UsageError(
            f"workdir {workdir} belongs to another config:\n"
            + "\n".join(f"  config{key}: {old} there, {new} here" for key, old, new in refused)
            + "\nchoose another --workdir, or the flags it was started with"
        )
    return changed


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


def write_atomically(path: Path, data: bytes, *, shared: bool = False) -> None:
    """Write a file so that it is either as before or complete.

    Args:
        path: the file. What a kill leaves beside it, PATH.tmp, the next write takes over.
        data: its content.
        shared: other processes may write it at the same time. A kill may then leave a file that stays.

    Raises:
        RunError: it could not be written (a full disk, say); it is as before.
    """
    fresh = path.with_name(f"{path.name}.{os.uname().nodename}-{os.getpid()}.tmp" if shared else f"{path.name}.tmp")
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
