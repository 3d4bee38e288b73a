"""Readouts against NumPy, stored and streamed; their gradients, also where nothing moves."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import ops
from oscnets.dynamics import unroll
from oscnets.ops._readout import num_bins, readout_tchwb
from tests.helpers import assert_close, assert_gradients, float64, in_float64

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

    def run(x, kernel):
        moved = ops.readout(jnp.moveaxis(x, 0, 2), how, axis=2, kernel=kernel)
        return ops.readout(x, how, kernel=kernel), moved

    found, moved = in_float64(run, x, kernel)
    assert_close(found, naive(x, how, kernel), 1e-13)
    assert found.shape[-1] == 2 * num_bins(how, length)
    assert_close(moved, found, 1e-13)


def test_gradients_of_the_spectrum_and_the_map():
    with float64():
        x, kernel = jnp.asarray(states(6)), jnp.asarray(kernel_for("linear", 6))
        assert_gradients(lambda x: jnp.sin(ops.readout(x, "fft")).mean(), x)
        assert_gradients(lambda x, kernel: jnp.sin(ops.readout(x, "linear", kernel=kernel)).mean(), x, kernel)


@pytest.mark.parametrize("how", ["fft", "max"])
def test_gradients_are_finite_where_nothing_moves(how):
    gradient = jax.jit(jax.grad(lambda x: ops.readout(x, how).sum()))(jnp.zeros((6, 3, 2)))
    chex.assert_tree_all_finite(gradient)
    if how == "fft":
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("how", STREAMED)
def test_streamed_readout_is_the_stored_one(how):
    """Of states that are given one by one; `tests/oscnets/dynamics/waves` has those of a run, and gradients."""
    x, kernel = np.moveaxis(states(), -1, 1), kernel_for(how, 7)
    reduce = ops.streaming_readout(how, 7, kernel=kernel)
    with float64():
        states_left = jnp.asarray(x)
        collect = lambda t: states_left[t - 1]  # noqa: E731
        _, features = unroll(lambda t: t + 1, jnp.zeros((), jnp.int32), 7, collect=collect, reduce=reduce)
        assert_close(np.asarray(features), np.asarray(readout_tchwb(states_left, how, kernel)), 1e-14)


@pytest.mark.parametrize("when", [0, 3, 6])
@pytest.mark.parametrize("how", STREAMED)
def test_a_nan_reaches_the_streamed_features_that_it_reaches_stored(how, when):
    """Of a run as long and wide as XLA's reductions over many numbers need to drop a NaN."""
    x = np.random.default_rng(0).normal(size=(700, 9)).astype(np.float32)
    x[100 * when + 99, 4] = np.nan
    kernel = np.ones((700, 2), np.float32) if how == "linear" else None
    reduce = ops.streaming_readout(how, 700, kernel=kernel)
    collect = lambda t: jnp.asarray(x)[t - 1]  # noqa: E731
    _, streamed = unroll(lambda t: t + 1, jnp.zeros((), jnp.int32), 700, collect=collect, reduce=reduce)
    stored = np.isnan(readout_tchwb(jnp.asarray(x), how, kernel))
    np.testing.assert_array_equal(np.isnan(streamed), stored)
    assert stored.any() == (how != "last" or when == 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.readout(x, "median"), "readout must be one of last, mean, max, fft, linear, got 'median'"),
        (lambda x: ops.readout(x, "linear"), "readout 'linear' needs a kernel"),
        (lambda x: ops.readout(x, "fft", kernel=np.zeros((7, 4))), "readout 'fft' takes no kernel"),
        (lambda x: ops.readout(x, "linear", kernel=np.zeros((6, 4))), r"\(T, bins\) = \(7, 4\) .* got \(6, 4\)"),
        (lambda x: ops.readout(x, "last", axis=-1), r"time at another axis, got \(7, 2, 3, 4, 2\) and axis -1"),
        (lambda x: ops.readout(x[:0], "mean"), "at least 1 step, got 0"),
        (lambda _: ops.streaming_readout("fft", 7), "cannot be streamed"),
        (lambda _: ops.streaming_readout("mean", 0.3 / 0.1), r"length must be a whole number, got 2\.9"),
        (lambda _: ops.streaming_readout("linear", 7), "readout 'linear' needs a kernel"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(states())
