"""Time of the forward pass of every network, taken side by side."""

import itertools
from collections.abc import Mapping
from functools import partial

import jax
from ml_collections import ConfigDict

from experiments import engine
from experiments.bench import harness
from experiments.compare.data import image_shape
from experiments.compare.task import answer, make_network

IMAGES, ROUNDS = 32, 7


def measure(config: ConfigDict, models: Mapping[str, engine.Model]) -> dict[str, list[float]]:
    """Milliseconds per image of every round, by label.

    The models take turns (`harness.turn`), so that other work on the machine falls on all of them. Parameters are
    initial ones, images random: time does not depend on values.

    Args:
        config: of the comparison.
        models: by label.
    """
    batch = {"images": jax.random.uniform(jax.random.key(1), (IMAGES, *image_shape(config)))}
    keys = jax.random.split(jax.random.key(0), IMAGES)
    calls = {}
    for label, model in models.items():
        params = jax.jit(model.task().init)(jax.random.key(0))
        forward = jax.jit(partial(answer, make_network(model.config, model.table)))
        calls[label] = lambda forward=forward, params=params: jax.block_until_ready(forward(params, batch, keys))
        calls[label]()  # compiles
    spent: dict[str, list[float]] = {label: [] for label in calls}
    for _, (label, call) in itertools.product(range(ROUNDS), calls.items()):
        spent[label].append(1e3 * harness.turn(call) / IMAGES)
    return spent
