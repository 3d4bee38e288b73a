"""The compiled functions of a run: initialisation, order of an epoch, one training step, one evaluation batch."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.engine.run import optimizer
from experiments.engine.training import seeds
from experiments.engine.training.seeds import Plan
from experiments.engine.training.task import PyTree, Scores, Task


class Update(NamedTuple):
    """Results of one training step, every leaf with a leading seed axis."""

    params: PyTree
    opt_state: PyTree
    ok: Array
    scalars: dict[str, Array]
    gradients: PyTree


def make_initialize(task: Task, plan: Plan) -> Callable[[Array], tuple[PyTree, PyTree]]:
    """Compile seeds (G,) -> (params, optimizer state)."""

    def initialize(seed):
        params = task.init(seeds.init_key(seed))
        return params, task.optimizer.init(params)

    return seeds.spread(initialize, plan, (P("seed"),), P("seed"))


def state_shapes(task: Task) -> tuple[PyTree, PyTree]:
    """Shapes and dtypes of (params, optimizer state) of one seed, with its leading axis (1, ...); compiles nothing."""

    def initialize(seed):
        params = task.init(seeds.init_key(seed))
        return jax.tree.map(lambda leaf: leaf[None], (params, task.optimizer.init(params)))

    return jax.eval_shape(initialize, jax.ShapeDtypeStruct((), np.int32))


def argument_shapes(task: Task, plan: Plan, data: PyTree) -> tuple[PyTree, ...]:
    """Shapes and places of the arguments of `make_step`, from data of arrays or their shapes."""
    count = jax.tree.leaves(data)[0].shape[0]
    shape, group = jax.ShapeDtypeStruct, plan.group
    state = jax.tree.map(lambda x: shape((group, *x.shape[1:]), x.dtype), state_shapes(task))
    per_seed = (*state, shape((group,), np.int32), shape((group, count), np.int32))
    whole = jax.tree.map(lambda x: shape(x.shape, x.dtype), data)
    shared = (whole, shape((), np.int32), shape((), np.int32))
    return *placed(plan, P("seed"), per_seed), *placed(plan, P(), shared)


def placed(plan: Plan, spec: P, shapes: PyTree) -> PyTree:
    """The same shapes, on the devices of a plan."""
    sharding = NamedSharding(plan.mesh, spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def make_order(plan: Plan, num_examples: int) -> Callable[[Array, np.int32], Array]:
    """Compile (seeds (G,), epoch) -> the order of the examples in that epoch (G, num_examples)."""

    def order(seed, epoch):
        return jax.random.permutation(seeds.order_key(seed, epoch), num_examples)

    return seeds.spread(order, plan, (P("seed"), P()), P("seed"))


def make_step(
    task: Task, plan: Plan, batch_size: int, total: int, *, keep_gradients: bool = False
) -> Callable[..., Update]:
    """Compile one training step: (params, opt_state, seeds, order, data, step, start) -> Update.

    The batch is rows order[start : start + batch_size] of the data, cut over the mesh's data axis; gradients, loss and
    scalars are averaged over it. `ok` tells whether loss, gradients and new parameters are all finite.

    Args:
        task, plan, batch_size: of the training.
        total: number of its steps; the optimizer is told the share of them that is done.
        keep_gradients: whether the result holds them.
    """
    return seeds.spread(_step(task, plan, batch_size, total, keep_gradients), plan, _STEP_SPECS, P("seed"))


def make_steps(task: Task, plan: Plan, batch_size: int, total: int, limit: int) -> Callable[..., Update]:
    """Compile many training steps in one call: (params, opt_state, seeds, order, data, step, start, count) -> Update.

    The first step is that of `make_step`, and every one after it goes on where the one before ended. `ok` and the
    scalars are (G, limit), the first `count` of which are meant; there are no gradients. The number of steps is no part
    of the program, so that steps cut into calls in any way give the same bits.

    Args:
        task, plan, batch_size, total: as for `make_step`.
        limit: the largest `count`.
    """
    one = _step(task, plan, batch_size, total, False)

    def several(params, opt_state, seed, order, data, step, start, count):
        def advance(i, carry):
            state, seen = carry
            update = one(*state, seed, order, data, step + i, start + i * batch_size)
            return update[:2], jax.tree.map(lambda all_, new: all_.at[i].set(new), seen, update[2:4])

        shapes = jax.eval_shape(one, params, opt_state, seed, order, data, step, start)[2:4]
        empty = jax.tree.map(lambda leaf: jnp.zeros((limit, *leaf.shape), leaf.dtype), shapes)
        state, seen = jax.lax.fori_loop(0, count, advance, ((params, opt_state), empty))
        return Update(*state, *seen, None)

    return seeds.spread(several, plan, (*_STEP_SPECS, P()), P("seed"))


SHARED = P()  # of an argument that is the same for every seed and device
# Of (params, opt_state, seeds, order, data, step, start). No buffer is donated: the state before the steps is kept
# until they are known to be finite.
_STEP_SPECS = (P("seed"), P("seed"), P("seed"), P("seed"), P(), P(), P())


def _step(task, plan, batch_size, total, keep_gradients):
    local = batch_size // plan.mesh.shape["data"]

    def step_one(params, opt_state, seed, order, data, step, start):
        first = jax.lax.axis_index("data") * local
        rows = jax.lax.dynamic_slice_in_dim(order, start + first, local)
        keys = seeds.step_keys(seed, step, first + jnp.arange(local))
        batch = jax.tree.map(lambda leaf: leaf[rows], data)
        progress = step / total
        differentiate = jax.value_and_grad(partial(task.loss_at, progress), has_aux=True)
        (loss, scalars), gradients = _mean(differentiate, num_slices(task, plan, batch_size), params, (batch, keys))
        if plan.mesh.shape["data"] > 1:
            loss, scalars, gradients = jax.lax.pmean((loss, scalars, gradients), "data")
        changes, opt_state = optimizer.update(task.optimizer, progress, gradients, opt_state, params)
        params = optax.apply_updates(params, changes)
        ok = _all_finite((loss, gradients, params))
        return Update(params, opt_state, ok, {**scalars, "loss": loss}, gradients if keep_gradients else None)

    return step_one


def make_evaluate(evaluate: Callable[..., Scores], plan: Plan) -> Callable[..., Scores]:
    """Compile (params, seeds, batch, split number, indices (B,)) -> values (G, B, ...) by metric; see `Task`."""

    def evaluate_one(params, seed, batch, split, indices):
        keys = seeds.evaluation_keys(seed, split, indices)
        count = _num_slices(len(indices), plan.slice_size)
        if count == 1:
            return evaluate(params, batch, keys)
        values = jax.lax.map(lambda part: evaluate(params, *part), _sliced((batch, keys), count))
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), values)

    specs = (P("seed"), P("seed"), P("data"), P(), P("data"))
    return seeds.spread(evaluate_one, plan, specs, P("seed", "data"))


def num_slices(task: Task, plan: Plan, batch_size: int) -> int:
    """Number of slices in which a device computes the gradients of its part of a batch, one after the other."""
    sizes = [size for size in (task.slice_size, plan.slice_size) if size is not None and task.may_slice]
    return _num_slices(batch_size // plan.mesh.shape["data"], min(sizes, default=None))


def _num_slices(size: int, slice_size: int | None) -> int:
    return next(n for n in range(-(-size // (slice_size or size)), size + 1) if size % n == 0)


def _sliced(tree, count):
    return jax.tree.map(lambda x: x.reshape(count, len(x) // count, *x.shape[1:]), tree)


def _mean(function, count, params, examples):
    """The mean of function(params, *examples) over slices, without storing what lies inside it."""
    if count == 1:
        return function(params, *examples)
    slices = _sliced(examples, count)
    shapes = jax.eval_shape(function, params, *jax.tree.map(lambda x: x[0], slices))
    start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    add = lambda total, part: (jax.tree.map(jnp.add, total, function(params, *part)), None)  # noqa: E731
    return jax.tree.map(lambda x: x / count, jax.lax.scan(add, start, slices)[0])


def _all_finite(tree):
    floating = (leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floating]))
