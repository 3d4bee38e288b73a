"""Layers whose weights are modulated by the phases at their two ends (GASPnet).

Equation numbers are those of Alamia, Muzellec, Serre and VanRullen (2025). Each connection is scaled by
1 + strength cos(phase_out - phase_in): at strength 1 doubled in phase and 0 in antiphase.

`phase_conv` is one call of XLA's convolution. Inside a loop on a CPU that is twenty times slower than products, and a
vmap over kernels makes it a grouped one. `tap_responses` and `modulate` are the same in two parts, of which only the
second needs phases: a third of the multiplications, and only a few per pixel where the input is constant in time.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from oscnets._inputs import floats, precision, standard_promotion
from oscnets._platform import cpu_barrier, on_gpu
from oscnets._products.linear import bilinear
from oscnets._sharding import batch_sharded
from oscnets.phase import sincos

Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]


@standard_promotion
@batch_sharded("x", core=3)
def phase_conv(
    x: Array,
    kernel: Array,
    phase_in: Array,
    phase_out: Array,
    *,
    strength: Array | float = 1.0,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    bias: Array | None = None,
) -> Array:
    """Convolution modulated by phases (equation 1).

        y(p) = sum_t [1 + strength cos(phase_out(p) - phase_in(p + t))] x(p + t) kernel(t)  +  bias

    By the cosine's addition theorem three plain convolutions, of x, x cos phase_in and x sin phase_in, in one call.

    Args:
        x: (..., H, W, C_in).
        kernel: (kh, kw, C_in, C_out); cross-correlated, as everywhere in deep learning.
        phase_in: (..., H, W) radians, shared by the channels.
        phase_out: (..., H', W') radians, at the output's resolution.
        strength: alpha; 0 is the plain convolution, bit for bit (to rounding where it is traced).
        strides: one for both axes, or one each.
        padding: with zeros. "SAME" as in XLA: H' = ceil(H / stride), an odd pixel goes after the image (with a stride
            this is not PyTorch's half a kernel on either side, which is `kh // 2`); "VALID"; one number, one for
            each axis, or a pair (before, after) for each axis.
        bias: (C_out,), not modulated; None is none.

    Returns:
        (..., H', W', C_out), in the widest floating type of the first four.

    Raises:
        ValueError: shapes that do not fit together, an unknown padding.
        TypeError: a sparse or complex array.
    """
    x, kernel, phase_in, phase_out = floats(x=x, kernel=kernel, phase_in=phase_in, phase_out=phase_out)
    strength, bias = _constants(x.dtype, strength, bias, kernel.shape[-1:])
    _check_conv(x, kernel, phase_in)
    strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
    pads = _pads(padding, x.shape[-3:-1], kernel.shape[:2], strides)
    lead, batch = x.shape[:-3], x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])
    sizes = zip(batch.shape[1:3], pads, kernel.shape[:2], strides, strict=True)
    size = tuple(int(length + sum(pad) - taps) // stride + 1 for length, pad, taps, stride in sizes)
    if phase_out.shape != (*lead, *size):
        raise ValueError(f"phase_out must be {(*lead, *size)}, of the output's resolution, got {phase_out.shape}")

    def conv(batch: Array) -> Array:
        names = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(batch, kernel, strides, pads, dimension_numbers=names, precision=precision())

    if _is_zero(strength):
        return _biased(conv(batch).reshape(*lead, *size, kernel.shape[-1]), bias)
    sine, cosine = (part.reshape(*batch.shape[:3], 1) for part in sincos(phase_in))
    # Stored before they are joined, because XLA would compute all three for each element.
    thrice = jnp.concatenate(lax.optimization_barrier((batch, batch * cosine, batch * sine)))
    parts = conv(thrice).reshape(3, *lead, *size, kernel.shape[-1])
    return _biased(_combine(parts, phase_out[..., None], strength), bias)


@standard_promotion
@batch_sharded("x", core=1)
def phase_dense(
    x: Array,
    kernel: Array,
    phase_in: Array,
    phase_out: Array,
    *,
    strength: Array | float = 1.0,
    bias: Array | None = None,
) -> Array:
    """Dense layer modulated by phases (equation 2).

        y_j = sum_k [1 + strength cos(phase_out_j - phase_in_k)] x_k kernel_kj  +  bias_j

    Args:
        x: (..., K).
        kernel: (K, J).
        phase_in: (..., K) radians; flattened inputs carry the phase of their position.
        phase_out: (..., J) radians.
        strength: alpha; 0 is the plain layer, bit for bit (to rounding where it is traced).
        bias: (J,), not modulated; None is none.

    Returns:
        (..., J).

    Raises:
        ValueError: shapes that do not fit together.
    """
    x, kernel, phase_in, phase_out = floats(x=x, kernel=kernel, phase_in=phase_in, phase_out=phase_out)
    strength, bias = _constants(x.dtype, strength, bias, kernel.shape[-1:])
    if x.ndim < 1 or kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(f"kernel must be (K, J) for x (..., K), got {kernel.shape} and {x.shape}")
    if phase_in.shape != x.shape or phase_out.shape != (*x.shape[:-1], kernel.shape[1]):
        expected = f"{x.shape} and {(*x.shape[:-1], kernel.shape[1])}"
        raise ValueError(f"phase_in and phase_out must be {expected}, got {phase_in.shape} and {phase_out.shape}")
    if _is_zero(strength):
        return _biased(jnp.matmul(x, kernel, precision=precision()), bias)
    product = lambda x: jnp.matmul(x, kernel, precision=precision())  # noqa: E731
    sine, cosine = sincos(phase_in)
    return _biased(_combine(map(product, (x, x * cosine, x * sine)), phase_out, strength), bias)


def phase_dense_cnb(
    x: Array, kernel: Array, bias: Array, phase_in: Array | None, phase_out: Array | None, strength: Array | float
) -> Array:
    """Equation 2 in the layout (C, n, B): n positions or nodes, whose channels share a phase.

    Args:
        x: (C, n, B), flattened channels first.
        kernel: (C n, J).
        bias: (J,).
        phase_in, phase_out: (n, B) and (J, B) radians; None is the plain layer.
        strength: alpha.

    Returns:
        (J, B).
    """

    def product(x: Array) -> Array:
        return jnp.matmul(kernel.T, x.reshape(len(kernel), x.shape[-1]), precision=precision())

    if phase_in is None:
        return product(x) + bias[:, None]
    sine, cosine = sincos(phase_in)
    parts = (x, x * cosine, x * sine)
    products = jnp.split(product(jnp.concatenate(parts, -1)), 3, -1) if on_gpu() else map(product, parts)
    return _combine(products, phase_out, strength) + bias[:, None]


@standard_promotion
def tap_responses(x: Array, kernel: Array) -> Array:
    """Contribution of each tap of a kernel to a convolution of stride 1, zero padded by half the kernel.

    Args:
        x: (C_in, H, W, B).
        kernel: (kh, kw, C_in, C_out), odd sizes.

    Returns:
        (kh kw, C_out, H, W, B): sum_c x[c](p + t) kernel(t)[c] for every tap t; their sum is the convolution.
    """
    x, kernel = floats(x=x, kernel=kernel)
    taps_h, taps_w, c_in, c_out = kernel.shape
    shifted = _shifts(x, taps_h, taps_w)
    flat = shifted.reshape(*shifted.shape[:2], math.prod(x.shape[1:]))
    products = lax.dot_general(
        kernel.reshape(taps_h * taps_w, c_in, c_out),
        flat,
        (((1,), (1,)), ((0,), (0,))),
        precision=precision(),
    )
    return products.reshape(taps_h * taps_w, c_out, *x.shape[1:])


@standard_promotion
def modulate(
    responses: Array,
    phase_in: Array,
    phase_out: Array,
    *,
    kernel_size: tuple[int, int],
    strength: Array | float,
) -> Array:
    """Equation 1 from the responses of its taps, without a matrix product; this is what GASPnet runs.

    Args:
        responses: (kh kw, C_out, H, W, B), see `tap_responses`.
        phase_in, phase_out: (H, W, B) radians.
        kernel_size: (kh, kw).
        strength: alpha.

    Returns:
        (C_out, H, W, B).
    """
    responses, phase_in, phase_out = floats(responses=responses, phase_in=phase_in, phase_out=phase_out)
    (strength,) = (x.astype(responses.dtype) for x in floats(strength=strength))
    # Stored, because XLA would recompute sines for every tap, and weights for every channel.
    sender, receiver = cpu_barrier((jnp.stack(sincos(phase_in)), jnp.stack(sincos(phase_out))))
    (of_sine, of_cosine), shifted = receiver, _shifts(sender, *kernel_size)
    aligned = shifted[:, 0] * of_sine + shifted[:, 1] * of_cosine
    return _weighted_sum(cpu_barrier(1 + strength * aligned), responses)


def _weighted(_: None, weights: Array, responses: Array) -> Array:
    # Not a sum over an axis, which takes XLA a hundred times as long.
    return sum(weight * response for weight, response in zip(weights, responses, strict=True))


def _weighted_transpose(_: None, factors: tuple[Array, Array], ct_out: Array) -> tuple[Array, Array]:
    # As automatic differentiation has it, but each tap's part is written in place instead of padded and added.
    weights, responses = factors
    return (responses * ct_out).sum(1), weights[:, None] * ct_out


# sum_t weights[t] responses[t]: (t, H, W, B) and (t, C, H, W, B) -> (C, H, W, B)
_weighted_sum = partial(bilinear(_weighted, _weighted_transpose), None)


def _shifts(x: Array, taps_h: int, taps_w: int) -> Array:
    """(C, H, W, B) -> (kh kw, C, H, W, B): x(p + t) for every tap t, zero outside."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, [(0, 0), (taps_h // 2, taps_h // 2), (taps_w // 2, taps_w // 2), (0, 0)])
    return jnp.stack([padded[:, i : i + height, j : j + width] for i in range(taps_h) for j in range(taps_w)])


