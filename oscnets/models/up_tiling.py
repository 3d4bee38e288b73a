"""Up-tiling: features of an image at a finer grid than that of its patches (Miyato et al., 2025)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import Array

from oscnets._inputs import at_least_float32, floats, precision, standard_promotion, whole_number
from oscnets._sharding import batch_sharded, run_sharded
from oscnets.dynamics import sphere


@standard_promotion
@batch_sharded("images", core=3, out=1)
def up_tiles(images: Array, tiles: int, *, patch: int) -> Array:
    """Shifted copies of images, by parts of a patch.

    The images are enlarged to side + patch - patch / tiles, with the cubic convolution of Keys (1981) with a = -0.75,
    and cropped at offsets of (i, j) patch / tiles.

    Args:
        images: (B, H, W, C).
        tiles: s, copies along each axis; divides the patch.
        patch: side of the patches, pixels.

    Returns:
        (s s, B, H, W, C), the row offset i first. The features of each copy need noise of their own.

    Raises:
        ValueError: images that are not 4-D; a patch that s does not divide.
    """
    (images,) = floats(images=images)
    tiles, patch = whole_number("tiles", tiles, 1), whole_number("patch", patch, 1)
    if images.ndim != 4:
        raise ValueError(f"images must be (B, H, W, C), got shape {images.shape}")
    if patch % tiles:
        raise ValueError(f"patch must be a multiple of the {tiles} tiles, got {patch}")
    height, width = images.shape[1:3]
    shift, wide = patch // tiles, at_least_float32(images.dtype)
    rows, columns = (jnp.asarray(_cubic(side, side + patch - shift), wide) for side in (height, width))
    x = jnp.einsum("ih,bhwc,jw->bijc", rows, images.astype(wide), columns, precision=precision()).astype(images.dtype)
    crops = [
        x[:, i * shift : i * shift + height, j * shift : j * shift + width] for i in range(tiles) for j in range(tiles)
    ]
    return jnp.stack(crops)


def _cubic(size: int, to: int) -> np.ndarray:
    """Weights (to, size) of an interpolation along one axis: half-pixel centres, borders repeated."""
    a = -0.75
    centre = (np.arange(to) + 0.5) * size / to - 0.5
    first = np.floor(centre).astype(int) - 1
    weights = np.zeros((to, size))
    for tap in range(4):
        distance = np.abs(centre - (first + tap))
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = a * (((distance - 5) * distance + 8) * distance - 4)
        np.add.at(weights, (np.arange(to), np.clip(first + tap, 0, size - 1)), np.where(distance <= 1, near, far))
    return weights


@standard_promotion
def interleave(features: Array) -> Array:
    """One finer grid from the features of the `up_tiles`: unit vectors over the channels.

    Args:
        features: (s s, B, H, W, C), in the order of the tiles.

    Returns:
        (B, s H, s W, C): tile (i, j) lies on the rows i, i + s, ... and the columns j, j + s, ...

    Raises:
        ValueError: features that are not 5-D, or a number of tiles that is no square.
    """
    (features,) = floats(features=features)
    tiles = round(len(features) ** 0.5) if features.ndim else 0
    if features.ndim != 5 or not tiles or tiles * tiles != len(features):
        raise ValueError(f"features must be (s s, B, H, W, C), got shape {features.shape}")
    features = jnp.moveaxis(features, 0, 3)
    return run_sharded(partial(_interleave, tiles), (features,), {}, batch=features, core=4)


@partial(jax.jit, static_argnums=0)
def _interleave(tiles: int, features: Array) -> Array:
    return rearrange(sphere.normalize(features), "b h w (i j) c -> b (h i) (w j) c", i=tiles)
