"""The loop over time against Python loops."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from oscnets.dynamics import unroll
from tests.helpers import assert_close

LENGTH = 7


def step(state, gain=0.3):
    return {"x": state["x"] + gain * jnp.sin(state["v"]), "v": state["v"] - gain * state["x"], "n": state["n"] + 1}


def start():
    return {"x": jnp.array([0.3, -1.0, 2.0]), "v": jnp.array([1.0, 0.2, -0.4]), "n": jnp.zeros((), jnp.int32)}


def loop(state, length):
    kept = []
    for _ in range(length):
        state = step(state)
        kept.append(state["x"])
    return state, jnp.stack(kept)


@pytest.mark.parametrize("every", [None, 1, 3, 7, 100])
def test_unroll_is_a_loop(every):
    found = unroll(step, start(), LENGTH, collect=lambda state: state["x"], checkpoint_every=every)
    assert_close(found, loop(start(), LENGTH), 1e-6)


def test_unroll_without_collecting():
    state, stacked = unroll(step, start(), LENGTH, checkpoint_every=2)
    assert stacked is None
    assert_close(state, loop(start(), LENGTH)[0], 1e-6)


@pytest.mark.parametrize("every", [None, 3])
def test_no_steps(every):
    state, stacked = unroll(step, start(), 0, collect=lambda state: state["x"], checkpoint_every=every)
    assert_close(state, start(), 0)
    assert stacked.shape == (0, 3)


def test_gradients_are_the_same_however_checkpointed():
    weights = jnp.arange(1.0, LENGTH + 1)[:, None]

    def value(every, x, gain):
        state = start() | {"x": x}
        state, xs = unroll(
            partial(step, gain=gain), state, LENGTH, collect=lambda state: state["x"], checkpoint_every=every
        )
        return (weights * xs**2).sum() + state["v"].sum()

    def by_loop(x, gain):
        state, total = start() | {"x": x}, 0.0
        for weight in weights:
            state = step(state, gain)
            total += (weight * state["x"] ** 2).sum()
        return total + state["v"].sum()

    x = start()["x"]
    expected = jax.jit(jax.value_and_grad(by_loop, (0, 1)))(x, 0.3)
    for every in (None, 3):
        found = jax.jit(jax.value_and_grad(partial(value, every), (0, 1)))(x, 0.3)
        assert_close(found, expected, 1e-5)


@pytest.mark.parametrize(
    ("length", "every", "message"),
    [(-1, None, "length must be >= 0, got -1"), (3, 0, "checkpoint_every must be >= 1, got 0")],
)
def test_bad_lengths(length, every, message):
    with pytest.raises(ValueError, match=message):
        unroll(step, start(), length, checkpoint_every=every)
