"""Sudoku: the networks that solve it, their loss, and their answers after any number of steps, alone or by vote."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine import Table
from oscnets import models, ops

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


class Answer(NamedTuple):
    """Of one run on a batch."""

    logits: Array  # (B, 9, 9, 9), class k is digit k + 1
    energies: Array | None  # (T, B), of a network that has them


def akorn(config: ConfigDict, model: Table) -> models.AKOrN:
    """AKOrN with the head of Sudoku."""
    settings = config.model
    return models.AKOrN(
        channels=settings.channels,
        num_layers=settings.num_layers,
        components=settings.components,
        coupling=model["coupling"],
        heads=settings.heads,
        kernel_size=settings.kernel_size,
        num_steps=settings.num_steps,
    )


def itrsa(config: ConfigDict, model: Table) -> models.ItrSA:
    """Iterated self-attention; with one step and several layers the Transformer."""
    settings = config.model
    return models.ItrSA(
        channels=settings.channels,
        num_blocks=settings.num_layers,
        heads=settings.heads,
        num_steps=settings.num_steps,
    )


BUILDERS: dict[str, Callable[[ConfigDict, Table], nn.Module]] = {"akorn": akorn, "itrsa": itrsa}


def make_task(config: ConfigDict, model: Table, tests: Mapping[str, Table]) -> engine.Task:
    """The task of one model, given its own config, its table and those of the test sets by label."""
    network, train = BUILDERS[model["network"]](config, model), config.train
    init = partial(network.init, images=jnp.zeros((1, 9, 9), jnp.int32))
    if isinstance(network, models.AKOrN):
        init = partial(init, noise=jnp.zeros((1, 9, 9, config.model.channels)))
    scores_on = cache(partial(_scores_on, network))
    task = engine.Task(
        init,
        partial(loss, network),
        scores_on(None, 1, "sum"),
        engine.optimizer.make(train),
        score="cells",
        evaluate_on=lambda label: scores_on(*(tests[label][key] for key in ("steps", "votes", "by"))),
    )
    return engine.averaged(task, decay=train.average_decay, every=train.average_every, start=train.average_start)


def _scores_on(network: nn.Module, steps: int | None, votes: int, by: str) -> Callable[..., dict[str, Array]]:
    """The function that scores a test set; the same one for the same arguments."""
    return partial(scores, network, steps, votes, by)


def run(network: nn.Module, params, puzzles: Array, keys: Array, *, num_steps: int | None = None) -> Answer:
    """One run on boards (B, 9, 9); the noise of each is drawn by its own key, (B,)."""
    puzzles = puzzles.astype(jnp.int32)
    if not isinstance(network, models.AKOrN):
        return Answer(network.apply(params, puzzles, num_steps=num_steps).logits, None)
    out = network.apply(params, puzzles, noise=noise_of(network, keys), num_steps=num_steps)
    return Answer(out.logits, sum(out.energies))


def noise_of(network: models.AKOrN, keys: Array) -> Array:
    """States before the first step, (B, 9, 9, C)."""
    return jax.vmap(lambda key: jax.random.normal(key, (9, 9, network.channels)))(keys)


def loss(network: nn.Module, params, batch, keys) -> Scored:
    """Cross-entropy of all 81 cells, the given ones too."""
    logits = run(network, params, batch["puzzles"], keys).logits
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch["solutions"].astype(jnp.int32) - 1)
    return entropy.mean(), {}


def scores(network: nn.Module, steps: int | None, votes: int, by: str, params, batch, keys) -> dict[str, Array]:
    """(B,) each: whether every blank cell is right (`boards`), the share of them that are (`cells`), the cross-entropy.

    Args:
        network: of the task.
        steps: of the dynamics; None: those of the training.
        votes: runs from different noises, of which one gives the answer.
        by: which one, see `oscnets.ops.vote`.
        params, batch, keys: as for `engine.Task.evaluate`.
    """
    solve = partial(run, network, params, batch["puzzles"], num_steps=steps)
    if votes == 1:
        logits = solve(keys).logits
    else:
        each = jax.vmap(lambda key: jax.random.split(key, votes))(keys)
        answers = jax.lax.map(solve, each.T)
        logits = ops.vote(answers.logits, None if by == "confidence" else answers.energies, by=by).logits
    classes, blank = batch["solutions"].astype(jnp.int32) - 1, batch["puzzles"] == 0
    right = jnp.where(blank, logits.argmax(-1) == classes, False).sum((1, 2))
    number = blank.sum((1, 2))
    undefined = jnp.where(jnp.isnan(logits), logits, 0).sum((1, 2, 3))
    return {
        "boards": (right == number) + undefined,
        "cells": right / jnp.maximum(number, 1) + undefined,
        "loss": optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean((1, 2)),
    }
