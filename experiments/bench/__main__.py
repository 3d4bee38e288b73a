"""`python -m experiments.bench COMMAND`: timings. See --help."""

import argparse
import json
import signal
import statistics
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from experiments import engine
from experiments.bench import (
    akorn,
    dynamics,
    filters,
    gaspnet,
    harness,
    komplexnet,
    machine,
    memory,
    profile,
    scaling,
    seeds,
    waves,
)
from experiments.bench.aot import run as aot
from experiments.bench.aot import targets

SIZES = ("batch_size", "num_steps", "kernel_size", "size", "channels", "cases")  # flags that are arguments of `compare`


def odd(text: str) -> int:
    """An odd number >= 1: the size of a kernel."""
    number = engine.positive(text)
    if number % 2 == 0:
        raise argparse.ArgumentTypeError(f"must be odd, for a kernel to have a centre, got {number}")
    return number


def parser() -> engine.Parser:
    """The command line: one command per benchmark."""
    parser = engine.Parser(prog="python -m experiments.bench", description="Timings.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_steps(commands)
    _add_tables(commands)
    for command in commands.choices.values():
        command.add_argument("--rounds", type=engine.positive, default=5, help="turns of each side")
        command.add_argument("--workdir", type=engine.user_path, help="for COMMAND.json, and COMMAND.md of a table")
    _add_compile(commands)
    return parser


def _add_steps(commands: Any) -> None:
    """Training steps against PyTorch."""
    add = commands.add_parser("komplexnet", help="a training step against eager PyTorch").add_argument
    add("--batch_size", type=engine.positive, default=128)
    add("--num_steps", type=engine.positive, default=15, help="of the dynamics")
    add("--kernel_size", type=odd, default=13)
    add = commands.add_parser("gaspnet", help="a training step against eager PyTorch").add_argument
    add("--batch_size", type=engine.positive, default=32)
    add("--num_steps", type=engine.positive, default=6, help="of the phases")
    add = commands.add_parser("waves", help="training steps of segmenters against eager PyTorch").add_argument
    _add_cases(add, waves.CASES, ("size", "batch_size", "num_steps"))
    text = "training steps on Sudokus and on pairs of pictures against eager PyTorch"
    _add_cases(
        commands.add_parser("akorn", help=text).add_argument, akorn.CASES, ("channels", "batch_size", "num_steps")
    )
    for command in commands.choices.values():
        command.add_argument("--compiled", action="store_true", help="time PyTorch compiled by itself too")
        command.add_argument("--no_peer", action="store_true", help="time JAX alone; needs no PyTorch")


def _add_cases(add: Callable[..., Any], cases: Iterable[str], sizes: Iterable[str]) -> None:
    add("--cases", choices=cases, nargs="+", default=list(cases))
    for name in sizes:
        add(f"--{name}", type=engine.positive, help="instead of the case's value")


def _add_tables(commands: Any) -> None:
    """Tables over methods, sizes, lengths and numbers of seeds."""
    add = commands.add_parser("coupling", help="the coupling's methods over sizes").add_argument
    add("--sizes", type=engine.positive, nargs="+", default=[16, 32, 64, 128], help="of the image")
    add("--kernel_sizes", type=odd, nargs="+", default=[3, 5, 9, 13, 25])
    add("--batch_sizes", type=engine.positive, nargs="+", default=[1, 16, 128])
    add("--compiled", type=engine.user_path, help="print the table of this file of `compile`; nothing is measured")
    add = commands.add_parser("memory", help="gradients through long unrolls of waves").add_argument
    add("--num_steps", type=engine.positive, nargs="+", default=[1, 100, 500, 2000])
    add("--size", type=engine.positive, default=56, help="of the image")
    add("--batch_size", type=engine.positive, default=16)
    add = commands.add_parser("seeds", help="several seeds at once: seeds per second, memory per seed").add_argument
    add("--counts", type=engine.positive, nargs="+", default=[1, 4, 16, 50], help="of seeds")
    add("--ways", choices=seeds.WAYS, nargs="+", default=list(seeds.WAYS))
    add("--model", choices=seeds.MODELS, default="komplexnet")
    add("--batch_size", type=engine.positive, default=32)
    add("--size", type=engine.positive, default=32, help="of the image")
    add = commands.add_parser("dynamics", help="simulations of graphs against other packages").add_argument
    add("--counts", type=engine.positive, nargs="+", default=[100, 1000, 10_000], help="of oscillators")
    add("--sides", choices=dynamics.SIDES, nargs="+", default=list(dynamics.SIDES), help="those installed are measured")
    add("--forms", choices=dynamics.FORMS, nargs="+", default=list(dynamics.FORMS), help="of couplings")
    add("--degree", type=engine.positive, default=20, help="edges that an oscillator of a sparse graph receives")
    add("--num_steps", type=engine.positive, default=1000, help="most steps of a run")
    add("--limit", type=engine.positive, default=45, help="seconds of a side for a graph")
    add = commands.add_parser(
        "filters", help="a layer of LinOSS over sequence lengths, against other code"
    ).add_argument
    add("--lengths", type=engine.positive, nargs="+", default=[256, 1024, 4096, 16_384], help="of the sequences")
    add("--sides", choices=filters.SIDES, nargs="+", default=list(filters.SIDES), help="those installed are measured")
    add("--batch_size", type=engine.positive, default=4)
    add("--channels", type=engine.positive, default=64, help="of the sequences, and oscillators")
    add("--limit", type=engine.positive, default=120, help="seconds of a side for a row, its compilation included")
    text = "the waves of all steps at once by iterations, against the loop"
    add = commands.add_parser("parallel_waves", help=text).add_argument
    add("--sizes", type=engine.positive, nargs="+", default=[14, 28, 56], help="of the image")
    add("--num_steps", type=engine.positive, nargs="+", default=[25, 50, 100, 400, 1000], help="of the dynamics")
    add("--channels", type=engine.positive, nargs="*", default=[1, 4, 16], help="of networks that are not trained")
    text = "errors of the dynamics by the precision of products, emulated on a CPU"
    add = commands.add_parser("precision", help=text).add_argument
    add("--names", nargs="+", help="of the dynamics of `compile`; all without it")
    add = commands.add_parser("profile", help="where the time of a training step goes").add_argument
    add("--models", choices=profile.CASES, nargs="+", default=list(profile.CASES))
    for name in ("batch_size", "num_steps"):
        add(f"--{name}", type=engine.positive, help="instead of the model's value")
    add = commands.add_parser("scaling", help="throughput over image size and over T").add_argument
    add("--models", choices=scaling.DEFAULTS, nargs="+", default=list(scaling.DEFAULTS))
    add("--sizes", type=engine.positive, nargs="*", default=[32, 64, 128, 256], help="of the image")
    add("--num_steps", type=engine.positive, nargs="*", default=[5, 15, 50, 150], help="of the dynamics")
    add("--batch_size", type=engine.positive, default=4)


def _add_compile(commands: Any) -> None:
    """Programs for devices that are not there."""
    text = "compile programs for devices that are not there; nothing is measured"
    add = commands.add_parser("compile", help=text, description=text).add_argument
    add("--target", type=_listed, default=list(targets.TARGETS), help=f"some of {','.join(targets.TARGETS)}")
    add(
        "--only", type=_listed, help="programs: names, parts of them from the left, patterns; main: some of each family"
    )
    add("--json", type=engine.user_path, help="the file of results; what it holds is not compiled again")
    add("--limit", type=engine.positive, default=900, help="seconds for a program")
    add("--list", action="store_true", help="print the names of the programs only")


def _listed(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and print it; the exit status."""
    if threading.current_thread() is not threading.main_thread():
        return parser().run(run, argv)
    # As SystemExit, on which the processes of sides and compilations end with this one.
    before = signal.signal(signal.SIGTERM, lambda signum, _: sys.exit(128 + signum))
    try:
        return parser().run(run, argv)
    finally:
        signal.signal(signal.SIGTERM, before)


def run(options: argparse.Namespace) -> None:
    """Carry out a command; UsageError and RunError where that fails."""
    if options.command == "compile":
        run_compile(options)
        return
    if options.command == "coupling" and options.compiled is not None:
        from experiments.bench import coupling

        text = coupling.compiled_table(aot.read(options.compiled))
        if text.count("\n") < 2:
            raise engine.UsageError(f"--compiled={options.compiled}: there are no couplings in it")
        print(text)
        return
    if options.workdir is not None:
        engine.make_workdir(options.workdir)  # before the measurements, which take minutes
    runs = {"coupling": run_coupling, "memory": run_memory, "seeds": run_seeds, "scaling": run_scaling}
    runs |= {"dynamics": run_dynamics, "filters": run_filters, "parallel_waves": run_parallel_waves}
    runs |= {"profile": run_profile, "precision": run_precision}
    try:
        results = runs.get(options.command, run_step)(options)
    except ModuleNotFoundError as error:
        raise engine.UsageError(str(error)) from error
    except (komplexnet.MismatchError, harness.SideError) as error:
        raise engine.RunError(str(error)) from error
    if options.workdir is not None:
        text = json.dumps(results, indent=2) + "\n"
        engine.write_atomically(options.workdir / f"{options.command}.json", text.encode(), shared=True)


def run_step(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the training steps and print the cases."""
    sizes = {name: value for name in SIZES if (value := getattr(options, name, None)) is not None}
    compare = {"komplexnet": komplexnet, "gaspnet": gaspnet, "waves": waves, "akorn": akorn}[options.command].compare
    cases = compare(rounds=options.rounds, peer=not options.no_peer, compiled=options.compiled, **sizes)
    print(f"{json.dumps(sizes)}, medians of {options.rounds} rounds in turns")
    for load in {case["load"] for case in cases.values()}:
        unreliable = ": too busy for reliable timings" if load > 0.7 else ""
        print(f"load of the machine before: {load:.1f}{unreliable}")
    print(machine.describe(next(iter(cases.values()))["machine"]))
    for name, case in cases.items():
        print(describe(name, case))
    return cases


def describe(name: str, case: dict[str, Any]) -> str:
    """A case in a few lines of text."""
    facts, peer = case["facts"], case["peer_facts"]
    lines = [
        f"{name}: JAX {facts['jax']}, {facts['devices']} x {facts['device']}, {facts['threads']} threads",
        f"  {statistics.median(case['milliseconds']):.0f} ms per step, {case['images_per_second']:.1f} images/s, "
        f"compiled in {case['compile_seconds']:.1f} s, peak memory {case['peak_rss_mb']:.0f} MB",
        "  {product:.0%} of the rate of a large product, {copy:.0%} of a large copy's".format_map(case["shares"]),
    ]
    if peer:
        lines.append(
            f"  PyTorch {peer['torch']}, {peer['device']}, {peer['threads']} threads: "
            f"{statistics.median(case['peer_milliseconds']):.0f} ms per step, "
            f"{case['peer_images_per_second']:.1f} images/s, peak memory {peer['peak_rss_mb']:.0f} MB; "
            f"ratio {case['ratio']:.2f}"
        )
    for key, title in (("plain", "as the equations read"), ("compiled", "compiled")):
        if other := case.get(key):
            lines.append(
                f"  PyTorch {title}: {statistics.median(other['milliseconds']):.0f} ms per step, "
                f"{other['images_per_second']:.1f} images/s; ratio {other['ratio']:.2f}"
            )
    return "\n".join(lines)


def run_coupling(options: argparse.Namespace) -> dict[str, Any]:
    """Time the coupling's methods."""
    from experiments.bench import coupling  # starts JAX, which the parent of a comparison must not

    measured = coupling.measure(options.sizes, options.kernel_sizes, options.batch_sizes, rounds=options.rounds)
    rows = show(measured, coupling.table, options)
    if not rows:
        raise engine.UsageError("nothing to measure: every kernel is larger than every image")
    return coupling.facts() | {"rows": rows}


def run_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Measure gradients through long unrolls."""
    sizes = {name: getattr(options, name) for name in ("size", "batch_size", "rounds")}
    return {"rows": show(memory.measure(options.num_steps, **sizes), memory.table, options)}


def run_seeds(options: argparse.Namespace) -> dict[str, Any]:
    """Measure many seeds at once."""
    settings = {name: getattr(options, name) for name in ("model", "batch_size", "size", "rounds")}
    return {"rows": show(seeds.measure(options.counts, options.ways, **settings), seeds.table, options)}


def run_scaling(options: argparse.Namespace) -> dict[str, Any]:
    """Measure throughput over sizes and steps."""
    settings = {name: getattr(options, name) for name in ("batch_size", "rounds")}
    measured = scaling.measure(options.models, options.sizes, options.num_steps, **settings)
    return {"rows": show(measured, scaling.table, options)}


def run_profile(options: argparse.Namespace) -> dict[str, Any]:
    """Measure where the time of training steps goes."""
    sizes = {name: value for name in SIZES if (value := getattr(options, name, None)) is not None}
    return {"rows": show(profile.measure(options.models, rounds=options.rounds, **sizes), profile.table, options)}


def run_precision(options: argparse.Namespace) -> dict[str, Any]:
    """Compute the errors of lower precision."""
    from experiments.bench import precision  # imports every dynamics

    known = precision.dynamics.DYNAMICS
    if unknown := [name for name in options.names or () if name not in known]:
        raise engine.UsageError(f"--names: expected some of {', '.join(known)}, got {unknown[0]}")
    return {"rows": show(precision.measure(options.names or list(known)), precision.table, options)}


def run_dynamics(options: argparse.Namespace) -> dict[str, Any]:
    """Measure simulations of graphs."""
    if min(options.counts) <= options.degree:
        raise engine.UsageError(f"--degree={options.degree} needs more oscillators than {min(options.counts)}")
    settings = {name: getattr(options, name) for name in ("forms", "degree", "num_steps", "rounds", "limit")}
    names = dynamics.present(options.sides)
    return {"rows": show(dynamics.measure(options.counts, names, **settings), dynamics.table, options)}


def run_filters(options: argparse.Namespace) -> dict[str, Any]:
    """Time a layer of LinOSS."""
    settings = {name: getattr(options, name) for name in ("batch_size", "channels", "rounds", "limit")}
    names = filters.present(options.sides)
    return {"rows": show(filters.measure(options.lengths, names, **settings), filters.table, options)}


def run_parallel_waves(options: argparse.Namespace) -> dict[str, Any]:
    """Count iterations and time the waves of all steps at once."""
    from experiments.bench import parallel_waves  # compiles as it measures

    sizes = options.sizes, options.num_steps, options.channels
    return {"rows": show(parallel_waves.measure(*sizes, rounds=options.rounds), parallel_waves.table, options)}


def run_compile(options: argparse.Namespace) -> None:
    """Compile programs, print each when it is there, and the table."""
    from experiments.bench.aot import programs  # imports every family

    chosen = programs.chosen(options.only)
    if options.list:
        print("\n".join(chosen))
        return
    entries = {}
    names = aot.usable(options.target)
    for key, entry in aot.compile_all(chosen, names, path=options.json, limit=options.limit):
        entries[key] = entry
        print(json.dumps({key: entry}), file=sys.stderr, flush=True)
    print(aot.table(entries))
    if failed := [key for key, entry in entries.items() if "error" in entry]:
        raise engine.RunError(f"not compiled: {', '.join(failed)}")


def show(
    rows: Iterable[dict[str, Any]], table: Callable[[list], str], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Print each row when it is measured, then the table of all rows, if there are any; returns the rows."""
    measured = []
    for row in rows:
        print(row, file=sys.stderr, flush=True)
        measured.append(row)
    if measured:
        text = table(measured)
        print(text)
        if options.workdir is not None:
            engine.write_atomically(options.workdir / f"{options.command}.md", (text + "\n").encode(), shared=True)
    return measured


if __name__ == "__main__":
    sys.exit(main())
