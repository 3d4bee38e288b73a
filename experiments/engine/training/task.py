"""The task of one model: pure functions of one seed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax
from jax import Array

PyTree = Any


class Measured(NamedTuple):
    """Values of a metric that is defined for some examples only; those of the others count nowhere.

    Attributes:
        values: (B,) or (B, T); anything finite where they are not defined.
        where: (B,) or (B, T) bool, those that are.
    """

    values: Array
    where: Array


Scores = dict[str, Array | Measured]


class Task(NamedTuple):
    """Initialization, loss, optimizer and evaluation of one model, for one seed.

    The engine adds the seeds, the devices, the checkpoints and the logs. The functions must be pure and must treat the
    examples of a batch alike: the engine cuts a batch over devices and averages the means of the pieces.

    Attributes:
        init: key -> params, a pytree of arrays.
        loss: (params, batch, keys) -> (loss, scalars). The loss is a scalar, the mean over the batch's examples;
            scalars is a dict of means to log beside it, under names other than "loss". A NaN among them means
            "undefined" and is not logged. `batch` is the data's pytree with leading axis B; keys (B,) holds one typed
            PRNG key per example.
        evaluate: (params, batch, keys) -> a dict of values per example, each (B,), or (B, T) where the value changes
            over the T steps of the dynamics; or `Measured` where it is not defined for every example. A value that is
            not finite makes the mean NaN, and the log says of how many examples there are some.
        optimizer: an optax transformation; the engine calls its `update(gradients, state, params)`.
        score: the metric of `evaluate` on the validation split that picks the best parameters, at its last time step;
            higher is better, or lower where the name is given with a leading "-".
        evaluate_on: label of a test set -> a function like `evaluate`, where test sets are evaluated in different ways;
            the same function object for those evaluated alike. None: all by `evaluate`.
        takes_progress: whether `loss` takes a fourth argument, the share of the training's updates that are done, a
            scalar in [0, 1): for a curriculum.
        curriculum: the share of the training that its curriculum takes. Parameters from before its end are never the
            best: what they have learned is easier than what is tested.
        on_host: (label of a test set, its arrays, what was evaluated on it) -> the values that count, where these take
            more than JAX, such as clusters of pixels. What was evaluated are numpy arrays (S, N, ...) by name, of any
            further axes, seeds first; the values are (S, N) or (S, N, T). None: the values as they are.
        slice_size: the largest number of examples of a batch whose gradients are computed at a time, where memory does
            not demand fewer; None: all. Their mean is that of the batch.
        may_slice: whether that may be fewer than the batch: not where the examples of a batch depend on each other, as
            by a batch norm.
    """

    init: Callable[[Array], PyTree]
    loss: Callable[..., tuple[Array, dict[str, Array]]]
    evaluate: Callable[[PyTree, PyTree, Array], Scores]
    optimizer: optax.GradientTransformation
    score: str
    evaluate_on: Callable[[str], Callable[[PyTree, PyTree, Array], Scores]] | None = None
    on_host: Callable[[str, PyTree, dict[str, Any]], dict[str, Any]] | None = None
    takes_progress: bool = False
    curriculum: float = 0.0
    slice_size: int | None = None
    may_slice: bool = True

    def loss_at(self, progress: Array, params: PyTree, batch: PyTree, keys: Array) -> tuple[Array, dict[str, Array]]:
        """`loss`, with the progress if it takes that."""
        return self.loss(params, batch, keys, *([progress] if self.takes_progress else []))
