"""Complex layers against complex128 arithmetic."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.ops import complex as polar
from tests.helpers import assert_close, assert_gradients, float64, in_float64


def as_complex(z):
    return z.magnitude * (z.cosine + 1j * z.sine)


def layer(z, kernel, bias, scale, shift):
    """A dense layer by equations 3 to 5."""
    real, imag = (part @ kernel + bias for part in z.parts)
    gated = polar.gate(real, imag, z.magnitude @ kernel + bias)
    return polar.rectify(gated, scale, shift, axes=-1)


def arrays(batch=3, c_in=5, c_out=4):
    rng = np.random.default_rng(0)
    magnitude, angle = rng.uniform(0, 2, (batch, c_in)), rng.uniform(-4, 4, (batch, c_in))
    weights = rng.normal(size=(c_in, c_out)), rng.normal(size=c_out), rng.uniform(0.5, 2, c_out), rng.normal(size=c_out)
    return polar.Polar(magnitude, np.cos(angle), np.sin(angle)), weights


def test_a_layer_is_equations_3_to_5():
    z, (kernel, bias, scale, shift) = arrays()
    found = in_float64(layer, z, kernel, bias, scale, shift)
    field = as_complex(z)
    psi = (field.real @ kernel + bias) + 1j * (field.imag @ kernel + bias)
    magnitude = 0.5 * np.abs(psi) + 0.5 * (np.abs(field) @ kernel + bias)
    spread = np.sqrt(magnitude.var(-1, keepdims=True) + 1e-5)
    rectified = np.maximum((magnitude - magnitude.mean(-1, keepdims=True)) / spread * scale + shift, 0)
    assert np.sum(rectified == 0) > 0
    assert_close(as_complex(found), rectified * np.exp(1j * np.angle(psi)), 1e-12)


def test_gradients_by_finite_differences():
    z, weights = arrays()
    target = np.random.default_rng(1).normal(size=(2, 3, 4))

    def value(magnitude, angle, *weights):
        z = polar.Polar(magnitude, jnp.cos(angle), jnp.sin(angle))
        real, imag = layer(z, *weights).parts
        return jnp.sum(target[0] * real + target[1] * imag)

    with float64():
        assert_gradients(value, z.magnitude, np.arctan2(z.sine, z.cosine), *weights)


def test_values_and_gradients_where_psi_is_zero():
    """Silent inputs and no bias: nothing but zeros reaches the layer, in one example and in one unit of another."""
    z, (kernel, _, scale, shift) = arrays()
    z = z._replace(magnitude=z.magnitude * np.array([[0.0], [1.0], [1.0]]))
    kernel[:, 2] = 0
    args = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (z, kernel, np.zeros(4), scale, shift))

    def value(z, *weights):
        out = layer(z, *weights)
        return (out.parts[0] + 2 * out.parts[1] + out.cosine).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(value, range(5), has_aux=True))(*args)
    chex.assert_tree_all_finite((out, gradients))
    assert np.all(out.cosine[0] == 1) and np.all(out.cosine[:, 2] == 1)
    assert np.all(out.sine[0] == 0) and np.all(out.sine[:, 2] == 0)
    np.testing.assert_allclose(out.magnitude[0], np.maximum(shift, 0), rtol=1e-6)
    assert np.any(gradients[1][:, :2] != 0)


def test_contrast_logits():
    magnitude = np.array([[3.0, -1.0, 6.0], [-3.0, -6.0, -9.0]])
    expected = np.array([[1.0, -3.0, 4.0], [-2.0, -5.0, -8.0]])
    assert_close(polar.contrast_logits(jnp.asarray(magnitude)), expected, 1e-6)
    assert_close(polar.contrast_logits(jnp.asarray(magnitude.T), axis=0), expected.T, 1e-6)


def test_parts_of_different_shapes():
    with pytest.raises(ValueError, match=r"one shape, got \(3, 4\), \(3, 4\) and \(4,\)"):
        polar.gate(jnp.ones((3, 4)), jnp.ones((3, 4)), jnp.ones(4))
