"""The loop over time against Python loops, whatever is kept and however gradients are taken."""

from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import Auto, Checkpoint, Reverse, Store, _unroll, unroll, waves
from tests.helpers import assert_close, float64

LENGTH = 7


def step(state, gain=0.3):
    """Symplectic, so that it has an inverse."""
    x = state["x"] + gain * jnp.sin(state["v"])
    return state | {"x": x, "v": state["v"] - gain * x}


def inverse(state, gain=0.3):
    v = state["v"] + gain * state["x"]
    return state | {"x": state["x"] - gain * jnp.sin(v), "v": v}


def start():
    return {"x": jnp.array([0.3, -1.0, 2.0]), "v": jnp.array([1.0, 0.2, -0.4])}


def loop(state, length, gain=0.3):
    kept = []
    for _ in range(length):
        state = step(state, gain)
        kept.append(state["x"])
    return state, jnp.stack(kept)


class Weighted(NamedTuple):
    """The sum over time of weight_t sin(value_t)."""

    weights: jax.Array

    def start(self, value):
        return jnp.zeros_like(value)

    def add(self, weights, acc, value, t):
        return acc + weights[t] * jnp.sin(value)

    def finish(self, acc):
        return acc

    def contribution(self, weights, acc, value, t):
        return weights[t] * jnp.sin(value)


@pytest.mark.parametrize("every", [None, 1, 3, 7, 100])
def test_unroll_is_a_loop(every):
    """Of a state that also counts, in integers."""
    count = lambda state: step(state) | {"n": state["n"] + 1}  # noqa: E731
    state = start() | {"n": jnp.zeros((), jnp.int32)}
    (last, kept), nothing = jax.jit(
        lambda state: (
            unroll(count, state, LENGTH, collect=lambda state: state["x"], checkpoint_every=every),
            unroll(count, state, LENGTH, checkpoint_every=every)[1],
        )
    )(state)
    expected, xs = loop(state, LENGTH)
    chex.assert_trees_all_close((last, kept), (expected | {"n": jnp.asarray(LENGTH)}, xs), atol=1e-6)
    assert nothing is None


@pytest.mark.parametrize("every", [None, 3])
def test_no_steps(every):
    state, stacked = unroll(step, start(), 0, collect=lambda state: state["x"], checkpoint_every=every)
    chex.assert_trees_all_equal(state, start())
    chex.assert_shape(stacked, (0, 3))


GRADIENTS = {
    "store": lambda _: Store(),
    "checkpoint": lambda _: Checkpoint(3),
    "checkpoint by default": lambda _: Checkpoint(),
    "reverse": lambda gain: Reverse(partial(inverse, gain=gain)),
    "reverse, recomputed": lambda gain: Reverse(partial(inverse, gain=gain), invertible=jnp.asarray(False)),
}


def summary(state, sums):
    return jnp.sum(sums**2) + jnp.sum(jnp.cos(state["v"]) * state["x"])


def derivatives(value):
    """Value, gradients, and those of the gradients' squares, in the state, gain, scale and weights; in float64."""

    @jax.jit
    def both(*args):
        first = jax.value_and_grad(value, (0, 1, 2, 3))
        squares = lambda *args: sum(jnp.sum(g**2) for g in first(*args)[1])  # noqa: E731
        return first(*args), jax.grad(squares, (0, 1, 2, 3))(*args)

    with float64():
        args = (start()["x"], jnp.asarray(0.3), jnp.asarray(1.2), jnp.linspace(0.5, 1.5, LENGTH))
        return jax.tree.map(np.asarray, both(*args))


@pytest.fixture(scope="module")
def derivatives_of_a_loop():
    def value(x, gain, scale, weights):
        state, xs = loop(start() | {"x": x}, LENGTH, gain)
        return summary(state, jnp.einsum("t,tn->n", weights, jnp.sin(scale * xs)))

    return derivatives(value)


