"""Layers modulated by phases against their sums, connection by connection."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from oscnets import ops
from tests.helpers import assert_close, assert_gradients, float64, in_float64

# Image, kernel, strides, padding, and what that is before and after each axis.
CASES = [
    ((5, 6), (3, 3), 1, "SAME", ((1, 1), (1, 1))),
    ((6, 5), (3, 3), 2, "SAME", ((0, 1), (1, 1))),
    ((5, 7), (3, 2), (2, 3), "VALID", ((0, 0), (0, 0))),
    ((4, 5), (4, 3), 1, 2, ((2, 2), (2, 2))),
    ((5, 4), (3, 3), 3, (1, 0), ((1, 1), (0, 0))),
    ((4, 6), (1, 5), (1, 2), ((0, 1), (2, 3)), ((0, 1), (2, 3))),
]


def arrays(image, size, strides, pads, lead=(2,), channels=(2, 3), seed=0):
    rng = np.random.default_rng(seed)
    strides = np.broadcast_to(strides, 2)
    out = [(n + sum(pad) - k) // stride + 1 for n, pad, k, stride in zip(image, pads, size, strides, strict=True)]
    x, kernel = rng.normal(size=(*lead, *image, channels[0])), rng.normal(size=(*size, *channels))
    return x, kernel, rng.uniform(-4, 4, (*lead, *image)), rng.uniform(-4, 4, (*lead, *out))


def naive_conv(x, kernel, phase_in, phase_out, strength, strides, pads):
    """Equation 1 of one image, tap by tap."""
    y = np.zeros((*phase_out.shape, kernel.shape[-1]))
    strides = np.broadcast_to(strides, 2)
    for place in np.ndindex(phase_out.shape):
        for tap in np.ndindex(kernel.shape[:2]):
            source = tuple(p * s + t - pad[0] for p, s, t, pad in zip(place, strides, tap, pads, strict=True))
            if all(0 <= at < size for at, size in zip(source, phase_in.shape, strict=True)):
                modulation = 1 + strength * np.cos(phase_out[place] - phase_in[source])
                y[place] += modulation * x[source] @ kernel[tap]
    return y


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conv_is_equation_1(case):
    image, size, strides, padding, pads = case
    args, bias = arrays(image, size, strides, pads), np.array([0.3, -1.0, 2.0])

    def run(*args):
        return [ops.phase_conv(*args, strength=a, strides=strides, padding=padding, bias=bias) for a in (0.0, 0.8, 3.0)]

    for found, strength in zip(in_float64(run, *args), (0.0, 0.8, 3.0), strict=True):
        pairs = zip(args[0], *args[2:], strict=True)
        expected = [naive_conv(x, args[1], a, b, strength, strides, pads) + bias for x, a, b in pairs]
        assert_close(found, np.stack(expected), 1e-12)


@pytest.mark.parametrize(("channels", "lead"), [((1, 26), (7,)), ((26, 30), (1,)), ((3, 5), (2, 2))], ids=str)
@pytest.mark.parametrize("strides", [1, 2])
def test_strength_0_is_the_plain_convolution_bit_for_bit(channels, lead, strides):
    args = [x.astype(np.float32) for x in arrays((9, 9), (3, 3), strides, ((1, 1), (1, 1)), lead, channels)]

    def plain(x, kernel):
        names = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (strides,) * 2, "SAME", dimension_numbers=names, precision="highest")

    expected = plain(args[0].reshape(-1, 9, 9, channels[0]), args[1]).reshape(*args[3].shape, -1)
    for strength in (0, 0.0, jnp.zeros(())):
        assert np.array_equal(ops.phase_conv(*args, strength=strength, strides=strides), expected)
    traced = jax.jit(lambda strength, *args: ops.phase_conv(*args, strength=strength, strides=strides))
    assert_close(traced(0.0, *args), expected, 1e-6)
    assert not np.array_equal(traced(0.1, *args), expected)


def test_a_common_shift_of_the_phases_changes_nothing():
    x, kernel, phase_in, phase_out = arrays((4, 4), (3, 3), 1, ((1, 1), (1, 1)))
    dense = (x[:, 0, :, 0], kernel[0, 0, :, :1].repeat(2, 0), phase_in[:, 0], phase_out[:, 0, :1])

    def run(shift):
        return (
            ops.phase_conv(x, kernel, phase_in + shift, phase_out + shift),
            ops.phase_dense(*dense[:2], dense[2] + shift, dense[3] + shift),
        )

    assert_close(in_float64(run, 1.7), in_float64(run, 0.0), 1e-13)


def test_gradients_by_finite_differences():
    args = arrays((4, 5), (3, 3), 2, ((0, 1), (1, 1)), ())
    target = np.random.default_rng(1).normal(size=(2, 3, 3))
    value = lambda *args: jnp.sum(target * ops.phase_conv(*args[:4], strength=args[4], strides=2, bias=args[5]))  # noqa: E731
    with float64():
        assert_gradients(value, *args, 0.7, np.array([0.1, 0.2, 0.3]))


def naive_dense(x, kernel, phase_in, phase_out, strength):
    modulation = 1 + strength * np.cos(phase_out - phase_in[:, None])
    return (modulation * kernel * x[:, None]).sum(0)


def dense_arrays(lead=(2, 3), seed=0):
    rng = np.random.default_rng(seed)
    phases = rng.uniform(-4, 4, (*lead, 5)), rng.uniform(-4, 4, (*lead, 4))
    return rng.normal(size=(*lead, 5)), rng.normal(size=(5, 4)), *phases


def test_dense_is_equation_2_with_its_gradients():
    args, bias = dense_arrays(), np.arange(4.0)
    run = lambda *args: [ops.phase_dense(*args, strength=a, bias=bias) for a in (0.0, 0.8)]  # noqa: E731
    for strength, found in zip((0.0, 0.8), in_float64(run, *args), strict=True):
        for i in itertools.product(range(2), range(3)):
            expected = naive_dense(args[0][i], args[1], args[2][i], args[3][i], strength) + bias
            assert_close(found[i], expected, 1e-13)
    target = np.random.default_rng(1).normal(size=(2, 3, 4))
    value = lambda *args: jnp.sum(target * ops.phase_dense(*args[:4], strength=args[4]))  # noqa: E731
    with float64():
        assert_gradients(value, *args, 0.7)


def test_dense_with_strength_0_is_a_product_bit_for_bit():
    x, kernel, *phases = (x.astype(np.float32) for x in dense_arrays((32,)))
    assert np.array_equal(ops.phase_dense(x, kernel, *phases, strength=0.0), jnp.matmul(x, kernel, precision="highest"))


def test_leading_axes_and_kernels_of_a_vmap():
    args = arrays((4, 4), (3, 3), 1, ((1, 1), (1, 1)), (2, 3))
    kernels = np.random.default_rng(1).normal(size=(2, 3, 3, 2, 3))

    def run(kernels, x, kernel, *phases):
        whole, one = ops.phase_conv(x, kernel, *phases), ops.phase_conv(x[1, 2], kernel, *(p[1, 2] for p in phases))
        each = jax.vmap(ops.phase_conv)(x, kernels, *phases)
        return (whole[1, 2], each[1]), (one, ops.phase_conv(x[1], kernels[1], *(p[1] for p in phases)))

    assert_close(*in_float64(run, kernels, *args), 1e-13)


@pytest.mark.parametrize("size", [(3, 3), (1, 5)], ids=str)
def test_taps_modulated_are_the_convolution(size):
    pads = tuple((k // 2, k // 2) for k in size)
    args = arrays((4, 5), size, 1, pads)

    def by_taps(x, kernel, phase_in, phase_out):
        responses = ops.tap_responses(jnp.moveaxis(x, (0, -1), (-1, 0)), kernel)
        phases = (jnp.moveaxis(phase, 0, -1) for phase in (phase_in, phase_out))
        y = ops.modulate(responses, *phases, kernel_size=size, strength=0.8)
        return jnp.moveaxis(y, (0, -1), (-1, 0))

    def both(*args):
        target = np.random.default_rng(1).normal(size=(2, 4, 5, 3))
        values = []
        for fn in (by_taps, lambda *args: ops.phase_conv(*args, strength=0.8)):
            y, pull = jax.vjp(fn, *args)
            values.append((y, pull(target)))
        return values

    found, expected = in_float64(both, *args)
    assert_close(found, expected, 1e-12)


def test_gradients_at_zero_activity_are_finite():
    _, kernel, *phases = (x.astype(np.float32) for x in arrays((4, 4), (3, 3), 1, ((1, 1), (1, 1))))
    value = lambda *args: jnp.sum(ops.phase_conv(*args) ** 2)  # noqa: E731
    gradients = jax.jit(jax.grad(value, (0, 1, 2, 3)))(jnp.zeros((2, 4, 4, 2)), kernel, *phases)
    chex.assert_tree_all_finite(gradients)


@pytest.mark.parametrize(
    ("x", "kernel", "phase_in", "phase_out", "options", "message"),
    [
        ((4, 4, 2), (3, 3, 3, 1), (4, 4), (4, 4), {}, r"kernel must be .* got \(3, 3, 3, 1\), \(4, 4, 2\)"),
        ((4, 2), (3, 3, 2, 1), (4, 4), (4, 4), {}, r"x \(\.\.\., H, W, C_in\), got"),
        ((4, 4, 2), (3, 3, 2, 1), (4, 5), (4, 4), {}, r"phase_in must be \(4, 4\) .* got \(4, 5\)"),
        ((4, 4, 2), (3, 3, 2, 1), (4, 4), (4, 4), {"strides": 2}, r"phase_out must be \(2, 2\).* got \(4, 4\)"),
        ((4, 4, 2), (3, 3, 2, 1), (4, 4), (4, 4), {"padding": "same"}, "padding must be 'SAME'.* got 'same'"),
        ((4, 4, 2), (3, 3, 2, 1), (4, 4), (4, 4), {"padding": (1, 1, 1)}, r"padding must be .* got \(1, 1, 1\)"),
    ],
)
def test_conv_shapes_that_do_not_fit(x, kernel, phase_in, phase_out, options, message):
    with pytest.raises(ValueError, match=message):
        ops.phase_conv(*map(jnp.zeros, (x, kernel, phase_in, phase_out)), **options)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((5,), (4, 3), (5,), (3,)), r"kernel must be \(K, J\) .* got \(4, 3\) and \(5,\)"),
        (((2, 5), (5, 3), (5,), (2, 3)), r"must be \(2, 5\) and \(2, 3\), got \(5,\) and \(2, 3\)"),
        (((2, 5), (5, 3), (2, 5), (2, 5)), r"must be \(2, 5\) and \(2, 3\), got \(2, 5\) and \(2, 5\)"),
    ],
)
def test_dense_shapes_that_do_not_fit(shapes, message):
    with pytest.raises(ValueError, match=message):
        ops.phase_dense(*map(jnp.zeros, shapes))
