"""`python -m experiments.bench`: timings. See --help."""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments.bench import gaspnet, harness, komplexnet, memory, scaling, seeds, waves

SIZES = ("batch_size", "num_steps", "kernel_size", "size", "cases")  # what the steps' commands take, as far as they do


def positive(text: str) -> int:
    """A whole number >= 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def odd(text: str) -> int:
    """An odd number >= 1: the size of a kernel."""
    number = positive(text)
    if number % 2 == 0:
        raise argparse.ArgumentTypeError(f"must be odd, for a kernel to have a centre, got {number}")
    return number


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description="Timings.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("komplexnet", help="a training step against eager PyTorch", allow_abbrev=False)
    step.add_argument("--batch_size", type=positive, default=128)
    step.add_argument("--num_steps", type=positive, default=15, help="of the dynamics")
    step.add_argument("--kernel_size", type=odd, default=13)
    presentation = commands.add_parser("gaspnet", help="a training step against eager PyTorch", allow_abbrev=False)
    presentation.add_argument("--batch_size", type=positive, default=32)
    presentation.add_argument("--num_steps", type=positive, default=6, help="of the phases")
    ripple = commands.add_parser("waves", help="training steps of segmenters against eager PyTorch", allow_abbrev=False)
    ripple.add_argument("--cases", choices=waves.CASES, nargs="+", default=list(waves.CASES))
    for name in ("size", "batch_size", "num_steps"):
        ripple.add_argument(f"--{name}", type=positive, help="instead of each case's own")
    for command in (step, presentation, ripple):
        command.add_argument("--no_peer", action="store_true", help="time JAX alone; needs no PyTorch")
    ways = commands.add_parser("coupling", help="the coupling's methods over sizes", allow_abbrev=False)
    ways.add_argument("--sizes", type=positive, nargs="+", default=[16, 32, 64, 128], help="of the image")
    ways.add_argument("--kernel_sizes", type=odd, nargs="+", default=[3, 5, 9, 13, 25])
    ways.add_argument("--batch_sizes", type=positive, nargs="+", default=[1, 16, 128])
    long = commands.add_parser("memory", help="gradients through long unrolls of waves", allow_abbrev=False)
    long.add_argument("--num_steps", type=positive, nargs="+", default=[1, 100, 500, 2000])
    long.add_argument("--size", type=positive, default=56, help="of the image")
    long.add_argument("--batch_size", type=positive, default=16)
    many = commands.add_parser("seeds", help="seeds at once: seeds a second, memory a seed", allow_abbrev=False)
    many.add_argument("--counts", type=positive, nargs="+", default=[1, 4, 16, 50], help="of seeds")
    many.add_argument("--ways", choices=seeds.WAYS, nargs="+", default=list(seeds.WAYS))
    many.add_argument("--model", choices=seeds.MODELS, default="komplexnet")
    many.add_argument("--batch_size", type=positive, default=32)
    many.add_argument("--size", type=positive, default=32, help="of the image")
    grown = commands.add_parser("scaling", help="throughput over image size and over T", allow_abbrev=False)
    grown.add_argument("--models", choices=scaling.DEFAULTS, nargs="+", default=list(scaling.DEFAULTS))
    grown.add_argument("--sizes", type=positive, nargs="*", default=[32, 64, 128, 256], help="of the image")
    grown.add_argument("--num_steps", type=positive, nargs="*", default=[5, 15, 50, 150], help="of the dynamics")
    grown.add_argument("--batch_size", type=positive, default=4)
    for command in (ways, long, many, grown):
        command.add_argument("--markdown", type=Path, help="write the table here too")
    for command in (step, presentation, ripple, ways, long, many, grown):
        command.add_argument("--rounds", type=positive, default=5, help="turns of each side")
        command.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print it."""
    options = parse(arguments)
    for path in filter(None, (options.json, getattr(options, "markdown", None))):
        if not path.parent.is_dir():  # said now, not after minutes of measuring
            sys.exit(f"cannot write {path}: there is no folder {path.parent}")
    runs = {"coupling": run_coupling, "memory": run_memory, "seeds": run_seeds, "scaling": run_scaling}
    run = runs.get(options.command, run_step)
    figures = run(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def run_step(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the training steps, print a line a case."""
    sizes = {name: value for name in SIZES if (value := getattr(options, name, None)) is not None}
    compare = {"komplexnet": komplexnet, "gaspnet": gaspnet, "waves": waves}[options.command].compare
    try:
        cases = compare(rounds=options.rounds, peer=not options.no_peer, **sizes)
    except (ModuleNotFoundError, komplexnet.MismatchError, harness.SideError) as error:
        sys.exit(str(error))
    print(f"{json.dumps(sizes)}, medians of {options.rounds} rounds in turns")
    for load in {case["load"] for case in cases.values()}:
        print(f"load of the machine before: {load:.1f}" + (", so that these figures mean little" if load > 0.7 else ""))
    for name, case in cases.items():
        print(describe(name, case))
    return cases


def describe(name: str, case: dict[str, Any]) -> str:
    """A case in words, over a few lines."""
    facts, peer = case["facts"], case["peer_facts"]
    lines = [
        f"{name}: JAX {facts['jax']}, {facts['devices']} x {facts['device']}, {facts['threads']} threads",
        f"  {statistics.median(case['milliseconds']):.0f} ms a step, {case['images_per_second']:.1f} images/s, "
        f"compiled in {case['compile_seconds']:.1f} s, peak memory {case['peak_rss_mb']:.0f} MB",
    ]
    if peer:
        lines.append(
            f"  PyTorch {peer['torch']}, {peer['device']}, {peer['threads']} threads: "
            f"{statistics.median(case['peer_milliseconds']):.0f} ms a step, "
            f"{case['peer_images_per_second']:.1f} images/s, peak memory {peer['peak_rss_mb']:.0f} MB; "
            f"ratio {case['ratio']:.2f}"
        )
    if plain := case.get("plain"):
        lines.append(
            f"  PyTorch as the equations read: {statistics.median(plain['milliseconds']):.0f} ms a step, "
            f"{plain['images_per_second']:.1f} images/s; ratio {plain['ratio']:.2f}"
        )
    return "\n".join(lines)


def run_coupling(options: argparse.Namespace) -> dict[str, Any]:
    """Time the coupling's methods, print rows as they come and the table at the end."""
    from experiments.bench import coupling  # brings JAX, which the parent of a comparison does without

    measured = coupling.measure(options.sizes, options.kernel_sizes, options.batch_sizes, rounds=options.rounds)
    rows = show(measured, coupling.table, options.markdown)
    if not rows:
        sys.exit("nothing to measure: every kernel is larger than every image")
    return coupling.facts() | {"rows": rows}


def run_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Measure gradients through long unrolls, print rows as they come and the table at the end."""
    sizes = {name: getattr(options, name) for name in ("size", "batch_size", "rounds")}
    try:
        return {"rows": show(memory.measure(options.num_steps, **sizes), memory.table, options.markdown)}
    except harness.SideError as error:
        sys.exit(str(error))


def run_seeds(options: argparse.Namespace) -> dict[str, Any]:
    """Measure many seeds at once, print rows as they come and the table at the end."""
    settings = {name: getattr(options, name) for name in ("model", "batch_size", "size", "rounds")}
    try:
        return {"rows": show(seeds.measure(options.counts, options.ways, **settings), seeds.table, options.markdown)}
    except harness.SideError as error:
        sys.exit(str(error))


def run_scaling(options: argparse.Namespace) -> dict[str, Any]:
    """Measure throughput over sizes and steps, print rows as they come and the table at the end."""
    settings = {name: getattr(options, name) for name in ("batch_size", "rounds")}
    measured = scaling.measure(options.models, options.sizes, options.num_steps, **settings)
    return {"rows": show(measured, scaling.table, options.markdown)}


def show(rows: Iterable[dict[str, Any]], table: Callable[[list], str], markdown: Path | None) -> list[dict[str, Any]]:
    """Print rows as they come and the table at the end, if there are any; all rows."""
    found = []
    for row in rows:
        print(row, file=sys.stderr, flush=True)
        found.append(row)
    if found:
        text = table(found)
        print(text)
        if markdown:
            markdown.write_text(text + "\n")
    return found


if __name__ == "__main__":
    main()
