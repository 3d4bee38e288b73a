"""The compiled functions of a run: initialisation, order of an epoch, one training step, one evaluation batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import PartitionSpec as P

from experiments.engine import seeds
from experiments.engine.seeds import Plan
from experiments.engine.task import PyTree, Task


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


def make_order(plan: Plan, num_examples: int) -> Callable[[Array, np.int32], Array]:
    """Compile (seeds (G,), epoch) -> the order of the examples in that epoch (G, num_examples)."""

    def order(seed, epoch):
        return jax.random.permutation(seeds.order_key(seed, epoch), num_examples)

    return seeds.spread(order, plan, (P("seed"), P()), P("seed"))


def make_step(task: Task, plan: Plan, batch_size: int, *, keep_gradients: bool = False) -> Callable[..., Update]:
    """Compile one training step: (params, opt_state, seeds, order, data, step, start) -> Update.

    The batch is rows order[start : start + batch_size] of the data, cut over the mesh's data axis; gradients, loss and
    scalars are averaged over it. `ok` tells whether loss, gradients and new parameters are all finite.
    """
    local = batch_size // plan.mesh.shape["data"]

    def step_one(params, opt_state, seed, order, data, step, start):
        first = jax.lax.axis_index("data") * local
        rows = jax.lax.dynamic_slice_in_dim(order, start + first, local)
        keys = seeds.step_keys(seed, step, first + jnp.arange(local))
        batch = jax.tree.map(lambda leaf: leaf[rows], data)
        (loss, scalars), gradients = jax.value_and_grad(task.loss, has_aux=True)(params, batch, keys)
        loss, scalars, gradients = jax.lax.pmean((loss, scalars, gradients), "data")
        changes, opt_state = task.optimizer.update(gradients, opt_state, params)
        params = optax.apply_updates(params, changes)
        ok = _all_finite((loss, gradients, params))
        return Update(params, opt_state, ok, {**scalars, "loss": loss}, gradients if keep_gradients else None)

    specs = (P("seed"), P("seed"), P("seed"), P("seed"), P(), P(), P())
    # The buffers are not donated: the state before a step is kept until that step is known to be finite.
    return seeds.spread(step_one, plan, specs, P("seed"))


def make_evaluate(evaluate: Callable[..., dict[str, Array]], plan: Plan) -> Callable[..., dict[str, Array]]:
    """Compile (params, seeds, batch, split number, indices (B,)) -> values (G, B, ...) by metric; see `Task`."""

    def evaluate_one(params, seed, batch, split, indices):
        return evaluate(params, batch, seeds.evaluation_keys(seed, split, indices))

    specs = (P("seed"), P("seed"), P("data"), P(), P("data"))
    return seeds.spread(evaluate_one, plan, specs, P("seed", "data"))


def _all_finite(tree):
    floating = (leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floating]))
