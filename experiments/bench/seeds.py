"""Several seeds at once: training steps of all seeds per second, and memory per seed, by placement on devices.

Every case runs in a process of its own, so that its peak memory is measured alone. The ways of one number of seeds
take turns.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from experiments import engine
from experiments.bench import harness, scaling

SIDE = "experiments.bench.seeds:train"
# Number of JAX devices of the CPU (other platforms have a fixed number), and how the seeds on each are computed.
WAYS = {"vmap": (1, "vmap"), "loop": (1, "loop"), "sharded": (4, "vmap")}
MODELS = ("komplexnet", "real")


def train(*, model: str, seeds: int, way: str, batch_size: int, size: int) -> tuple[Callable[[], Any], dict[str, Any]]:
    """The side of a case: one training step of every seed."""
    import time

    import jax
    import numpy as np

    from experiments.bench.jax_komplexnet import model_of
    from experiments.configs import komplexnet as configs
    from experiments.engine import devices as mesh
    from experiments.engine import fit, steps
    from experiments.engine import seeds as seeds_lib
    from experiments.komplexnet.specs import FAMILY

    devices, strategy = WAYS[way]
    mesh.configure_cpu_devices(devices)
    config = configs.get_config("paper")
    config.train.batch_size, config.data.size = batch_size, size
    task = model_of(FAMILY, config, model).task()
    plan = seeds_lib.make_plan(0, seeds, batch_size, strategy, jax.devices()[:devices])
    groups = plan.split(plan.seeds)
    data = mesh.replicate(plan.mesh, scaling.arrays(batch_size, size))
    initialize, order = steps.make_initialize(task, plan), steps.make_order(plan, batch_size)
    state = [initialize(group) for group in groups]
    fixed = [(group, order(group, np.int32(0)), data) for group in groups]
    began = time.perf_counter()
    numbers = np.int32(0), np.int32(0)
    step = steps.make_step(task, plan, batch_size, 1).lower(*state[0], *fixed[0], *numbers).compile()
    taken = time.perf_counter() - began

    def run():
        nonlocal state
        updates = [step(*before, *rest, *numbers) for before, rest in zip(state, fixed, strict=True)]
        state = [update[:2] for update in jax.block_until_ready(updates)]

    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / seeds
    facts = {"mesh": "x".join(map(str, plan.mesh.devices.shape)), "state_mb_per_seed": kept / 2**20}
    facts["program_mb"] = fit.size(step) / 2**20
    return run, {"compile_seconds": taken, "jax": jax.__version__, "device": jax.devices()[0].device_kind} | facts


def measure(
    counts: Sequence[int], ways: Sequence[str], *, model: str, batch_size: int, size: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield one row per case: seeds, way, seconds of a step of all seeds (the median), seeds per second, MiB."""
    sizes = {"model": model, "batch_size": batch_size, "size": size}
    for count in counts:
        with ExitStack() as stack:
            workers = {}
            for way in ways:
                worker = stack.enter_context(harness.Worker(SIDE, {"seeds": count, "way": way, **sizes}))
                worker.ask("facts")  # in sequence, so that nothing else runs while a side compiles
                workers[way] = worker
            seconds = harness.alternate(workers, rounds)
            for way, worker in workers.items():
                median = statistics.median(seconds[way])
                row = {"seeds": count, "way": way, **sizes, "seconds": median, "seeds_per_second": count / median}
                yield row | worker.ask("facts")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: one line per number of seeds, columns by way; memory per additional seed."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    head = [
        "seeds",
        *(f"{way}: {quantity}" for way in ways for quantity in ("seeds/s", "peak MiB", "MiB per further seed")),
    ]
    lines = []
    by_case = {(row["seeds"], row["way"]): row for row in rows}
    least = min(row["seeds"] for row in rows)
    for count in dict.fromkeys(row["seeds"] for row in rows):
        cells = [str(count)]
        for way in ways:
            row, first = by_case[count, way], by_case[least, way]
            more = (row["peak_rss_mb"] - first["peak_rss_mb"]) / (count - least) if count > least else None
            cells += [f"{row['seeds_per_second']:.3g}", f"{row['peak_rss_mb']:,.0f}"]
            cells += ["" if more is None else f"{more:.3g}"]
        lines.append(cells)
    return engine.markdown.table(head, lines)
