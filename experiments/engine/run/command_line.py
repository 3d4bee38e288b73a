"""The command line that every experiment has, and what its errors look like."""

import datetime
import importlib.util
import inspect
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from experiments.engine.process import devices as mesh
from experiments.engine.process import hosts, hugepages, profile
from experiments.engine.process import signals as stop
from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.engine.run import config as config_lib
from experiments.engine.run import workdir

_USAGE = """usage: {program} --config=FILE[:VARIANT] [--workdir=DIR] [--config.KEY=VALUE ...]
       {program} --workdir=DIR --evaluate=SET[,SET ...]
       {program} --workdir=DIR --report_only
       ... --coordinator=HOST:PORT --num_processes=N --process_id=I, or --coordinator=auto
  --config       a Python file with get_config(), and which of its variants
  --workdir      where the run lives; the same command continues it (default: a new dated folder under runs/)
  --config.KEY   changes one entry of the config, for example --config.train.epochs=3
  --evaluate     measures the trained models of the workdir on more test sets, without training
  --report_only  rebuilds the table and the figures from the workdir, without training
  --profile      traces some seconds of the training to DIR/profile and prints the share of time that devices idle
  --coordinator  the same command in several processes makes one run; auto: as the cluster tells"""


class Arguments(NamedTuple):
    """A command line, understood."""

    config: ConfigDict
    variant: str
    workdir: Path
    report_only: bool
    evaluate: tuple[str, ...]  # names of test sets; () for a run that trains
    profile: bool
    processes: tuple[str | None, int | None, int | None]  # coordinator, their number, which this is


def main(
    run_experiment: Callable[..., None],
    *,
    name: str,
    validate: Callable[[ConfigDict], None] | None = None,
    may_change: Sequence[str] = config_lib.MAY_CHANGE,
    argv: Sequence[str] | None = None,
    own: bool | None = None,
) -> int:
    """Run an experiment from the command line.

    Args:
        run_experiment: (config, workdir, report_only=bool, evaluate=names of test sets) -> None; with test sets it
            measures what is trained on them and trains nothing.
        name: the experiment's name, which its workdirs tell.
        validate: raises ValueError with the value and what was expected where a config entry is out of range.
        may_change: entries of the config that may differ when a run is continued.
        argv: arguments after the program's name, of `python -m experiments.NAME`; None = the process's own.
        own: whether the process is there for this run alone, so that it may be started anew and ended at once; None =
            where `argv` is.

    Returns:
        The exit status: 0 done, 1 failed, 2 unusable command, config or workdir, 130 and 143 stopped by a signal (the
        same command continues).
    """
    own = argv is None if own is None else own
    program = _program() if argv is None else ["python", "-m", f"experiments.{name}"]
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = parse(argv, name)
        if arguments is None:
            print(_USAGE.format(program=shlex.join(program)))
            return 0
        _check(arguments.config, validate, name)
        if own and not arguments.report_only:
            hugepages.restart()
        mesh.configure_cpu_devices(arguments.config.cpu_devices)
        hosts.start(*arguments.processes)
        with stop.enforced(arguments.workdir if own else None):
            _start(run_experiment, arguments, name, may_change, shlex.join([*program, *argv]))
    except UsageError as error:
        return _complain(error, 2)
    except RunError as error:
        return _complain(error, 1)
    except Interrupted as error:
        status = 128 + error.signum
        _complain(error.advice(arguments.workdir), status)
        if own:
            sys.stdout.flush()
            os._exit(status)  # all is saved and closed; JAX would wait for what it computes still
        return status
    except KeyboardInterrupt:
        return _complain("aborted", 130)
    except Exception:  # noqa: BLE001 - the last resort: all of the traceback, and the status that says "failed"
        traceback.print_exc()
        return _ended(1)
    return 0


def _program() -> list[str]:
    """How this process was started: python -m MODULE, or python FILE."""
    spec = sys.modules["__main__"].__spec__
    return ["python", sys.argv[0]] if spec is None else ["python", "-m", spec.name.removesuffix(".__main__")]


