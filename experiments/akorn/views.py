"""Random views of a picture for contrastive learning: a part of it, enlarged, in other colours.

Part, jitter and grey as published for AKOrN (Miyato et al., 2025). Ours: that the jitter is in the order brightness,
contrast, saturation, hue, and that the hue is turned about the grey axis of RGB.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # of the part: its share of the picture, its width to its height
BRIGHTNESS = CONTRAST = SATURATION = 0.4  # factors are within 1 plus or minus these
HUE = 0.1  # of a turn
JITTERED, GREY = 0.8, 0.2  # probabilities
_LUMA = (0.299, 0.587, 0.114)


def view(key: Array, image: Array) -> Array:
    """A random view of a picture (H, W, 3) in [0, 1], of the same shape."""
    part, jitter, chance, grey = jax.random.split(key, 4)
    x = random_part(part, image)
    x = jnp.where(jax.random.bernoulli(chance, JITTERED), jittered(jitter, x), x)
    return jnp.where(jax.random.bernoulli(grey, GREY), _grey(x), x)


def random_part(key: Array, image: Array) -> Array:
    """A random rectangle of a picture (H, W, C), enlarged to its size bilinearly.

    The area is uniform, the logarithm of the ratio of the sides too; a rectangle that is too long is cut to the side.
    """
    area, ratio, top, left = jax.random.split(key, 4)
    share = jax.random.uniform(area, (), minval=AREA[0], maxval=AREA[1])
    slope = jnp.exp(jax.random.uniform(ratio, (), minval=math.log(RATIO[0]), maxval=math.log(RATIO[1])) / 2)
    height, width = (jnp.minimum(jnp.sqrt(share) * factor, 1) for factor in (1 / slope, slope))
    rows = _weights(image.shape[0], height, jax.random.uniform(top) * (1 - height))
    columns = _weights(image.shape[1], width, jax.random.uniform(left) * (1 - width))
    return jnp.einsum("ih,hwc,jw->ijc", rows, image, columns, precision="highest")


def _weights(size: int, length: Array, first: Array) -> Array:
    """(size, size): pixels of a stretch of an axis, given by its length and start as shares, from those of the axis."""
    centre = (first + length * (jnp.arange(size) + 0.5) / size) * size - 0.5
    centre = jnp.clip(centre, 0, size - 1)
    return jnp.maximum(1 - jnp.abs(centre[:, None] - jnp.arange(size)), 0)


def jittered(key: Array, image: Array) -> Array:
    """A picture (H, W, 3) with brightness, contrast, saturation and hue changed at random, in [0, 1]."""
    keys = jax.random.split(key, 4)
    factors = [
        jax.random.uniform(each, (), minval=1 - reach, maxval=1 + reach)
        for each, reach in zip(keys[:3], (BRIGHTNESS, CONTRAST, SATURATION), strict=True)
    ]
    x = jnp.clip(image * factors[0], 0, 1)
    x = _blend(x, _grey(x).mean(), factors[1])
    x = _blend(x, _grey(x), factors[2])
    angle = 2 * math.pi * jax.random.uniform(keys[3], (), minval=-HUE, maxval=HUE)
    return jnp.clip(jnp.matmul(x, _turn(angle), precision="highest"), 0, 1)


def _blend(image: Array, other: Array, factor: Array) -> Array:
    return jnp.clip(factor * image + (1 - factor) * other, 0, 1)


def _grey(image: Array) -> Array:
    luma = (image * jnp.asarray(_LUMA, image.dtype)).sum(-1, keepdims=True)
    return jnp.broadcast_to(luma, image.shape)


def _turn(angle: Array) -> Array:
    """Rotation (3, 3) of RGB about the grey axis."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle) / math.sqrt(3)
    skew = jnp.asarray([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
    return cosine * jnp.eye(3) + (1 - cosine) / 3 + sine * skew
