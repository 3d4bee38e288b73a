"""Every chosen program for every chosen device, each compiled in a process of its own; and their table."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import engine
from experiments.bench import harness, machine
from experiments.bench.aot import targets

Entries = dict[str, dict[str, Any]]


def usable(names: Sequence[str]) -> list[str]:
    """The targets among `names` whose compilers are installed; a line on stderr for each of the others.

    Raises:
        UsageError: an unknown target, or none is left.
    """
    lines, left = [], []
    for name in names:
        if name not in targets.TARGETS:
            raise engine.UsageError(f"--target={name}: expected some of {', '.join(targets.TARGETS)}")
        extra = targets.missing_extra(targets.TARGETS[name].platform)
        if extra is None:
            left.append(name)
        else:
            lines.append(f'--target={name}: its compiler is not installed; pip install "oscnets[{extra}]"')
    if not left:
        raise engine.UsageError(" and ".join(lines))
    for line in lines:
        print(f"skipped: {line}", file=sys.stderr)
    return left


def read(path: Path | None) -> Entries:
    """What an earlier call wrote; {} where there is nothing.

    Raises:
        UsageError: the file is no such JSON.
    """
    if path is None or not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise engine.UsageError(f"--json={path}: cannot be read: {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise engine.UsageError(f"--json={path}: expected a table of PROGRAM/TARGET")
    return entries


def compile_all(
    programs: Sequence[str], names: Sequence[str], *, path: Path | None, limit: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (PROGRAM/TARGET, entry) of every program and target, and write each to `path` when it is there.

    One process at a time, so that compile times compare. Entries of the file are not computed again, unless
    they hold an error: that of a program that fails, crashes, or takes more than `limit` seconds.
    """
    entries = read(path)
    facts = {"commit": _commit(), "processor": machine.processor(), "cores": engine.devices.usable_cores()}
    for name in names:
        for program in programs:
            key = f"{program}/{name}"
            if "error" in entries.get(key, {"error": ""}):
                load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
                entries[key] = compile_one(program, name, limit) | facts | {"load": load}
                if path is not None:
                    engine.write_atomically(path, (json.dumps(entries, indent=2) + "\n").encode(), shared=True)
            yield key, entries[key]


def compile_one(program: str, name: str, limit: float) -> dict[str, Any]:
    """The figures that `worker` prints, or {"error": one line}."""
    command = [sys.executable, "-m", "experiments.bench.aot.worker", program, name]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options = {"cwd": harness.ROOT, "env": targets.environment(), "encoding": "utf-8", "errors": "replace"}
    with subprocess.Popen(command, **pipes, **options, start_new_session=True) as process:
        try:
            out, told = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            harness.end(process)
            process.communicate()
            return {"error": f"took more than {limit:g} s"}
        except BaseException:
            harness.end(process)
            process.communicate()
            raise
    if process.returncode:
        return {"error": f"status {process.returncode}: {_last_line(told)}"}
    try:
        return json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": f"printed no figures: {_last_line(out)}"}


def _last_line(text: str) -> str:
    """What a compiler's failed check says, which more lines may follow; otherwise the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    checks = [line for line in lines if "Check failed" in line]
    return (checks or lines or ["no message"])[-1][:500]


def _commit() -> str | None:
    """The checkout's commit, with "+" where files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


HEAD = (
    *("program", "device", "compiler s", "arguments MiB", "temporaries MiB", "code MiB", "of memory"),
    *("kernels", "per time step"),
    *("GFLOP", "GB", "launches ms", "memory ms", "arithmetic ms", "exchanges"),
)


def table(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The entries in Markdown, one line each; in bold the largest of the three times, and what does not fit."""
    return engine.markdown.table(HEAD, [_row(key, entry) for key, entry in entries.items()])


def _row(key: str, entry: Mapping[str, Any]) -> list[str]:
    program, _, target = key.rpartition("/")
    if "error" in entry:
        return [program, target, entry["error"], *[""] * (len(HEAD) - 3)]
    sizes = [entry[f"{what}_bytes"] for what in ("argument", "temporary", "code")]
    share = sum(filter(None, [*sizes, entry["output_bytes"]])) / targets.TARGETS[target].memory
    times = entry["least_seconds"].values()
    largest = max(time for time in times if time is not None)
    steps = entry["kernels_per_step"]
    few, batch = entry.get("slice_size"), entry.get("batch_size")
    return [
        f"{program}, slices of {few}" if few and few < batch // _along_data(entry) else program,
        target,
        f"{entry.get('compile_cpu_seconds', entry['compile_seconds']):.0f}",
        *("-" if size is None else f"{size / 2**20:,.0f}" for size in sizes),
        f"**{share:.0%}**" if share > 1 else f"{share:.0%}",
        f"{entry['kernels']:,}",
        "-" if steps is None else f"{steps:.0f}",
        f"{entry['flops'] / 1e9:.3g}",
        f"{entry['bytes'] / 1e9:.3g}",
        *("-" if time is None else f"**{_ms(time)}**" if time == largest else _ms(time) for time in times),
        _exchanges(entry.get("collectives", {})) if targets.TARGETS[target].count > 1 else "-",
    ]


def _exchanges(found: Mapping[str, Mapping[str, float]]) -> str:
    parts = [f"{each['count']} {kind}, {each['bytes'] / 2**20:.3g} MiB" for kind, each in found.items()]
    return "; ".join(parts) or "none"


def _along_data(entry: Mapping[str, Any]) -> int:
    return int(entry["mesh"].rpartition("x")[2])


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"
