"""The two layouts of the fast paths, named by their axes: `hwcb` (H, W, C, B) and `chwb` (C, H, W, B), batch last.

Public functions take (..., H, W, C). They convert once on the way in and once on the way out; B is the product of the
leading axes.
"""

from einops import rearrange
from jax import Array


def to_hwcb(x: Array) -> Array:
    """(..., H, W, C) -> (H, W, C, B)."""
    return rearrange(x, "... h w c -> h w c (...)")


def from_hwcb(x: Array, lead: tuple[int, ...]) -> Array:
    """(..., H, W, C, B) -> (..., *lead, H, W, C); axes before the last four, such as time, stay in front."""
    return _split_batch(rearrange(x, "... h w c b -> ... b h w c"), lead)


def to_chwb(x: Array) -> Array:
    """(..., H, W, C) -> (C, H, W, B)."""
    return rearrange(x, "... h w c -> c h w (...)")


def from_chwb(x: Array, lead: tuple[int, ...]) -> Array:
    """(..., C, H, W, B) -> (..., *lead, H, W, C); axes before the last four, such as time, stay in front."""
    return _split_batch(rearrange(x, "... c h w b -> ... b h w c"), lead)


def _split_batch(x: Array, lead: tuple[int, ...]) -> Array:
    return x.reshape(*x.shape[:-4], *lead, *x.shape[-3:])
