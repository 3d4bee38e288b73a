"""Convolutions by products against XLA's."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from oscnets import ops
from oscnets._products.conv import conv_hwcb, conv_transpose_hwcb
from tests.helpers import assert_adjoints, assert_close, in_float64

# Image, kernel, channels in and out, stride.
CASES = [
    ((6, 4), (3, 3), 2, 3, 1),
    ((5, 7), (1, 3), 3, 1, 1),
    ((4, 6), (5, 7), 2, 2, 2),
    ((8, 6), (3, 3), 3, 2, 2),
    ((2, 4), (3, 3), 1, 4, 2),
    ((6, 9), (7, 5), 2, 1, 3),
    ((6, 3), (1, 1), 1, 2, 3),
]


def reference(x, kernel, strides=1):
    pads = [(k // 2, k // 2) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(x, kernel, (strides,) * 2, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients(case):
    image, size, c_in, c_out, strides = case
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, *image, c_in)), rng.normal(size=(*size, c_in, c_out))
    cotangent = rng.normal(size=(2, image[0] // strides, image[1] // strides, c_out))

    def both(x, kernel, cotangent):
        results = []
        for fn in (lambda *args: ops.conv(*args, strides=strides), lambda *args: reference(*args, strides)):
            value, pull = jax.vjp(fn, x, kernel)
            results.append((value, pull(cotangent)))
        return results

    found, expected = in_float64(both, x, kernel, cotangent)
    assert_close(found, expected, 1e-12)


def test_leading_axes():
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(2, 3, 4, 4, 2)).astype(np.float32), rng.normal(size=(3, 3, 2, 2)).astype(np.float32)
    run = lambda x, kernel: (ops.conv(x, kernel, strides=2), ops.conv(x[1, 2], kernel, strides=2))  # noqa: E731
    whole, one = jax.jit(run)(x, kernel)
    chex.assert_shape(whole, (2, 3, 2, 2, 2))
    assert_close(whole[1, 2], one, 1e-6)
    assert_close(whole[0], reference(jnp.asarray(x[0]), kernel, 2), 1e-6)


def test_kernels_of_a_vmap():
    rng = np.random.default_rng(2)
    x, kernels = rng.normal(size=(3, 2, 4, 4, 2)), rng.normal(size=(3, 3, 3, 2, 2))
    found = in_float64(jax.vmap(ops.conv), x, kernels)
    expected = np.stack([in_float64(reference, *pair) for pair in zip(x, kernels, strict=True)])
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize(
    ("x", "kernel", "strides", "message"),
    [
        ((1, 4, 4, 2), (3, 3, 3, 1), 1, r"\(kh, kw, 2, C_out\) .* got \(3, 3, 3, 1\)"),
        ((1, 4, 4, 2), (3, 3, 2), 1, r"\(kh, kw, 2, C_out\) .* got \(3, 3, 2\)"),
        ((1, 4, 4, 2), (3, 2, 2, 1), 1, "odd height and width, got 3 x 2"),
        ((1, 4, 6, 2), (3, 3, 2, 1), 3, "4 x 6 is not divisible by the stride 3"),
        ((4, 4), (3, 3, 2, 1), 1, r"\(\.\.\., H, W, C_in\), got shape \(4, 4\)"),
    ],
)
def test_bad_shapes(x, kernel, strides, message):
    with pytest.raises(ValueError, match=message):
        ops.conv(jnp.zeros(x), jnp.zeros(kernel), strides=strides)


@pytest.mark.parametrize(("size", "strides"), [((5, 5), 2), ((3, 1), 2), ((3, 5), 1), ((11, 7), 3)])
def test_transposed_convolution_is_the_adjoint(size, strides):
    """<conv(g), x> = <g, conv_transpose(x)> for every g and x, in float64."""
    rng = np.random.default_rng(0)
    kernel, x = rng.normal(size=(*size, 2, 3)), rng.normal(size=(4, 6, 2, 5))
    g = rng.normal(size=(4 * strides, 6 * strides, 3, 5))
    found = assert_adjoints(partial(conv_transpose_hwcb, strides=strides), x, kernel)
    back = in_float64(partial(conv_hwcb, strides=strides), g, kernel.swapaxes(2, 3))
    np.testing.assert_allclose((found * g).sum(), (back * x).sum(), rtol=1e-12)


def test_transposed_convolution_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"kernel must be \(kh, kw, 2, C_out\) for 2 channels, got \(3, 3, 3, 3\)"):
        conv_transpose_hwcb(jnp.zeros((4, 4, 2, 1)), jnp.zeros((3, 3, 3, 3)))
    with pytest.raises(ValueError, match="odd height and width, got 2 x 3"):
        conv_transpose_hwcb(jnp.zeros((4, 4, 2, 1)), jnp.zeros((2, 3, 2, 3)))
