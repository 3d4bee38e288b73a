"""The command line of every experiment, and its errors: one line, exit status 2."""

import datetime
import importlib.util
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments.engine.process import devices, files, hosts, hugepages, programs
from experiments.engine.process.arguments import escape_unknown_characters
from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.engine.process.profile import Profile
from experiments.engine.process.signals import Stop
from experiments.engine.run import config as config_lib
from experiments.engine.run import help_text, workdir
from experiments.engine.run.entries import Table
from experiments.engine.run.family import Family


class Flag(NamedTuple):
    """A flag that a program has besides those of every experiment."""

    default: bool | int | str
    help: str


class Request(NamedTuple):
    """A command line, parsed and checked.

    Attributes:
        family: whose command it is.
        config: complete and checked.
        variant: the part of --config behind ":".
        workdir: absolute.
        new: whether nobody named the workdir: it must then be a folder that is not there yet.
        report_only: whether only the report is asked for.
        evaluate: with --evaluate, the tables of test sets by name; None without.
        profile: whether to trace some training.
        processes: coordinator, number of processes, which this is.
        flags: values of the program's additional flags.
    """

    family: Family
    config: ConfigDict
    variant: str
    workdir: Path
    new: bool
    report_only: bool
    evaluate: dict[str, Table] | None
    profile: bool
    processes: tuple[str | None, int | None, int | None]
    flags: dict[str, Any]


Act = Callable[[Request, Profile | None, Stop], None]


def main(
    family: Family,
    act: Act,
    *,
    program: str | None = None,
    more: Mapping[str, Flag] | None = None,
    may_change: Sequence[str] = config_lib.MAY_CHANGE,
    argv: Sequence[str] | None = None,
    owns_process: bool | None = None,
) -> int:
    """Run a program of a family from the command line.

    Args:
        family: whose configs and workdirs it works with.
        act: (request, profile, stop) -> None; called with the workdir claimed, or compared where only a report is
            asked for.
        program: NAME in `python -m experiments.NAME`, where `argv` is given; None: that of the family.
        more: additional flags by name.
        may_change: entries of the config that may differ when a run is continued.
        argv: arguments after the program's name; None: those of the process.
        owns_process: whether the process exists for this run alone, so that it may be started anew and ended at once;
            None: where `argv` is None.

    Returns:
        The exit status: 0 done, 1 failed, 2 unusable command, config or workdir, 130 and 143 stopped by a signal (the
        same command continues).
    """
    owns_process = argv is None if owns_process is None else owns_process
    called = _program() if argv is None else ["python", "-m", f"experiments.{program or family.name}"]
    argv = sys.argv[1:] if argv is None else list(argv)
    escape_unknown_characters()
    request = None
    try:
        request = parse(argv, family, more, shlex.join(called))
        if isinstance(request, str):
            print(request)
            return 0
        if owns_process and not request.report_only:
            hugepages.restart()
            programs.keep()
        devices.configure_cpu_devices(request.config.cpu_devices)
        hosts.start(*request.processes)
        request = _with_folder(request)
        _start(request, act, may_change, shlex.join([*called, *argv]), owns_process)
    except UsageError as error:
        return _complain(error, 2)
    except RunError as error:
        return _complain(error, 1)
    except Interrupted as error:
        status = 128 + error.signum
        _complain(error.advice(request.workdir), status)
        if owns_process:
            sys.stdout.flush()
            os._exit(status)  # all is saved and closed; JAX would wait for the programs that still run
        return status
    except KeyboardInterrupt:
        return _complain("aborted", 130)
    except Exception:  # noqa: BLE001 - the last resort: all of the traceback, and the status that says "failed"
        traceback.print_exc()
        return _ended(1)
    return 0


def _program() -> list[str]:
    """The start of this process: python -m MODULE, or python FILE."""
    spec = sys.modules["__main__"].__spec__
    return ["python", sys.argv[0]] if spec is None else ["python", "-m", spec.name.removesuffix(".__main__")]


