"""Readouts against NumPy, stored and streamed; their gradients, also where nothing moves."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import ops
from oscnets.dynamics import waves
from oscnets.ops._readout import num_bins, readout_tchwb, streaming_readout
from tests.helpers import assert_close, assert_finite, assert_gradients, float64, in_float64

STREAMED = ("last", "mean", "max", "linear")


def states(length=7, lead=(2, 3, 4), channels=2):
    return np.random.default_rng(0).normal(size=(length, *lead, channels))


def kernel_for(how, length):
    return np.random.default_rng(1).normal(size=(length, length // 2 + 1)) if how == "linear" else None


def naive(states, how, kernel):
    """(T, ..., C) -> (..., F) with features bin by bin."""
    if how in ("last", "mean", "max"):
        return {"last": states[-1], "mean": states.mean(0), "max": states.max(0)}[how]
    bins = np.abs(np.fft.rfft(states, axis=0)) if how == "fft" else np.einsum("t...c,tb->b...c", states, kernel)
    return np.concatenate(list(bins), axis=-1)


@pytest.mark.parametrize("length", [7, 8])
@pytest.mark.parametrize("how", [*STREAMED, "fft"])
def test_readout(how, length):
    x, kernel = states(length), kernel_for(how, length)
    found = in_float64(lambda x, kernel: ops.readout(x, how, kernel=kernel), x, kernel)
    assert_close(found, naive(x, how, kernel), 1e-13)
    assert found.shape[-1] == 2 * num_bins(how, length)
    moved = ops.readout(np.moveaxis(x, 0, 2), how, axis=2, kernel=kernel)
    assert_close(moved, found.astype(np.float32), 1e-5)


def test_gradients_of_the_spectrum_and_the_map():
    with float64():
        x, kernel = jnp.asarray(states(6)), jnp.asarray(kernel_for("linear", 6))
        assert_gradients(lambda x: jnp.sin(ops.readout(x, "fft")).mean(), x)
        assert_gradients(lambda x, kernel: jnp.sin(ops.readout(x, "linear", kernel=kernel)).mean(), x, kernel)


@pytest.mark.parametrize("how", ["fft", "max"])
def test_gradients_are_finite_where_nothing_moves(how):
    gradient = jax.grad(lambda x: ops.readout(x, how).sum())(jnp.zeros((6, 3, 2)))
    assert_finite(gradient)
    if how == "fft":
        np.testing.assert_array_equal(gradient, 0)


def oscillators():
    rng = np.random.default_rng(2)
    position, velocity, omega, damping = rng.normal(size=(4, 2, 4, 5, 3)).astype(np.float32)
    kernel = 0.5 * rng.normal(size=(3, 3, 2, 2)).astype(np.float32)
    return (kernel, np.abs(omega), 0.2 * np.abs(damping), np.float32(0.3)), (position, velocity)


@pytest.mark.parametrize("how", STREAMED)
def test_streamed_readout_and_gradients_are_the_stored_ones(how):
    """Over a run of oscillators, by plain gradients and by undoing the steps."""
    length = 12
    kernel = kernel_for(how, length)
    given = (*oscillators(), None if kernel is None else kernel.astype(np.float32))

    def stored(params, state, kernel):
        return readout_tchwb(waves.oscillator_trajectory_chwb(params, state, num_steps=length).positions, how, kernel)

    def streamed(params, state, kernel, **memory):
        reader = streaming_readout(how, length)
        run = partial(waves.oscillator_trajectory_chwb, num_steps=length, reader=reader, weights=kernel, **memory)
        return run(params, state).positions

    def value_and_gradients(read):
        def value(*given):
            features = read(*given)
            return jnp.sin(features).sum(), features

        return jax.jit(jax.value_and_grad(value, argnums=(0, 1) if kernel is None else (0, 1, 2), has_aux=True))(*given)

    expected = value_and_gradients(stored)
    assert expected[0][1].shape == (2 * num_bins(how, length), 4, 5, 3)
    assert_close(value_and_gradients(streamed), expected, 1e-4)
    assert_close(value_and_gradients(partial(streamed, reversible=True)), expected, 1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.readout(x, "median"), "readout must be one of last, mean, max, fft, linear, got 'median'"),
        (lambda x: ops.readout(x, "linear"), "readout 'linear' needs a kernel"),
        (lambda x: ops.readout(x, "fft", kernel=np.zeros((7, 4))), "readout 'fft' takes no kernel"),
        (lambda x: ops.readout(x, "linear", kernel=np.zeros((6, 4))), r"\(T, bins\) = \(7, 4\) .* got \(6, 4\)"),
        (lambda x: ops.readout(x, "last", axis=-1), r"time at another axis, got \(7, 2, 3, 4, 2\) and axis -1"),
        (lambda x: ops.readout(x[:0], "mean"), "at least 1 step, got 0"),
        (lambda _: streaming_readout("fft", 7), "cannot be streamed"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(states())
