"""Layers on complex activations with real weights (KomplexNet, equations 3 to 5), in any layout.

A complex activation is a magnitude >= 0 and a unit vector (cosine, sine), so that no arctangent is taken between
layers. With psi = L(Re z) + i L(Im z) for a linear map L with a real bias, the layer's output is

    magnitude = 0.5 |psi| + 0.5 L(|z|),   phase = arg psi,   z' = relu(norm(magnitude)) e^{i phase}.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import floats, largest, rectified, standard_promotion
from oscnets.ops.norm import normalize
from oscnets.phase import modulus

__all__ = ["Polar", "contrast_logits", "gate", "rectify"]


def __dir__() -> list[str]:
    return __all__


class Polar(NamedTuple):
    """magnitude (any sign before the rectification) and unit vector (cosine, sine) of the same shape."""

    magnitude: Array
    cosine: Array
    sine: Array

    @property
    def parts(self) -> tuple[Array, Array]:
        """Real and imaginary part."""
        return self.magnitude * self.cosine, self.magnitude * self.sine


@standard_promotion
def gate(real: Array, imag: Array, classic: Array) -> Polar:
    """Equation 4: half the modulus of psi, half the response to the magnitudes alone, at the angle of psi.

    Args:
        real, imag: the two parts of psi.
        classic: L(|z|), of the same shape; with it, inputs out of phase have no effect instead of an inhibitory one.

    Returns:
        Polar, before normalization. Where psi = 0 its angle is 0, the unit vector (1, 0), and all gradients are finite.
        NaN stays NaN.

    Raises:
        ValueError: shapes that differ.
    """
    real, imag, classic = floats(real=real, imag=imag, classic=classic)
    if not real.shape == imag.shape == classic.shape:
        shapes = f"{real.shape}, {imag.shape} and {classic.shape}"
        raise ValueError(f"real, imag and classic must have one shape, got {shapes}")
    size = modulus(real, imag)
    zero = size == 0
    safe = jnp.where(zero, 1, size)
    return Polar(0.5 * size + 0.5 * classic, jnp.where(zero, 1, real / safe), imag / safe)


@standard_promotion
def rectify(z: Polar, scale: Array, shift: Array, axes: int | tuple[int, ...]) -> Polar:
    """Equation 5: relu of the magnitude normalized over `axes` (biased variance, 1e-5), scaled and shifted."""
    return z._replace(magnitude=rectified(normalize(z.magnitude, axes) * scale + shift))


@standard_promotion
def contrast_logits(magnitude: Array, axis: int = -1) -> Array:
    """Logits of an output layer without rectification: magnitude minus a third of the largest; all NaN with a NaN."""
    (magnitude,) = floats(magnitude=magnitude)
    # Stored, because the gradient of max divides by the number of largest entries: 0 where XLA recomputes them with
    # another rounding.
    magnitude = jax.lax.optimization_barrier(magnitude)
    return magnitude - largest(magnitude, axis, keepdims=True) / 3