def parse(
    argv: Sequence[str], family: Family, more: Mapping[str, Flag] | None = None, program: str = "python -m PROGRAM"
) -> Request | str:
    """Parse and check a command line; the text of the help where it asks for that.

    Raises:
        UsageError: it cannot be understood, or its config cannot be used; one clear line.
    """
    values = _define(more or {})
    rest = _read(values, [family.name, *argv], known_only=True)[1:]
    if values.config and len(values.config) > 1:
        raise UsageError("--config is given twice")
    path = values.config[0] if values.config else None
    del values.config
    variant = split_config(path or "")[1] or ""
    config = None if path is None else config_lib.complete(load_config(path), family)
    if values.help:
        return help_text.build(program, family, more or {}, config)
    _check_combination(values, path)
    stored = {}
    if values.report_only or values.evaluate is not None:
        stored = workdir.load(files.user_path(values.workdir), family)
        config = config_lib.from_json(stored["config"], family) if config is None else config
    for section in config_lib.SECTIONS if config is not None else ():
        if (typed := values[section].value) is not None:
            _choose(config, section, _split(section, typed), family)
    config = _overridden(config, values, rest, family)
    if config is None:
        raise UsageError("--config=FILE[:VARIANT] is missing; --help shows how to call this")
    _check(config, family)
    return Request(
        family,
        config,
        variant,
        (files.user_path(values.workdir) if values.workdir else _dated(family.name, variant)).absolute(),
        not values.workdir,
        values.report_only,
        None if values.evaluate is None else _evaluated(config, stored, _split("evaluate", values.evaluate), family),
        values.profile,
        (values.coordinator, values.num_processes, values.process_id),
        {name: values[name].value for name in more or {}},
    )


def _define(more: Mapping[str, Flag]) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    flags.DEFINE_multi_string("config", None, "", flag_values=values)
    for name in ("workdir", "models", "tests", "evaluate", "coordinator"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    for name in ("report_only", "profile", "help"):
        flags.DEFINE_boolean(name, False, "", flag_values=values)
    for name in ("num_processes", "process_id"):
        flags.DEFINE_integer(name, None, "", flag_values=values)
    define = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, str: flags.DEFINE_string}
    for name, flag in more.items():
        define[type(flag.default)](name, flag.default, flag.help, flag_values=values)
    return values


def _read(values, words, *, config=None, known_only=False):
    """Parse words into the flags that are defined; the words that are left."""
    try:
        return values(words, known_only=known_only)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(_plain(error, config)) from error


def _overridden(config, values, rest, family):
    """The config with its overrides, --config.KEY=VALUE, applied; refuses all other words that are left."""
    _check_keys(rest, config)
    before = {} if config is None else config_lib.leaves(config)
    if config is not None:
        try:
            config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
        except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(_plain(error, config)) from error
    left = _read(values, [family.name, *rest], config=config)[1:]
    if left:
        raise UsageError(f"unexpected argument {left[0]!r}")
    if config is not None:
        config_lib.check_members(config, before)
    return config


def split_config(text: str) -> tuple[str, str | None]:
    """File and variant of FILE[:VARIANT]; a file's path may hold colons, the variant is None where there is none.

    Of several ways to part the text the longest file that exists holds, otherwise the last colon.
    """
    colons = [place for place, letter in enumerate(text) if letter == ":"]
    for end in (len(text), *reversed(colons)):
        if files.user_path(text[:end]).is_file():
            return text[:end], text[end + 1 :] if end < len(text) else None
    file, colon, variant = text.rpartition(":")
    # A colon before a folder, or after the letter of a drive, is part of a path.
    return (file, variant) if colon and not re.search(r"[/\\]", variant) else (text, None)


