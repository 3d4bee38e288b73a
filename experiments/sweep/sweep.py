"""Sweeps: many runs of one experiment, each in its own folder, and one report of all of them.

A point is a config and the entries of it that are changed. The experiment's command runs it in a process of its own, so
that a point that fails or is killed leaves the others alone, and a sweep that was stopped continues with the same
command. Array jobs take a share each: `--shard=I/N`.
"""

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import engine
from experiments.sweep import report

_ROOT = Path(__file__).parents[2]


class Program(NamedTuple):
    """The program that runs the points."""

    module: str  # of `python -m`
    family: engine.Family


def program(name: str) -> Program:
    """The program of an experiment: `experiments.NAME`, or a module of any package; it or its `specs` has FAMILY.

    Raises:
        UsageError: there is no such program.
    """
    module = name if "." in name else f"experiments.{name}"
    for place in (f"{module}.specs", module):
        try:
            family = getattr(importlib.import_module(place), "FAMILY", None)
        except (ImportError, TypeError):
            continue
        if family is not None:
            return Program(module, family)
    raise engine.UsageError(f"there is no program {module}: expected NAME of python -m experiments.NAME")


class Point(NamedTuple):
    """One run of a sweep."""

    config: str  # FILE[:VARIANT]
    changes: Mapping[str, str]  # entry, or "models" or "tests" -> value, as on a command line

    @property
    def name(self) -> str:
        """The name of its folder: its changes, in characters that any file system takes."""
        file, variant = engine.split_config(self.config)
        variant = variant or Path(file).stem
        parts = [variant, *(f"{key}={value}" for key, value in self.changes.items())]
        return re.sub(r"[^\w.=+-]+", "_", ",".join(parts)).strip("_")


