"""The command: its options, and the loop over the parts."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import engine
from experiments.accelerator import packages, report, state
from experiments.accelerator.parts import PARTS, Part

ROOT = Path(__file__).parents[2]
_GRACE = 60  # seconds in which a training run that is stopped may save its state


def parser() -> engine.Parser:
    """The command line."""
    parser = engine.Parser(
        prog="python -m experiments.accelerator",
        description="Measure everything on the device at hand, in order of worth. The same command continues.",
    )
    names = ", ".join(part.name for part in PARTS)
    add = parser.add_argument
    add("--out", type=engine.user_path, help="folder of results")
    add("--smoke", action="store_true", help="as small as goes through everything")
    add("--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART", help=f"some of {names}")
    add("--minutes", type=float, help="for all parts together; what is left undone then, the same command continues")
    add(
        packages.FLAG,
        dest="folder",
        type=engine.user_path,
        help="folder of --pack, for what is missing here",
    )
    add("--data_dir", type=engine.user_path, help="folder of data sets prepared by TFDS")
    add("--pack", type=engine.user_path, help="only collect packages and data into this folder")
    add("--sets", nargs="*", default=["mnist"], help="data sets that --pack collects")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit status."""
    return parser().run(run, argv)


def run(options: argparse.Namespace) -> None:
    """Carry out a command; UsageError and RunError where that fails."""
    if options.pack is not None:
        pack(options.pack.absolute(), options.sets, options.data_dir)
        return
    if options.out is None:
        raise engine.UsageError("--out=DIR is missing; --help shows how to call this")
    out, data_dir = options.out.absolute(), options.data_dir
    if options.folder is not None:
        if not (options.folder / "packages.json").is_file():
            raise engine.UsageError(f"{packages.FLAG}={options.folder}: expected a folder that --pack has made")
        data_dir = data_dir or options.folder / "data"
    data_dir = None if data_dir is None or options.smoke else data_dir.absolute()
    out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "experiments.accelerator", *sys.argv[1:]])
    until = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    failed = []
    for part in (each for each in PARTS if options.only is None or each.name in options.only):
        left = 60 * part.minutes if until is None else min(60 * part.minutes, until - time.monotonic())
        if state.read(out, part.name).get("done") or left <= 0:
            continue
        print(f"{part.name}: {part.title}", file=sys.stderr, flush=True)
        try:
            content = run_part(part, out, part.command(out, options.smoke, data_dir), left)
        finally:
            report.write(out, command)
        if "error" in content:
            failed.append(f"{part.name}: {content['error']}")
    report.write(out, command)
    print(out / "report.md")
    if failed:
        raise engine.RunError("; ".join(failed))


def run_part(part: Part, out: Path, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run the process of a part, for so many seconds at most; what its file then holds.

    What it prints is added to DIR/NAME.log. A process that fails or takes too long leaves an `error` beside the entries
    that are there; the other parts go on.
    """
    began, log = time.monotonic(), out / f"{part.name}.log"
    with log.open("ab") as told:
        # As written by a person: in the same group, so that whatever ends this process ends the part's too.
        pipes = {"stdin": subprocess.DEVNULL, "stdout": told, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(part), **pipes)
        try:
            status = process.wait(seconds)
            error = None if status == 0 else f"status {status}: {_last_line(log)}"
        except subprocess.TimeoutExpired:
            _end(process)
            error = f"stopped after {seconds:.0f} s"
        except BaseException:
            _end(process)
            raise
    content = state.read(out, part.name)
    spent = content.get("seconds", 0) + time.monotonic() - began
    content = {key: value for key, value in content.items() if key != "error"} | {"seconds": round(spent, 1)}
    content |= {"done": True} if error is None else {"error": error}
    state.write(out, part.name, content)
    return content


def _environment(part: Part) -> dict[str, str]:
    """Measurements take no memory in advance: several processes share the card where sides take turns."""
    shared = {} if part.module is None else {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return {**os.environ, **shared}


def _end(process: subprocess.Popen) -> None:
    """As a person would stop it; then, if it does not end, at once."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, os.path.getsize(log) - 4000))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no message"


def pack(folder: Path, sets: Sequence[str], data_dir: Path | None) -> None:
    """Collect the packages and the data sets that a bare machine lacks into a folder, and say how large it is.

    Raises:
        RunError: a data set cannot be loaded, or the folder is larger than `packages.LIMIT`.
    """
    from data_gen import sources

    folder.mkdir(parents=True, exist_ok=True)
    names = packages.collect(folder)
    try:
        for name in sets:
            sources.pack(name, folder / "data", data_dir=data_dir)
    except (ValueError, OSError, sources.MissingDatasetError) as error:
        raise engine.RunError(str(error)) from error
    total = packages.size(folder)
    print(f"{folder}: {len(names)} packages, {', '.join(sets) or 'no data'}; {total / 2**20:.1f} MiB")
    if total > packages.LIMIT:
        raise engine.RunError(f"{folder} has {total / 2**20:.1f} MiB, more than {packages.LIMIT / 2**20:.0f}")
