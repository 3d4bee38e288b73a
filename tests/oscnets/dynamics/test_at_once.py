"""The loop whose gradients are of all steps at once against a Python loop."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics._at_once import unroll_at_once
from tests.helpers import assert_close, float64

LENGTH = 4


def step(state, value, gain=0.3):
    """A pair of arrays and a pull on one of them."""
    x = state["x"] + gain * jnp.sin(value["pull"])
    return {"x": x, "v": state["v"] - gain * x * value["pull"]}


def part(state, weight=0.7):
    """The pull, and what is read of the state; some of it does not depend on the state."""
    hidden = jnp.tanh(weight * state["v"])
    return {"pull": hidden * jnp.exp(weight)}, (hidden + state["x"] ** 2).sum()


def start(x):
    return {"x": x, "v": jnp.array([1.0, 0.2, -0.4])}, {"pull": 0.5 * x}


def loop(step, part, state, value, length):
    states, seen = [], []
    for _ in range(length):
        state = step(state, value)
        value, read = part(state)
        states.append(state)
        seen.append(read)
    return jax.tree.map(lambda *xs: jnp.stack(xs), *states), jnp.stack(seen)


WAYS = {
    "loop": loop,
    "stored": partial(unroll_at_once, store=True),
    "computed again": partial(unroll_at_once, store=False),
}
X = np.array([0.3, -1.0, 2.0])


def value(way, x, gain=0.3, weight=0.7, length=LENGTH):
    states, seen = WAYS[way](partial(step, gain=gain), partial(part, weight=weight), *start(x), length)
    return jnp.sum(states["x"] ** 2) + jnp.sum(jnp.cos(states["v"][-1])) + jnp.sum(jnp.sin(seen))


def derivatives(way, length):
    """Value, gradients, and those of the gradients' squares, in float64."""

    @jax.jit
    def both(*args):
        first = jax.value_and_grad(partial(value, way, length=length), (0, 1, 2))
        squares = lambda *args: sum(jnp.sum(g**2) for g in first(*args)[1])  # noqa: E731
        return first(*args), jax.grad(squares, (0, 1, 2))(*args)

    with float64():
        return jax.tree.map(np.asarray, both(jnp.asarray(X), 0.3, 0.7))


@pytest.mark.parametrize("length", [1, LENGTH])
def test_values_and_derivatives_are_those_of_a_loop(length):
    expected = derivatives("loop", length)
    for way in ("stored", "computed again"):
        assert_close(derivatives(way, length), expected, 1e-12)


@pytest.mark.parametrize("way", ["stored", "computed again"])
@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd])
def test_members_of_a_vmap_and_forward_mode(way, transform):
    """In what the step alone, the part alone, and both close over."""
    numbers = jnp.array([0.3, 0.5, 0.1])

    def gradients(way):
        some = [
            lambda gain: value(way, X.astype(np.float32), gain=gain),
            lambda weight: value(way, X.astype(np.float32), weight=weight),
            lambda both: value(way, X.astype(np.float32), both, both),
        ]
        return jax.jit(lambda numbers: [jax.vmap(transform(fn))(numbers) for fn in some])(numbers)

    chex.assert_trees_all_close(gradients(way), gradients("loop"), rtol=1e-4)


def test_what_is_no_float_is_closed_over():
    """An integer array selects; its gradient is none."""
    order = jnp.array([2, 0, 1])

    def total(way, weight):
        chosen = lambda state: part({"x": state["x"][order], "v": state["v"]}, weight)  # noqa: E731
        return jnp.sum(WAYS[way](step, chosen, *start(jnp.asarray(X, jnp.float32)), LENGTH)[1])

    found, expected = (jax.jit(jax.grad(partial(total, way)))(0.7) for way in ("stored", "loop"))
    assert np.allclose(found, expected, rtol=1e-5)
    assert abs(expected) > 0.1