def points(configs: Sequence[str], grid: Mapping[str, Sequence[str]]) -> list[Point]:
    """Every config with every combination of the grid's values; the last entry of the grid varies fastest.

    Raises:
        UsageError: there is none, or two of them would share a folder.
    """
    chosen = [
        Point(config, dict(zip(grid, values, strict=True)))
        for config in configs
        for values in itertools.product(*grid.values())
    ]
    names = [point.name for point in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not chosen or twice:
        raise engine.UsageError(f"the sweep has {f'{twice[0]} twice' if twice else 'no points'}")
    return chosen


def parse_grid(words: Sequence[str]) -> dict[str, list[str]]:
    """Entry -> values, from words KEY=VALUE,VALUE,...; commas inside brackets or quotes are part of a value.

    Raises:
        UsageError: a word is of another form, or an entry is given twice.
    """
    grid: dict[str, list[str]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        values = split_values(text)
        if not (re.fullmatch(r"\w+(\.\w+)*", key) and equals and all(values)):
            raise engine.UsageError(f"--grid={word}: expected KEY=VALUE,VALUE,...")
        if key in grid:
            raise engine.UsageError(f"--grid={key} is given twice")
        if len(set(values)) < len(values):
            raise engine.UsageError(f"--grid={word}: a value is there twice")
        grid[key] = values
    return grid


def split_values(text: str) -> list[str]:
    """A text cut at its commas, but for those inside brackets or quotes."""
    parts = re.findall(r"""(?:\([^()]*\)|\[[^\[\]]*\]|'[^']*'|"[^"]*"|[^,])+|(?<=,)(?=,|$)|^$""", text)
    return [part.strip() for part in parts]


def parse_shard(text: str) -> tuple[int, int]:
    """(I, N) from "I/N", 0 <= I < N.

    Raises:
        UsageError: it is of another form.
    """
    match = re.fullmatch(r"(\d+)/([1-9]\d*)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise engine.UsageError(f"--shard={text}: expected I/N with I from 0 to N - 1")
    return int(match[1]), int(match[2])


def run(
    program: Program,
    chosen: Sequence[Point],
    workdir: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    arguments: Sequence[str] = (),
    report_only: bool = False,
) -> list[str]:
    """Run a shard's points one after the other and report on all that there is of the sweep.

    Args:
        program: runs the points.
        chosen: all points of the sweep.
        workdir: the sweep's folder: sweep.json describes it, runs/POINT is the workdir of a point.
        shard: (i, n): every n-th point from the i-th on.
        arguments: further words of every run's command line.
        report_only: run nothing, and start no sweep.

    Returns:
        The points of the shard that failed.

    Raises:
        UsageError: a point cannot be run as given (nothing has been written then), the workdir belongs to another
            sweep or to none where there must be one, or it cannot be written.
        Interrupted: a signal came; the run under way has saved its state.
    """
    workdir = engine.user_path(workdir).absolute()
    if not report_only:
        check(program.family, chosen, arguments)
    elif not (workdir / "sweep.json").exists():
        raise engine.UsageError(f"workdir {workdir} is of no sweep: there is no sweep.json")
    claim(workdir, program.module, chosen, arguments)
    failed = []
    try:
        if not report_only:
            failed = _run_points(program.module, list(chosen)[shard[0] :: shard[1]], workdir, arguments)
    finally:
        report.build(workdir, program.module, chosen)
    return failed


def check(family: engine.Family, chosen: Sequence[Point], arguments: Sequence[str]) -> None:
    """Check that the program would understand every point's config and changes.

    Raises:
        UsageError: it would not.
    """
    for point in chosen:
        engine.parse(_words(point, arguments), family)


def claim(workdir: Path, experiment: str, chosen: Sequence[Point], arguments: Sequence[str]) -> None:
    """Write sweep.json, or compare it with one that is there; shards may do so at the same time.

    The devices and folders of data (`engine.WHERE`) may differ.
    """
    present: dict[str, Any] = {
        "experiment": experiment,
        "arguments": list(arguments),
        "points": {point.name: [point.config, dict(point.changes)] for point in chosen},
    }
    path = workdir / "sweep.json"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            engine.write_atomically(path, (json.dumps(present, indent=1) + "\n").encode(), shared=True)
        stored = _compared(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, engine.RunError, KeyError, TypeError) as error:
        raise engine.UsageError(f"workdir {workdir}: cannot use its sweep.json: {error}") from error
    if different := engine.differences(stored, _compared(json.loads(json.dumps(present)))):
        key, old, new = different[0]
        raise engine.UsageError(
            f"workdir {workdir} belongs to another sweep: {key.removeprefix('.')} is {old} there, {new} here; choose "
            "another --workdir, or the flags it was started with"
        )


def _compared(sweep):
    where = tuple(f"--config.{key}=" for key in engine.WHERE)
    return {**sweep, "arguments": [word for word in sweep["arguments"] if not word.startswith(where)]}


def _words(point, arguments):
    return [f"--config={point.config}", *arguments, *(_word(*change) for change in point.changes.items())]


def _word(key: str, value: str) -> str:
    """A change as the command line has it; names of several models or test sets stand in brackets."""
    return f"--{key}={value.strip('()')}" if key in ("models", "tests") else f"--config.{key}={value}"


def _run_points(module, chosen, workdir, arguments):
    failed = []
    with engine.Stop() as stop:
        for number, point in enumerate(chosen, 1):
            print(f"{number}/{len(chosen)} {point.name}", file=sys.stderr, flush=True)
            place = f"--workdir={workdir / 'runs' / point.name}"
            command = [sys.executable, "-m", module, place, *_words(point, arguments)]
            status = _wait(command, stop)
            # Not `stop.check`: this process does not start JAX, which would take GPU memory from the runs.
            if stop.signum is not None:
                raise engine.Interrupted(stop.signum)
            if status:
                failed.append(point.name)
                print(f"WARNING: {point.name} ended with status {status}", file=sys.stderr, flush=True)
    return failed


def _wait(command, stop):
    """The exit status of a run; a signal that comes to this process is passed on once, and the run saves its state."""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))}
    # A session of its own: Ctrl-C in a terminal would reach the run too, and a second signal would abort it.
    with subprocess.Popen(command, env=here, start_new_session=True) as process:
        passed_on = False
        while True:
            try:
                return process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                if stop.signum is not None and not passed_on:
                    passed_on = True
                    if os.name != "nt":  # there are no sessions: Ctrl-C has reached the run
                        process.send_signal(stop.signum)