def parse(argv: Sequence[str], name: str) -> Arguments | None:
    """Understand a command line; None where it asks for help.

    Raises:
        UsageError: it cannot be understood; one clear line.
    """
    config_path, rest = _take_config(argv)
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    for flag in ("report_only", "profile"):
        flags.DEFINE_boolean(flag, False, "", flag_values=values)
    flags.DEFINE_string("coordinator", None, "", flag_values=values)
    for flag in ("num_processes", "process_id"):
        flags.DEFINE_integer(flag, None, "", flag_values=values)
    flags.DEFINE_string("evaluate", None, "", flag_values=values)
    flags.DEFINE_boolean("help", False, "", flag_values=values)
    config = load_config(config_path) if config_path is not None else None
    _check_keys(rest, config)
    before = config_lib.leaves(config) if config is not None else {}
    try:
        if config is not None:
            config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
        left = values([name, *rest])[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(_plain(error, config)) from error
    if values.help:
        return None
    if left:
        raise UsageError(f"unexpected argument {left[0]!r}")
    if config is not None:
        config_lib.check_members(config, before)
    return _resolve(config, config_path, values, name)


def load_config(path: str) -> ConfigDict:
    """The config of FILE[:VARIANT].

    Raises:
        UsageError: no such file, no such variant, or the file fails.
    """
    file, colon, chosen = path.partition(":")
    if not Path(file).is_file():
        raise UsageError(f"--config={path}: there is no file {file!r}")
    spec = importlib.util.spec_from_file_location(f"_config_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError(f"--config={path}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if colon and not inspect.signature(module.get_config).parameters:
            raise ValueError("it has no variants")
        config = module.get_config(chosen) if colon else module.get_config()
    except Exception as error:
        raise UsageError(f"--config={path}: {error or type(error).__name__}") from error
    if not isinstance(config, ConfigDict):
        raise UsageError(f"--config={path}: get_config() gave a {type(config).__name__}, expected a ConfigDict")
    return config.lock()


def _take_config(argv):
    """Split off --config=VALUE, wherever it stands, so that overrides may come before it."""
    rest, found = [], None
    words = iter(argv)
    for word in words:
        match = re.fullmatch(r"--?config(=.*)?", word, re.DOTALL)
        if match is None:
            rest.append(word)
            continue
        if found is not None:
            raise UsageError("--config is given twice")
        found = match[1][1:] if match[1] else next(words, "")
        if not found:
            raise UsageError("--config needs a value: FILE or FILE:VARIANT")
    return found, rest


def _check_keys(argv, config):
    for word in argv:
        match = re.match(r"--?(?:no)?config\.([^=]*)", word)
        if match is None:
            continue
        if config is None:
            raise UsageError(f"{word}: there is no config to change; give --config=FILE[:VARIANT]")
        known = config_lib.leaves(config)
        key = match[1]
        if key not in known:
            inside = [name for name in known if name.startswith(key + ".")]
            if inside:
                raise UsageError(f"config.{key} is a group; give one of its entries: {', '.join(inside)}")
            raise UsageError(f"there is no config.{key}{config_lib.nearest(key, known)}")


def _plain(error, config):
    """One line for what absl says of a flag, with the type that was expected where it is a config entry."""
    text = " ".join(str(error).split())
    match = re.search(r"config\.([\w.]+)=(.*?): ", text)
    if match and config is not None:
        current = config_lib.leaves(config).get(match[1])
        return f"config.{match[1]}={match[2]}: expected a value of type {type(current).__name__} (such as {current!r})"
    return text


def _resolve(config, config_path, values, name):
    sets = None if values.evaluate is None else tuple(filter(None, values.evaluate.split(",")))
    later = "--report_only" if values.report_only else "--evaluate" if sets is not None else None
    if config is None and later is None:
        raise UsageError("--config=FILE[:VARIANT] is missing; --help shows how to call this")
    if later and not values.workdir:
        raise UsageError(f"{later} needs the --workdir of a run")
    if values.workdir == "":
        raise UsageError("--workdir is empty")
    if sets == ():
        raise UsageError("--evaluate is empty; give the names of test sets")
    if sets and values.report_only:
        raise UsageError("--evaluate and --report_only are two different things; give one")
    if later:
        stored = config_lib.with_defaults(workdir.load(Path(values.workdir), name).get("config", {}))
        config = config_lib.from_json(stored) if config is None else config
    chosen = (config_path or "").partition(":")[2]
    place = Path(values.workdir) if values.workdir else _dated(name, chosen)
    processes = values.coordinator, values.num_processes, values.process_id
    return Arguments(config, chosen, place.absolute(), values.report_only, sets or (), values.profile, processes)


def _dated(name, chosen):
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / "-".join(filter(None, (name, re.sub(r"\W+", "_", chosen), stamp)))


def _check(config, validate, name):
    config_lib.check(config)
    if validate is not None:
        try:
            validate(config)
        except ValueError as error:
            raise UsageError(str(error)) from error
        except (AttributeError, KeyError, TypeError) as error:
            lost = error if isinstance(error, KeyError) else error.__context__  # behind a ConfigDict's AttributeError
            said = f"it has no entry {lost.args[0]}" if isinstance(lost, KeyError) else str(error)
            said = said.partition("\n")[0]
            raise UsageError(f"the config does not suit {name}: {said}; is it another experiment's?") from error


def _start(run_experiment, arguments, name, may_change, command):
    if arguments.report_only:
        workdir.compare(arguments.workdir, arguments.config, name, may_change)
        run_experiment(arguments.config, arguments.workdir, report_only=True, evaluate=())
        return
    facts = {"variant": arguments.variant, "command": command}
    traces = arguments.workdir / "profile" if arguments.profile else None
    with (
        workdir.claim(arguments.workdir, arguments.config, name, may_change=may_change, **facts),
        profile.requested(traces),
    ):
        print(f"workdir: {arguments.workdir}", file=sys.stderr)
        run_experiment(arguments.config, arguments.workdir, report_only=False, evaluate=arguments.evaluate)


def _complain(message, status):
    print(f"error: {message}" if status < 3 else str(message), file=sys.stderr, flush=True)
    return _ended(status)


def _ended(status):
    # A process that failed alone must not wait for the others to end with it: its end is what tells them.
    if status in (1, 2):
        hosts.leave(status)
    return status
