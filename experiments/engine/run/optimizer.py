"""Optimizers and schedules of the learning rate by name, built on optax: the entries `train.*` of every config.

The learning rate is a function of the training's progress, the share of its updates that are done, which the engine
hands to the optimizer at every update (`steps`). Nothing of the schedule is kept in the optimizer's state, so a run
that continues from a checkpoint has the rates of one that was never stopped.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

COOLDOWN = 0.4  # share of the training in which the schedule "stable_decay" falls

# Directions of descent at learning rate 1. Muon orthogonalizes the updates of matrices; of all else it is Adam's.
OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": lambda: optax.adam(1.0),
    "nadam": lambda: optax.nadam(1.0),
    "lion": lambda: optax.lion(1.0),
    "muon": lambda: optax.contrib.muon(1.0),
    "sgd": lambda: optax.sgd(1.0, momentum=0.9),
}

# Progress in [0, 1] -> factor of the learning rate.
SCHEDULES: dict[str, Callable[[Array], Array]] = {
    "constant": jnp.ones_like,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + jnp.cos(jnp.pi * progress)) / 2,
    "stable_decay": lambda progress: jnp.minimum((1 - progress) / COOLDOWN, 1),
}


def make(train: ConfigDict) -> optax.GradientTransformationExtraArgs:
    """The optimizer of a config's entries `train`.

    In order: the gradient's norm is clipped (`clip_norm`), weight decay is added to the gradient (`weight_decay`, as
    PyTorch's Adam does), `optimizer` gives a direction, which is scaled by `learning_rate` and `schedule`.

    Returns:
        A transformation whose `update` takes `progress`, a scalar in [0, 1], as a further argument; without it, 0.
    """
    clip = optax.identity() if train.clip_norm is None else optax.clip_by_global_norm(train.clip_norm)
    decay = optax.add_decayed_weights(train.weight_decay) if train.weight_decay else optax.identity()
    rate = learning_rate(train.learning_rate, train.schedule, train.warmup)
    # A checkpoint finds leaves by their path: nested, so that Adam's are at opt_state.1.0 as in earlier runs.
    return optax.chain(optax.chain(clip, decay), OPTIMIZERS[train.optimizer](), scale_by_progress(rate))


def learning_rate(peak: float | Array, schedule: str, warmup: float) -> Callable[[Array], Array]:
    """Progress in [0, 1] -> learning rate.

    Args:
        peak: the largest rate.
        schedule: one of `SCHEDULES`, of the progress after the warm-up.
        warmup: share of the training in which the rate rises linearly from 0, so that the first update changes nothing,
            in [0, 1).
    """
    factor = SCHEDULES[schedule]

    def rate(progress: Array) -> Array:
        after = factor(jnp.maximum(progress - warmup, 0) / (1 - warmup))
        return peak * (jnp.where(progress < warmup, progress / warmup, after) if warmup else after)

    return rate


def scale_by_progress(rate: Callable[[Array], Array]) -> optax.GradientTransformationExtraArgs:
    """Scale updates by a function of the training's progress."""

    def update(updates: Any, state: Any, params: Any = None, *, progress: Any = 0.0, **_: Any) -> tuple[Any, Any]:
        del params
        now = rate(jnp.asarray(progress, jnp.float32))
        return jax.tree.map(lambda u: (now * u).astype(u.dtype), updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def update(transformation: optax.GradientTransformation, progress: Any, *args: Any) -> tuple[Any, Any]:
    """`transformation.update(*args)`, with the training's progress if it takes that."""
    return optax.with_extra_args_support(transformation).update(*args, progress=progress)