def load_config(path: str) -> ConfigDict:
    """The config of FILE[:VARIANT].

    Raises:
        UsageError: no such file, no such variant, or the file fails.
    """
    name, variant = split_config(path)
    if not name:
        raise UsageError("--config needs a value: FILE or FILE:VARIANT")
    file = files.user_path(name)
    if not file.is_file():
        raise UsageError(f"--config={path}: there is no file {name!r}")
    # Not by config_flags, which calls a method that Python 3.15 removes.
    spec = importlib.util.spec_from_file_location(f"_config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"--config={path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*([] if variant is None else [variant]))
    except Exception as error:
        raise UsageError(f"--config={path}: {' '.join(str(error).split()) or type(error).__name__}") from error
    if not isinstance(config, ConfigDict):
        raise UsageError(f"--config={path}: get_config() gave a {type(config).__name__}, expected a ConfigDict")
    return config


def _check_keys(words, config):
    for word in words:
        match = re.match(r"--?(?:no)?config\.([^=]*)", word)
        if match is None:
            continue
        if config is None:
            raise UsageError(f"{word}: there is no config to change; give --config=FILE[:VARIANT]")
        present = config_lib.leaves(config)
        key = match[1]
        if key not in present:
            inside = [name for name in present if name.startswith(key + ".")]
            if key in config_lib.SECTIONS:
                names = ", ".join(config[key])
                raise UsageError(f"config.{key} holds tables: choose some with --{key}=NAME[,NAME ...] (here: {names})")
            if inside:
                raise UsageError(f"config.{key} is a group; give one of its entries: {', '.join(inside)}")
            raise UsageError(f"there is no config.{key}{config_lib.nearest(key, present)}")


def _plain(error, config):
    """One line for an error of absl, with the type that was expected where it is about an entry of the config."""
    text = " ".join(str(error).split())
    match = re.search(r"config\.([\w.]+)=(.*?): ", text)
    if match and config is not None:
        current = config_lib.leaves(config).get(match[1])
        kind = config_lib.type_of(config, match[1]).__name__
        example = "" if current is None else f" (such as {current!r})"
        return f"config.{match[1]}={match[2]}: expected a value of type {kind}{example}"
    return text


def _check_combination(values, path):
    later = "--report_only" if values.report_only else "--evaluate" if values.evaluate is not None else None
    if values.evaluate is not None and values.report_only:
        raise UsageError("--evaluate and --report_only are two different things; give one")
    if later and not values.workdir:
        raise UsageError(f"{later} needs the --workdir of a run")
    if values.workdir == "":
        raise UsageError("--workdir is empty")
    for name in config_lib.SECTIONS:
        if path is None and later is None and values[name].value is not None:
            raise UsageError(f"--{name}: there is no config to change; give --config=FILE[:VARIANT]")


def _split(flag: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError(f"--{flag} is empty; give names with commas between")
    return words


def _choose(config: ConfigDict, section: str, words: Iterable[str], family: Family) -> None:
    """Replace the tables of a section by those that were typed."""
    present = config_lib.tables(config, section)
    chosen = dict(_table(section, word, present, family) for word in words)
    with config.unlocked():
        config[section] = ConfigDict(chosen)
    config_lib.complete(config, family)


def _evaluated(config, stored, words, family) -> dict[str, Table]:
    present = {**workdir.all_tables(stored, "tests"), **config_lib.tables(config, "tests")}
    chosen = dict(_table("tests", word, present, family) for word in words)
    chosen = {
        name: config_lib.completed(f"tests.{name}", table, family.table_entries("tests")).to_dict()
        for name, table in chosen.items()
    }
    config_lib.check_tables({**present, **chosen}, "tests", family)
    return chosen


def _table(section: str, word: str, present: Mapping[str, Table], family: Family) -> tuple[str, Table]:
    """Name and table of a word: a table that is present, by its name or its label; or what its shorthand says."""
    for name, table in present.items():
        if word in (name, config_lib.label(name, table)):
            return name, table
    entries = family.table_entries(section)
    name, table = family.shorthand(section).parse(word, entries)
    return name, config_lib.completed(f"{section}.{name}", table, entries).to_dict()


def _dated(name: str, variant: str) -> Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / "-".join(filter(None, (name, re.sub(r"\W+", "_", variant), stamp)))


def _check(config: ConfigDict, family: Family) -> None:
    try:
        config_lib.check(config, family)
    except (AttributeError, KeyError, TypeError) as error:
        lost = error if isinstance(error, KeyError) else error.__context__  # behind a ConfigDict's AttributeError
        reason = f"it has no entry {lost.args[0]}" if isinstance(lost, KeyError) else str(error)
        reason = reason.partition("\n")[0]
        raise UsageError(f"the config does not suit {family.name}: {reason}; is it another experiment's?") from error


def _with_folder(request: Request) -> Request:
    """With its workdir made where nobody named one: a run that began in the same second may have the name."""
    if not request.new:
        return request
    return request._replace(workdir=Path(hosts.on_first(lambda: str(files.new_folder(request.workdir)))))


def _start(request: Request, act: Act, may_change: Sequence[str], command: str, owns_process: bool) -> None:
    place, family = request.workdir, request.family
    if request.report_only:
        workdir.compare(place, request.config, family, may_change)
        act(request, None, Stop())
        return
    facts = {"variant": request.variant, "command": command}
    claimed = workdir.claim(place, request.config, family, tests=request.evaluate, may_change=may_change, **facts)
    profile = Profile(place / "profile") if request.profile and hosts.is_first() else None
    with claimed:
        print(f"workdir: {place}", file=sys.stderr)
        act(request, profile, Stop(place if owns_process else None))
    if profile is not None:
        profile.close()


def _complain(message, status):
    print(f"error: {message}" if status < 3 else str(message), file=sys.stderr, flush=True)
    return _ended(status)


def _ended(status):
    # A process that failed alone must not wait for the others to end with it: its end is what informs them.
    if status in (1, 2):
        hosts.leave(status)
    return status
