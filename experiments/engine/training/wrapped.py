"""What stands around a task: an average of its parameters, and variables that no gradient moves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments.engine.run import optimizer
from experiments.engine.training.task import PyTree, Task

_LIVE, _AVERAGE = "live", "average"


class _State(NamedTuple):
    count: Array
    inner: Any


def averaged(task: Task, *, decay: float, every: int, start: int) -> Task:
    """The same task, evaluated with an exponential moving average of its parameters.

    The average is a part of the parameters, so that it is checkpointed, validated and kept with the best ones. Until
    update `start` it equals the parameters. Then, at every `every`-th update, it moves to them by 1 - d, where d rises
    as 1 - (1 + n)^(-2/3) over the n updates since `start`, up to `decay`: the first, untrained values are soon
    forgotten.

    Args:
        task: what is trained.
        decay: of the average per move, in [0, 1).
        every: updates from one move to the next, >= 1.
        start: updates before the average begins.

    Returns:
        The task, with parameters {"live": ..., "average": ...}; `averaged_params` takes the average out.
    """

    def init(key):
        params = task.init(key)
        return {_LIVE: params, _AVERAGE: params}

    def loss(params, batch, keys, *progress):
        return task.loss(params[_LIVE], batch, keys, *progress)

    def on_average(evaluate):
        return lambda params, batch, keys: evaluate(params[_AVERAGE], batch, keys)

    def start_of(params):
        return _State(jnp.zeros((), jnp.int32), task.optimizer.init(params[_LIVE]))

    def update(gradients, state, params=None, *, progress=0.0):
        changes, inner = optimizer.update(task.optimizer, progress, gradients[_LIVE], state.inner, params[_LIVE])
        new, count = optax.apply_updates(params[_LIVE], changes), state.count + 1
        part = 1 - _decay(count, decay, every, start)
        moves = jax.tree.map(lambda a, b: (part * (b - a)).astype(a.dtype), params[_AVERAGE], new)
        return {_LIVE: changes, _AVERAGE: moves}, _State(count, inner)

    evaluate = on_average(task.evaluate)
    functions: dict[Any, Any] = {task.evaluate: evaluate}  # one of each, so that those that are alike stay alike

    def evaluate_on(label):
        function = task.evaluate_on(label)
        return functions.setdefault(function, on_average(function))

    return task._replace(
        init=init,
        loss=loss,
        evaluate=evaluate,
        optimizer=optax.GradientTransformationExtraArgs(start_of, update),
        evaluate_on=None if task.evaluate_on is None else evaluate_on,
    )


def averaged_params(params: PyTree) -> PyTree:
    """The average, of the parameters of an `averaged` task; those of another task as they are."""
    return params[_AVERAGE] if set(params) == {_LIVE, _AVERAGE} else params


def _decay(count: Array, decay: float, every: int, start: int) -> Array:
    """By what the average is kept at update number `count`, from 1 on: 1 between two moves."""
    since = jnp.maximum(count - start, 0).astype(jnp.float32)
    kept = jnp.minimum(1 - (1 + since) ** (-2 / 3), decay)
    return jnp.where(count <= start, 0, jnp.where(count % every == 0, kept, 1))


def with_statistics(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """A transformation of variables {"params", "batch_stats"}, whose statistics move by `statistics_term`."""
    by_collection = {"params": transformation, "batch_stats": optax.sgd(1.0)}
    return optax.multi_transform(by_collection, {key: key for key in by_collection})


def statistics_term(variables: PyTree, moved: PyTree) -> Array:
    """A term of a loss that is 0 and gives each running statistic the gradient old - new.

    Descent at rate 1 then sets it to its new value: statistics start, are averaged over devices, checkpointed and kept
    with the best parameters as these are.

    Args:
        variables: with the collection "batch_stats", as the network was applied to.
        moved: what `apply(..., mutable=["batch_stats"])` gave back.
    """
    fixed = jax.lax.stop_gradient
    pairs = zip(*(jax.tree.leaves(tree["batch_stats"]) for tree in (variables, moved)), strict=True)
    return sum(jnp.vdot(fixed(a - b), a - fixed(a)) for a, b in pairs)
