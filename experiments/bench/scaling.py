"""Throughput of training steps over the size of the image and over the number of steps of the dynamics.

Every case runs in a process of its own on all devices.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from experiments import engine
from experiments.bench import harness, komplexnet, waves

SIDE = "experiments.bench.scaling:train"
# By model: size of the image, and steps of the dynamics; one is fixed while the other varies.
DEFAULTS = {"komplexnet": (32, 15), "wave_machine": (56, 100), "conv_lstm": (56, 20)}


def train(*, model: str, size: int, num_steps: int, batch_size: int) -> tuple[Callable[[], Any], dict[str, Any]]:
    """The side of a case: the step of the comparison with PyTorch, at another size."""
    if model != "komplexnet":
        from experiments.bench import jax_waves

        options = waves.CASES[model] | {"size": size, "num_steps": num_steps, "batch_size": batch_size}
        return jax_waves.train(**options, all_devices=True)
    from experiments.bench import jax_komplexnet
    from experiments.configs import komplexnet as configs
    from experiments.komplexnet.specs import FAMILY

    config = configs.get_config("paper")
    config.model.num_steps, config.data.size, config.train.batch_size = num_steps, size, batch_size
    make_task = jax_komplexnet.model_of(FAMILY, config, model).task
    return jax_komplexnet.train_step(make_task, arrays(batch_size, size), all_devices=True)


def arrays(batch_size: int, size: int) -> dict[str, np.ndarray]:
    """Training arrays of KomplexNet: the comparison's scenes with each pixel repeated, cut to (B, size, size, ...)."""
    scenes, times = komplexnet.scenes(batch_size), -(-size // komplexnet.SIZE)
    large = {name: scenes[name].repeat(times, 1).repeat(times, 2)[:, :size, :size] for name in ("images", "masks")}
    return large | {"targets": np.eye(10, dtype=np.float32)[scenes["labels"]].max(1)}


def measure(
    models: Sequence[str], sizes: Sequence[int], lengths: Sequence[int], *, batch_size: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield one row per case: model, over ("size" or "num_steps"), size, num_steps, seconds, images per second, MiB.

    A case whose process dies, for want of memory say, has None for its figures.
    """
    for model in models:
        size, length = DEFAULTS[model]
        for over, at in [("size", (value, length)) for value in sizes] + [("num_steps", (size, v)) for v in lengths]:
            case = {"model": model, "size": at[0], "num_steps": at[1], "batch_size": batch_size}
            yield {"over": over, **case} | _figures(case, rounds)


def _figures(case, rounds):
    try:
        with harness.Worker(SIDE, case) as worker:
            worker.ask("facts")
            seconds = statistics.median(harness.alternate({"": worker}, rounds)[""])
            rest = worker.ask("facts")
    except harness.SideError:
        return {"seconds": None, "images_per_second": None, "peak_rss_mb": None}
    return {"seconds": seconds, "images_per_second": case["batch_size"] / seconds} | rest


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: one line per case."""
    head = ["model", "image", "T", "images/s", "s per step", "peak MiB"]
    lines = []
    for row in rows:
        figures = {"images_per_second": ".1f", "seconds": ".3f", "peak_rss_mb": ".0f"}
        cells = ["-" if row[name] is None else f"{row[name]:,{form}}" for name, form in figures.items()]
        lines.append([row["model"], row["size"], row["num_steps"], *cells])
    return engine.markdown.table(head, lines)