@pytest.mark.parametrize(
    ("name", "reduced"),
    [
        ("store", False),
        ("store", True),
        ("checkpoint", True),
        ("checkpoint by default", False),
        ("reverse", False),
        ("reverse", True),
        ("reverse, recomputed", True),
    ],
)
def test_derivatives_are_the_same_however_they_are_taken(name, reduced, derivatives_of_a_loop):
    """In the state and in all that step, inverse, collect and reduction close over."""

    def value(x, gain, scale, weights):
        options = {"collect": lambda state: scale * state["x"], "gradient": GRADIENTS[name](gain)}
        if reduced:
            options["reduce"] = Weighted(weights)
        state, kept = unroll(partial(step, gain=gain), start() | {"x": x}, LENGTH, **options)
        return summary(state, kept if reduced else jnp.einsum("t,tn->n", weights, jnp.sin(kept)))

    assert_close(derivatives(value), derivatives_of_a_loop, 1e-11)


def test_auto_stores_what_is_small_and_recomputes_what_is_not(monkeypatch):
    """By the bytes of a derivative's intermediates: tanh keeps its result and 1 less that, here 8000 bytes a step."""
    state, wave = jnp.ones(1000), (jnp.ones((1, 4, 4, 2)),) * 2

    def loops(fn, *args):
        return str(jax.make_jaxpr(jax.grad(lambda *args: jnp.sum(fn(*args))))(*args)).count("remat")

    for auto, recomputed in ((Auto(10 * 8000), False), (Auto(10 * 8000 - 1), True), (Auto(), False)):
        run = lambda x, auto=auto: unroll(jnp.tanh, x, 10, gradient=auto)[0]  # noqa: E731
        assert (loops(run, state) > 0) is recomputed
    monkeypatch.setattr(_unroll, "default_limit", lambda: 2 * 10 * 4 * 32)
    for num_steps, recomputed in ((10, False), (11, True)):
        options = {"dt": 0.1, "num_steps": num_steps, "gradient": "auto"}
        run = lambda u, v: waves.oscillator_trajectory(u, v, jnp.ones((3, 3, 2, 2)), 1.0, 0.1, **options).positions  # noqa: B023, E731
        assert (loops(run, *wave) > 0) is recomputed


def test_reversed_gradients_under_vmap():
    """A gain per member: of the step, of its inverse, and of whether that is taken."""

    def value(gain, allowed, gradient):
        state, xs = unroll(
            partial(step, gain=gain), start(), LENGTH, collect=lambda state: state["x"], gradient=gradient
        )
        return jnp.sum(xs**2) + jnp.sum(state["v"])

    reverse = lambda gain, allowed: value(gain, allowed, Reverse(partial(inverse, gain=gain), allowed))  # noqa: E731
    stored = lambda gain, allowed: value(gain, allowed, Store())  # noqa: E731
    args = (jnp.array([0.3, 0.5, 0.1]), jnp.array([True, False, True]))
    found, expected = (jax.jit(jax.vmap(jax.grad(fn)))(*args) for fn in (reverse, stored))
    chex.assert_trees_all_close(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("length", "options", "message"),
    [
        (-1, {}, "length must be >= 0, got -1"),
        (0, {"gradient": Reverse(inverse)}, "length must be >= 1, got 0"),
        (3, {"checkpoint_every": 0}, "checkpoint_every must be >= 1, got 0"),
        (3, {"gradient": Checkpoint(0)}, "checkpoint_every must be >= 1, got 0"),
        (3, {"gradient": Store(), "checkpoint_every": 2}, r"gradient or checkpoint_every, got Store\(\) and 2"),
        (3, {"gradient": "store"}, "gradient must be a Store, Checkpoint, Reverse or Auto, got 'store'"),
        (3, {"reduce": Weighted(None)}, "reduce needs collect"),
    ],
)
def test_bad_arguments(length, options, message):
    with pytest.raises(ValueError, match=message):
        unroll(step, start(), length, **options)
