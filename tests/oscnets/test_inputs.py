"""Arguments of any type, under any promotion, of no examples, with NaN: by a table of functions that take states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _inputs, analysis, losses, metrics, ops, phase
from oscnets.dynamics import waves
from oscnets.ops import complex as complex_ops
from oscnets.ops import norm
from tests.helpers import assert_finite

LABELS = np.arange(32).reshape(2, 4, 4) % 3
MASKS = (LABELS[..., None] == np.arange(3)).astype(np.float32)

# Of states (2, 4, 4, 3), the first axis of which is the batch; each result has the batch's axis first.
BY_EXAMPLE = {
    "modulus": lambda x: phase.modulus(x, x),
    "unit": lambda x: phase.unit(x, x),
    "angle": lambda x: phase.angle(x, x),
    "order_parameter": lambda x: jnp.abs(phase.order_parameter(x, axis=(1, 2, 3))),
    "circular_mean": lambda x: phase.circular_mean(x, jnp.asarray([1, 2, 0]), axis=(1, 2, 3)),
    "gate": lambda x: complex_ops.gate(x, x, x),
    "rectify": lambda x: complex_ops.rectify(complex_ops.gate(x, x, x), 1.0, 0.5, (1, 2)).magnitude,
    "contrast_logits": lambda x: complex_ops.contrast_logits(x),
    "normalize": lambda x: norm.normalize(x, (1, 2, 3)),
    **{how: lambda x, how=how: ops.readout(x, how, axis=1) for how in ("mean", "max", "fft")},
    "linear": lambda x: ops.readout(x, "linear", axis=1, kernel=np.ones((4, 3), np.float32)),
    "instantaneous_phase": lambda x: analysis.instantaneous_phase(x, axis=1),
    "wavelength": lambda x: jnp.moveaxis(analysis.wavelength(jnp.moveaxis(jnp.asarray(x)[..., None], 1, 0)), 1, 0),
    "long_wave_share": lambda x: analysis.long_wave_share(
        jnp.moveaxis(jnp.asarray(x)[..., None], 1, 0), axis=(0, 2, 3, 4)
    ),
    "cluster_synchrony": lambda x: losses.cluster_synchrony(x, MASKS[: len(x)], jnp.abs(jnp.asarray(x))),
    "binary_cross_entropy": lambda x: losses.binary_cross_entropy(x, MASKS[: len(x)]),
    "multi_label_scores": lambda x: metrics.multi_label_scores(x, MASKS[: len(x)]),
    "segmentation_scores": lambda x: metrics.segmentation_scores(x, LABELS[: len(x)]),
    "foreground_scores": lambda x: metrics.foreground_scores(x, LABELS[: len(x)]),
    "wave_step": lambda x: waves.wave_step(x, x, speed=0.5, dt=0.5),
    "reverse_wave_step": lambda x: waves.reverse_wave_step(
        x, x, speed=jnp.full((4, 1), 0.5), dt=0.5, boundary="periodic"
    ),
    "wave_energy": lambda x: waves.wave_energy(x, x, speed=0.5, dt=0.5),
    "laplacian": lambda x: waves.laplacian(x),
}  # fmt: skip
STATES = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
BITS = (STATES > 0).astype(np.float32)


@pytest.fixture(params=BY_EXAMPLE)
def function(request):
    return BY_EXAMPLE[request.param]


def test_an_example_with_a_nan_is_nan_and_no_other_is(function):
    bad = STATES.copy()
    bad[1, 1, 2] = np.nan
    for fn in (function, jax.jit(function)):
        for found, sound in zip(jax.tree.leaves(fn(bad)), jax.tree.leaves(fn(STATES)), strict=True):
            assert np.isnan(found[1]).any() and np.isfinite(sound).all()
            np.testing.assert_array_equal(np.isnan(found[0]), False)
    everything = jax.tree.leaves(function(np.full_like(STATES, np.nan)))
    assert all(np.isnan(x).all() for x in everything)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gives_the_same_numbers(function, dtype):
    narrow = jnp.asarray(STATES, dtype)
    expected = jax.tree.leaves(function(narrow.astype(jnp.float32)))
    for found, wanted in zip(jax.tree.leaves(function(narrow)), expected, strict=True):
        assert found.dtype in (narrow.dtype, jnp.float32)
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found.astype(jnp.float32), wanted, atol=16 * float(jnp.finfo(dtype).eps) * scale)


@pytest.mark.parametrize("kind", [lambda x: x.astype(int), lambda x: x.astype(bool), lambda x: x.tolist()])
def test_integers_booleans_and_lists_are_floats(function, kind):
    for found, wanted in zip(jax.tree.leaves(function(kind(BITS))), jax.tree.leaves(function(BITS)), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_no_examples_give_empty_results(function):
    shapes = [np.shape(x) for x in jax.tree.leaves(function(STATES))]
    assert [np.shape(x) for x in jax.tree.leaves(function(STATES[:0]))] == [(0, *shape[1:]) for shape in shapes]


@pytest.mark.parametrize("strict", [jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise")])
def test_values_and_gradients_under_the_callers_promotion(function, strict):
    total = lambda x: sum(leaf.sum() for leaf in jax.tree.leaves(function(x)))  # noqa: E731
    with strict:
        value, gradient = jax.jit(jax.value_and_grad(total))(jnp.asarray(STATES))
        again, pull = jax.vjp(total, jnp.asarray(STATES))
        (eager,) = pull(jnp.ones_like(again))
    np.testing.assert_allclose(value, total(STATES), rtol=1e-5)
    np.testing.assert_allclose(eager, gradient, rtol=1e-3, atol=1e-4)


def test_gradients_are_finite_at_zero(function):
    total = lambda x: sum(leaf.sum() for leaf in jax.tree.leaves(function(x)))  # noqa: E731
    with jax.debug_nans(True):
        assert_finite(jax.jit(jax.grad(total))(jnp.zeros_like(STATES)))


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.float64(3), np.array(3), jnp.asarray(3)])
def test_whole_numbers_of_any_type(value):
    found = _inputs.whole_number("num_steps", value)
    assert type(found) is int and found == 3


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0.3 / 0.1, ValueError, r"num_steps must be a whole number, got 2\.99"),
        (np.float32(2.5), ValueError, "num_steps must be a whole number, got .*2.5"),
        (float("nan"), ValueError, "num_steps must be a whole number, got nan"),
        (-1, ValueError, "num_steps must be >= 0, got -1"),
        (True, TypeError, "num_steps must be a whole number, got True"),
        (np.True_, TypeError, "num_steps must be a whole number"),
        ("3", TypeError, "num_steps must be a whole number, got '3'"),
        (np.ones(2, int), TypeError, "num_steps must be a whole number"),
    ],
)
def test_what_is_no_whole_number(value, error, message):
    with pytest.raises(error, match=message):
        _inputs.whole_number("num_steps", value)


def test_the_largest_of_many_is_nan_where_one_is():
    x = np.random.default_rng(0).normal(size=(1000, 9)).astype(np.float32)
    np.testing.assert_array_equal(_inputs.largest(jnp.asarray(x), 0), x.max(0))
    x[777, 3] = np.nan
    np.testing.assert_array_equal(jax.jit(lambda x: _inputs.largest(x, 0))(x), x.max(0))


def test_a_sum_of_rectified_numbers_is_nan_where_one_is():
    x = np.random.default_rng(0).normal(size=(8, 32, 32, 16)).astype(np.float32)
    total = lambda x: _inputs.rectified(x).sum((1, 2))  # noqa: E731
    np.testing.assert_allclose(jax.jit(total)(x), np.maximum(x, 0).sum((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(jax.grad(lambda x: _inputs.rectified(x).sum())(jnp.array([-1.0, 0, 2])), [0, 0, 1])
    x[3, 5, 7, 2] = np.nan
    assert np.isnan(jax.jit(total)(x)).sum() == 1
