"""The loop over time against Python loops; sums over time with gradients taken in the same pass."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import sum_over, unroll
from tests.helpers import assert_close, float64

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


# sum_over


def term(shared, x, data):
    flip = jnp.where(data["flag"], -1.0, 1.0)
    noise = jax.random.normal(data["key"], x.shape)
    value = flip * jnp.sum(jnp.tanh(shared["w"] * x + data["count"] * shared["b"]) + noise * x) * data["scale"]
    return value, {"mean": x.mean(), "count": data["count"]}


def arguments(lead=()):
    """With data of every dtype: bools, ints, floats, typed PRNG keys."""
    rng = np.random.default_rng(0)
    shared = {"w": jnp.asarray(rng.normal(size=(*lead, 3)), float), "b": jnp.asarray(rng.normal(size=lead), float)}
    xs = jnp.asarray(rng.normal(size=(*lead, 4, 3)), float)
    data = {
        "flag": jnp.asarray(rng.uniform(size=(*lead, 4)) > 0.5),
        "count": jnp.asarray(rng.integers(1, 4, size=(*lead, 4))),
        "scale": jnp.asarray(rng.normal(size=(*lead, 4)), float),
        "key": jax.random.split(jax.random.key(1), (*lead, 4)),
    }
    return shared, xs, data


def plain_sum(fn, shared, xs, data):
    at = lambda t: jax.tree.map(lambda x: x[t], (xs, data))  # noqa: E731
    values, aux = zip(*(fn(shared, *at(t)) for t in range(len(xs))), strict=True)
    return sum(values), jax.tree.map(lambda *x: jnp.stack(x), *aux)


@partial(jax.jit, static_argnums=0)
def value_and_gradients(summed, shared, xs, data):
    """Of a function of the sum, so that the cotangent is not 1."""

    def fn(shared, xs):
        total, aux = summed(term, shared, xs, data)
        return 0.5 * total**2, aux

    return jax.value_and_grad(fn, (0, 1), has_aux=True)(shared, xs)


def test_sum_over_and_its_gradients_are_the_plain_sums():
    expected = value_and_gradients(plain_sum, *arguments())
    assert_close(value_and_gradients(sum_over, *arguments()), expected, 1e-6)
    total, aux = jax.jit(partial(sum_over, term))(*arguments())  # not differentiated: another path
    assert_close((0.5 * total**2, aux), expected[0], 1e-6)


def test_sum_over_under_vmap():
    shared, xs, data = arguments((2,))
    found = jax.vmap(partial(value_and_gradients, sum_over))(shared, xs, data)
    for i in range(2):
        one = jax.tree.map(lambda x, i=i: x[i], (shared, xs, data))
        assert_close(jax.tree.map(lambda x, i=i: x[i], found), value_and_gradients(plain_sum, *one), 1e-6)


def test_auxiliary_values_carry_no_gradient():
    shared, xs, data = arguments()
    gradient = jax.grad(lambda xs: sum_over(term, shared, xs, data)[1]["mean"].sum())(xs)
    np.testing.assert_array_equal(gradient, 0)


def test_sum_over_without_data():
    fn = lambda shared, x, data: (shared * x**2, data)  # noqa: E731
    xs = jnp.arange(3.0)
    assert jax.grad(lambda shared: sum_over(fn, shared, xs)[0])(2.0) == 5


def test_sum_over_in_float64_keeps_each_dtype():
    with float64():
        shared, xs, data = arguments()
        narrow = jax.tree.map(lambda x: x.astype(jnp.float32), shared)
        _, gradients = value_and_gradients(sum_over, narrow, xs, data)
        assert gradients[0]["w"].dtype == jnp.float32
        assert gradients[1].dtype == jnp.float64
        assert_close(
            value_and_gradients(sum_over, shared, xs, data), value_and_gradients(plain_sum, shared, xs, data), 1e-13
        )
