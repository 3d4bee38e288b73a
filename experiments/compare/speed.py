"""Time of the forward pass of every network, taken side by side."""

import time
from collections.abc import Mapping
from functools import partial

import jax
from ml_collections import ConfigDict

from experiments import engine
from experiments.compare.data import image_shape
from experiments.compare.task import answer, make_network

IMAGES, ROUNDS = 32, 20


def measure(config: ConfigDict, models: Mapping[str, engine.Model]) -> dict[str, list[float]]:
    """Milliseconds per image of every round, by label.

    The models take turns, round by round, so that other work on the machine falls on all of them; each is called twice
    in its turn, and the second call counts. Parameters are initial ones, images random: time does not depend on values.

    Args:
        config: of the comparison.
        models: by the names of their tables.
    """
    batch = {"images": jax.random.uniform(jax.random.key(1), (IMAGES, *image_shape(config)))}
    keys = jax.random.split(jax.random.key(0), IMAGES)
    calls = {}
    for name, model in models.items():
        params = jax.jit(model.task().init)(jax.random.key(0))
        calls[model.label] = partial(jax.jit(partial(answer, make_network(config, name))), params, batch, keys)
        jax.block_until_ready(calls[model.label]())  # compiles
    spent: dict[str, list[float]] = {label: [] for label in calls}
    for _ in range(ROUNDS):
        for label, call in calls.items():
            jax.block_until_ready(call())
            start = time.perf_counter()
            jax.block_until_ready(call())
            spent[label].append(1e3 * (time.perf_counter() - start) / IMAGES)
    return spent
