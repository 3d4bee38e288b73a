"""Gradients from positions and pulls against automatic differentiation of the steps, in float64."""

import jax
import jax.numpy as jnp
import pytest

from oscnets.dynamics.waves._stored import advance, stored_run
from oscnets.ops import readout, streaming_readout
from tests.helpers import assert_close, float64

SHAPE = (2, 5, 6, 3)
DT = 0.1


def plain_run(params, state, *, num_steps, implicit_damping):
    positions = []
    for _ in range(num_steps):
        state, _ = advance(params, state, implicit_damping=implicit_damping)
        positions.append(state[0])
    return state, jnp.stack(positions)


@pytest.mark.parametrize("implicit_damping", [False, True])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
@pytest.mark.parametrize("units", [(), (1, 5, 6, 1), SHAPE])  # of omega and damping
def test_gradients_in_everything(units, num_steps, implicit_damping):
    with float64():
        keys = iter(jax.random.split(jax.random.key(0), 9))
        omega, damping = (jax.random.uniform(next(keys), units) for _ in range(2))
        params = (0.3 * jax.random.normal(next(keys), (3, 3, 2, 2)), omega, damping, jnp.asarray(DT))
        state = tuple(jax.random.normal(next(keys), SHAPE) for _ in range(2))
        weights = [jax.random.normal(next(keys), shape) for shape in (SHAPE, SHAPE, (num_steps, *SHAPE))]

        def gradients(run):
            def loss(params, state):
                found = run(params, state, num_steps=num_steps, implicit_damping=implicit_damping)
                return sum((w * x).sum() for w, x in zip(weights, jax.tree.leaves(found), strict=True))

            return jax.jit(jax.value_and_grad(loss, (0, 1)))(params, state)

        for found, expected in zip(*map(jax.tree.leaves, map(gradients, (stored_run, plain_run))), strict=True):
            assert found.shape == expected.shape
            assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("how", ["last", "mean", "max", "linear"])
def test_what_is_read_as_it_goes_has_the_gradients_of_what_is_kept(how):
    with float64():
        keys = iter(jax.random.split(jax.random.key(1), 5))
        params = (0.3 * jax.random.normal(next(keys), (3, 3, 2, 2)), *map(jnp.asarray, (0.5, 0.2, DT)))
        state = tuple(jax.random.normal(next(keys), SHAPE) for _ in range(2))
        kernel = jax.random.normal(next(keys), (4, 3)) if how == "linear" else None
        run = {"num_steps": 4, "implicit_damping": False}

        def kept(params, state, kernel):
            last, positions = plain_run(params, state, **run)
            return last, readout(jnp.moveaxis(positions, 1, -1), how, kernel=kernel)

        def read(params, state, kernel):
            last, features = stored_run(params, state, kernel, reader=streaming_readout(how, 4), **run)
            return last, jnp.moveaxis(features, 0, -1)

        def gradients(fn):
            def loss(*given):
                return sum(jnp.sin(x).mean() for x in jax.tree.leaves(fn(*given)))

            return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(params, state, kernel)

        assert_close(jax.jit(read)(params, state, kernel), kept(params, state, kernel), 1e-12)
        assert_close(gradients(read), gradients(kept), 1e-12)