def _combine(parts: Iterable[Array], phase_out: Array, strength: Array | float) -> Array:
    plain, of_cosine, of_sine = parts
    sine, cosine = sincos(phase_out)
    return plain + strength * (cosine * of_cosine + sine * of_sine)


def _constants(dtype: Any, strength: Any, bias: Any, features: tuple[int, ...]) -> tuple[Array, Array | None]:
    """Strength and bias in a floating type, of the shapes that the layers take."""
    (strength,) = (x.astype(dtype) for x in floats(strength=strength))
    if strength.ndim:
        raise ValueError(f"strength must be a scalar, got shape {strength.shape}")
    if bias is None:
        return strength, None
    (bias,) = (x.astype(dtype) for x in floats(bias=bias))
    if bias.shape != features:
        raise ValueError(f"bias must be {features}, one for each output, got {bias.shape}")
    return strength, bias


def _biased(y: Array, bias: Array | None) -> Array:
    return y if bias is None else y + bias


def _is_zero(strength: Array | float) -> bool:
    """Whether it is 0 and not traced. In a larger product even the plain third may be summed in another order."""
    return not isinstance(strength, jax.core.Tracer) and bool(np.all(np.asarray(strength) == 0))


def _pads(padding: Padding, image: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list:
    """(before, after) along each axis."""
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise ValueError(f"padding must be 'SAME', 'VALID', a number or pairs, got {padding!r}")
        return lax.padtype_to_pads(image, kernel, strides, padding)
    each = (padding, padding) if isinstance(padding, int) else tuple(padding)
    pads = [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in each]
    if len(pads) != 2 or any(len(pad) != 2 for pad in pads):
        raise ValueError(f"padding must be 'SAME', 'VALID', a number or pairs, got {padding!r}")
    return pads


def _check_conv(x: Array, kernel: Array, phase_in: Array) -> None:
    if x.ndim < 3 or kernel.ndim != 4 or x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"kernel must be (kh, kw, C_in, C_out) for x (..., H, W, C_in), got {kernel.shape}, {x.shape}")
    if phase_in.shape != x.shape[:-1]:
        raise ValueError(f"phase_in must be {x.shape[:-1]} for x {x.shape}, got {phase_in.shape}")
