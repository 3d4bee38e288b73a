"""Sweeps: many runs of one experiment, each in a folder of its own, and one report of all of them.

A point is a config and the entries of it that are changed. It is run by the experiment's own command, in a process of
its own, so that a point that fails or is killed harms no other, and the same sweep continues wherever it was stopped.
Array jobs take a share each: `--shard=I/N`.
"""

import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.engine.process.signals import Stop
from experiments.engine.run import command_line as cli
from experiments.engine.run import config as config_lib
from experiments.engine.run.workdir import differences, write_atomically
from experiments.sweep import report as sweep_report

_ROOT = Path(__file__).parents[2]


class Point(NamedTuple):
    """One run of a sweep."""

    config: str  # FILE[:VARIANT]
    changes: Mapping[str, str]  # entry -> value, as on a command line

    @property
    def name(self) -> str:
        """The name of its folder: what it changes, in characters that any file system takes."""
        variant = self.config.partition(":")[2] or Path(self.config.partition(":")[0]).stem
        parts = [variant, *(f"{key}={value}" for key, value in self.changes.items())]
        return re.sub(r"[^\w.=+-]+", "_", ",".join(parts)).strip("_")


def points(configs: Sequence[str], grid: Mapping[str, Sequence[str]]) -> list[Point]:
    """Every config with every combination of the grid's values; the last entry of the grid varies fastest.

    Raises:
        UsageError: there is none, or two of them would share a folder.
    """
    found = [
        Point(config, dict(zip(grid, values, strict=True)))
        for config in configs
        for values in itertools.product(*grid.values())
    ]
    names = [point.name for point in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not found or twice:
        raise UsageError(f"the sweep has {f'{twice[0]} twice' if twice else 'no points'}")
    return found


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
            raise UsageError(f"--grid={word}: expected KEY=VALUE,VALUE,...")
        if key in grid:
            raise UsageError(f"--grid={key} is given twice")
        if len(set(values)) < len(values):
            raise UsageError(f"--grid={word}: a value is there twice")
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
        raise UsageError(f"--shard={text}: expected I/N with I from 0 to N - 1")
    return int(match[1]), int(match[2])


def run(
    experiment: str,
    chosen: Sequence[Point],
    workdir: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    arguments: Sequence[str] = (),
    report_only: bool = False,
) -> list[str]:
    """Run a shard's points one after the other and report on all that there is of the sweep.

    Args:
        experiment: NAME of `python -m NAME`.
        chosen: all points of the sweep.
        workdir: the sweep's folder: sweep.json says what it is, runs/POINT is the workdir of a point.
        shard: (i, n): every n-th point from the i-th on.
        arguments: what else every run's command line has.
        report_only: run nothing, and start no sweep.

    Returns:
        The points of the shard that failed.

    Raises:
        UsageError: a point cannot be run as given (nothing has been written then), the workdir belongs to another
            sweep or to none where there must be one, or it cannot be written.
        Interrupted: a signal came; the run under way has saved its state.
    """
    if not report_only:
        check(experiment, chosen, arguments)
    elif not (workdir / "sweep.json").exists():
        raise UsageError(f"workdir {workdir} is of no sweep: there is no sweep.json")
    claim(workdir, experiment, chosen, arguments)
    failed = []
    try:
        if not report_only:
            failed = _run_points(experiment, list(chosen)[shard[0] :: shard[1]], workdir, arguments)
    finally:
        sweep_report.build(workdir, experiment, chosen)
    return failed


def check(experiment: str, chosen: Sequence[Point], arguments: Sequence[str]) -> None:
    """Check that there is the program, and that it would understand every point's config and changes.

    Raises:
        UsageError: it would not.
    """
    try:
        spec = importlib.util.find_spec(experiment)
    except (ImportError, ValueError):
        spec = None
    folders = spec and spec.submodule_search_locations
    if spec is None or (folders is not None and not any((Path(each) / "__main__.py").is_file() for each in folders)):
        raise UsageError(f"there is no program {experiment}: expected NAME of python -m experiments.NAME")
    for point in chosen:
        config_lib.check(cli.parse(_words(point, arguments), experiment).config)


def claim(workdir: Path, experiment: str, chosen: Sequence[Point], arguments: Sequence[str]) -> None:
    """Write sweep.json, or compare it with one that is there; shards may do so at the same time.

    Where it runs (`config.WHERE`) may differ.
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
            write_atomically(path, (json.dumps(present, indent=1) + "\n").encode(), shared=True)
        stored = _compared(json.loads(path.read_text()))
    except (OSError, ValueError, RunError, KeyError, TypeError) as error:
        raise UsageError(f"workdir {workdir}: cannot use its sweep.json: {error}") from error
    if different := differences(stored, _compared(json.loads(json.dumps(present)))):
        key, old, new = different[0]
        raise UsageError(
            f"workdir {workdir} belongs to another sweep: {key.removeprefix('.')} is {old} there, {new} here; choose "
            "another --workdir, or the flags it was started with"
        )


def _compared(sweep):
    where = tuple(f"--config.{key}=" for key in config_lib.WHERE)
    return {**sweep, "arguments": [word for word in sweep["arguments"] if not word.startswith(where)]}


def _words(point, arguments):
    changes = (f"--config.{key}={value}" for key, value in point.changes.items())
    return [f"--config={point.config}", *arguments, *changes]


def _run_points(experiment, chosen, workdir, arguments):
    failed = []
    with Stop() as stop:
        for number, point in enumerate(chosen, 1):
            print(f"{number}/{len(chosen)} {point.name}", file=sys.stderr, flush=True)
            place = f"--workdir={workdir / 'runs' / point.name}"
            command = [sys.executable, "-m", experiment, place, *_words(point, arguments)]
            status = _wait(command, stop)
            # Not `stop.check`: this process starts no JAX, which might take a GPU's memory from the runs.
            if stop.signum is not None:
                raise Interrupted(stop.signum)
            if status:
                failed.append(point.name)
                print(f"WARNING: {point.name} ended with status {status}", file=sys.stderr, flush=True)
    return failed


def _wait(command, stop):
    """The exit status of a run; a signal that comes to this process is passed on once, and the run saves its state."""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))}
    # A session of its own: Ctrl-C in a terminal would reach the run too, and a second signal would abort it.
    with subprocess.Popen(command, env=here, start_new_session=True) as process:
        told = False
        while True:
            try:
                return process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                if stop.signum is not None and not told:
                    told = True
                    process.send_signal(stop.signum)
