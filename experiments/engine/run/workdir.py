"""The folder of a run: one config, one process at a time."""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiments.engine.process import files, hosts
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.run.config import SECTIONS, to_json, with_defaults
from experiments.engine.run.entries import Table
from experiments.engine.run.family import Family
from experiments.engine.run.migrate import FORMAT, migrate

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
    workdir: Path,
    config: ConfigDict,
    family: Family,
    *,
    tests: Mapping[str, Table] | None = None,
    may_change: Sequence[str] = (),
    **facts: Any,
) -> Iterator[None]:
    """Lock a workdir for this run: create it where it is missing, and write or compare its config.json.

    Of several processes the first does so, for all of them.

    Args:
        workdir: the folder.
        config: must equal the one the workdir was started with.
        family: likewise.
        tests: tables of test sets by name that the config does not have; kept in config.json.
        may_change: entries of the config that may differ; config.json then holds the new ones. "models" and "tests":
            tables may be added or left out, which config.json keeps as "earlier"; a table itself must not differ.
        facts: other facts about the start of the run for config.json; not compared.

    Raises:
        UsageError: it cannot be written, another run holds it, or it belongs to another config or experiment.
    """
    with contextlib.ExitStack() as held:
        hosts.on_first(lambda: _claim(held, files.user_path(workdir), config, family, tests or {}, may_change, facts))
        yield


def _claim(held, workdir, config, family, tests, may_change, facts):
    with _usable(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        held.enter_context(files.hold(workdir, f"workdir {workdir}"))
    present = {"experiment": family.name, "format": FORMAT, **facts, "config": to_json(config), **environment()}
    if not (workdir / "config.json").exists():
        _start(workdir, present)
        return
    changed = compare(workdir, config, family, may_change, tests)
    stored = load(workdir, family)
    _warn_of_changes(stored, present, workdir)
    if changed:
        differences_ = ", ".join(f"config{key} {old!r}, now {new!r}" for key, old, new in changed)
        print(f"WARNING: workdir {workdir} was started with {differences_}", file=sys.stderr)
    earlier = _earlier(stored, present["config"], json.loads(json.dumps(tests)))
    if changed or (any(earlier.values()) and earlier != stored.get("earlier")):
        _write(workdir, {**stored, "config": present["config"], "earlier": earlier})


def load(workdir: Path, family: Family | None = None, *, required: bool = True) -> dict[str, Any]:
    """The content of a workdir's config.json: the only reader of it.

    Args:
        workdir: the folder.
        family: that it must be of; its config is then in today's format, with the defaults of entries that it does not
            have. None: as it was written.
        required: refuse a folder without a config.json; else it gives {}.

    Raises:
        UsageError: there is none, it is damaged, or it is not of the family.
    """
    path = files.user_path(workdir) / "config.json"
    if not required and not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"workdir {workdir}: cannot read config.json: {error}") from error
    if not (isinstance(stored, dict) and isinstance(stored.get("config", {}), dict)):
        raise UsageError(f"workdir {workdir}: its config.json does not hold a config")
    if family is None:
        return stored
    if (there := stored.get("experiment")) != family.name:
        raise UsageError(f"workdir {workdir} belongs to another experiment: {there}, not {family.name}")
    stored = migrate(stored, family)
    return {**stored, "config": with_defaults(stored["config"], family)}


def _start(workdir, present):
    left = [name for name in ("metrics.jsonl", "checkpoints") if (workdir / name).exists()]
    if left:
        raise UsageError(f"workdir {workdir} holds {' and '.join(left)} of a run, but no config.json to compare with")
    _write(workdir, present)


def _write(workdir: Path, content: Mapping[str, Any]) -> None:
    """The only writer of config.json."""
    write_atomically(files.user_path(workdir) / "config.json", (json.dumps(content, indent=2) + "\n").encode())


def begin(workdir: Path, config: ConfigDict) -> None:
    """Write a config.json where there is none: for runs without a command line, which claims the folder."""

    def write():
        if not (files.user_path(workdir) / "config.json").exists():
            _write(workdir, {"format": FORMAT, "config": to_json(config), **environment()})

    hosts.on_first(write)


def record(workdir: Path, **facts: Any) -> None:
    """Add facts to config.json that are not compared."""
    hosts.on_first(lambda: _write(workdir, {**load(workdir, required=False), **facts}))


def all_tables(stored: Mapping[str, Any], section: str) -> dict[str, Table]:
    """Tables of models or tests that a run has, or had earlier, by name; from the content of its config.json."""
    return {**stored["config"].get(section, {}), **stored.get("earlier", {}).get(section, {})}


def _earlier(stored, config, tests):
    """Tables that metrics.jsonl may hold values of, and the config does not hold (any more)."""
    every = {"models": all_tables(stored, "models"), "tests": {**all_tables(stored, "tests"), **tests}}
    return {
        section: {name: table for name, table in every[section].items() if name not in config[section]}
        for section in SECTIONS
    }


def compare(
    workdir: Path,
    config: ConfigDict,
    family: Family,
    may_change: Sequence[str] = (),
    tests: Mapping[str, Table] | None = None,
) -> list[tuple[str, Any, Any]]:
    """Refuse a workdir of another experiment or config, with the differences; arguments as for `claim`.

    Returns:
        The differences in entries that may change, as `differences` gives them; of models and tests their names.

    Raises:
        UsageError: it belongs to another one, or its config.json cannot be read.
    """
    stored, present = load(workdir, family), to_json(config)
    changed, refused = [], []
    for section in SECTIONS:
        old, new = (list(settings.get(section, {})) for settings in (stored["config"], present))
        if old != new:
            (changed if section in may_change else refused).append((f".{section}", old, new))
        before, now = all_tables(stored, section), present[section]
        if section == "tests" and tests:
            now = {**now, **json.loads(json.dumps(tests))}
        common = [name for name in now if name in before]
        for name in common:
            for difference in differences(before[name], now[name], f".{section}.{name}"):
                own_seeds = difference[0] == f".models.{name}.seeds" and "seeds" in may_change
                (changed if own_seeds else refused).append(difference)
    rest = ({key: value for key, value in of.items() if key not in SECTIONS} for of in (stored["config"], present))
    for difference in differences(*rest):
        (changed if difference[0].removeprefix(".") in may_change else refused).append(difference)
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
    path = files.user_path(path)
    fresh = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}.tmp" if shared else f"{path.name}.tmp")
    try:
        fresh.write_bytes(data)
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _commit() -> str | None:
    here = Path(__file__).resolve()

    def git(*args):
        return subprocess.run(["git", "-C", here.parent, *args], capture_output=True, encoding="utf-8", check=False)

    try:
        # A checkout that only contains the installation (a virtual environment inside some repository) does not count.
        if git("ls-files", "--error-unmatch", here.name).returncode:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
        return git("rev-parse", "HEAD").stdout.strip() + ("+changes" if changed else "")
    except OSError:
        return None
