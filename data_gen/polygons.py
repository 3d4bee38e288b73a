"""White polygons on black whose pixels are to be named by the number of sides: the waves' polygons.

Jacobs, Budzinski, Muller, Ba and Keller, 2025: one or two polygons of three to six sides, corners near a circle with a
radius of 15 to 20 pixels. The text has lost the size of the pictures; 75 is the size of choice here.

Where the paper is silent: numbers of polygons and of sides, radii and turns are equally likely; corners stray from the
regular polygon by up to a tenth of a side's angle and a twentieth of the radius, so that polygons stay convex; polygons
lie wholly inside and touch nowhere, not even by their corners.
"""

import numpy as np

from data_gen._tools import checks, counter_rng, pixels, placing
from data_gen.segmentation import LabelMaps

NAMES = ("triangle", "quadrilateral", "pentagon", "hexagon")  # of classes 1 to 4
_SIDES = (3, 6)
_STRAY = (0.1, 0.05)  # shares of the angle from corner to corner, and of the radius
_MAX_RADIUS = 28
_UNIT = 256  # parts of a pixel in which corners lie, so that what is inside is exact
_CHUNK = 64  # pictures at a time: temporaries stay within the cache


def generate(
    *,
    seed: int,
    num_examples: int,
    num_polygons: tuple[int, int] = (1, 2),
    radius: tuple[int, int] = (15, 20),
    size: int = 75,
    start: int = 0,
) -> LabelMaps:
    """Make pictures number start ... start + num_examples - 1 of the endless set that (seed, the rest) names.

    Args:
      seed: integer in [0, 2**64).
      num_examples: number of pictures, >= 0.
      num_polygons: fewest and most polygons a picture, 1 <= fewest <= most <= 16.
      radius: smallest and largest radius of the circles, integers, 3 <= smallest <= largest <= 28, in pixels.
      size: side of the pictures, at least 2.1 times the largest radius and 3 more, at most 1024.
      start: number of the first picture, >= 0.
    Returns: LabelMaps with images (N, size, size, 1) of 0 and 1; class k + 1 is `NAMES[k]`, of k + 3 sides. The same
      bytes on every machine; picture i does not depend on num_examples or start.
    Raises: ValueError with the value and what was expected; RuntimeError where polygons do not fit.
    """
    checks.samples(seed, num_examples, start)
    checks.span("num_polygons", num_polygons, 1, 16)
    checks.span("radius", radius, 3, _MAX_RADIUS)
    checks.count("size", size, 2 * _reach(radius) + 1, checks.SIDE)
    maps = LabelMaps.empty(num_examples, size, 1)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        maps.labels[part] = _labels(seed, samples, num_polygons, radius, size)
        maps.images[part] = (maps.labels[part] > 0)[..., None]
    return maps


def _reach(radius: tuple[int, int]) -> int:
    """Pixels from a polygon's centre to the border of its window."""
    return int(np.ceil(radius[1] * (1 + _STRAY[1]))) + 1


def _labels(
    seed: int, samples: np.ndarray, num_polygons: tuple[int, int], radius: tuple[int, int], size: int
) -> np.ndarray:
    low, high = num_polygons
    counts = low + counter_rng.below(high - low + 1, counter_rng.random_bits(seed, counter_rng.POLYGONS, samples, 0))
    places = 3 + 2 * _SIDES[1]
    draws = counter_rng.random_bits(
        seed, counter_rng.POLYGONS, samples[:, None, None], 1 + np.arange(high)[:, None], np.arange(places)
    )
    sides = _SIDES[0] + counter_rng.below(_SIDES[1] - _SIDES[0] + 1, draws[..., 0])
    reach = _reach(radius)
    lit = _inside(_corners(sides, radius, counter_rng.uniform(draws[..., 1:])), reach)
    flat = lit.reshape(-1, *lit.shape[2:])
    boxes = pixels.bounding_boxes(flat)
    # One more row and column, for what grows below.
    lit = pixels.crop(flat, boxes[:, 0], boxes[:, 1], 2 * reach + 2).reshape(*sides.shape, 2 * reach + 2, -1)
    lit &= (np.arange(high) < counts[:, None])[..., None, None]
    address = {"seed": seed, "purpose": counter_rng.POLYGON_PLACES, "samples": samples}
    extents = boxes[:, 2:].reshape(*sides.shape, 2)
    corners = placing.places(pixels.row_words(_grown(lit)), extents, counts, canvas=size, **address)
    labels = np.zeros((len(samples), size + lit.shape[-1], size + lit.shape[-1]), np.int32)
    for k in range(high):
        pixels.paste(labels, lit[:, k] * (sides[:, k] - 2).astype(np.int32)[:, None, None], *corners[:, k].T)
    return labels[:, :size, :size]


def _grown(lit: np.ndarray) -> np.ndarray:
    """Shapes grown by one pixel down and to the right: two that touch share a pixel when both have grown so."""
    grown = lit.copy()
    grown[..., 1:, :] |= lit[..., :-1, :]
    grown[..., 1:] |= grown[..., :-1].copy()
    return grown


def _corners(sides: np.ndarray, radius: tuple[int, int], draws: np.ndarray) -> np.ndarray:
    """Corners int64 (..., 7, 2) round the centre, in 1/256 pixel, in order; those beyond the last are the first."""
    number = np.arange(_SIDES[1] + 1)
    number = np.where(number < sides[..., None], number, 0)
    stray = 2 * draws[..., 2:].reshape(*sides.shape, 2, _SIDES[1]) - 1
    turn, length = (np.take_along_axis(stray[..., k, :], number, axis=-1) * _STRAY[k] for k in (0, 1))
    turns = (draws[..., :1] + (number + turn) / sides[..., None] + 1) % 1
    lengths = (radius[0] + (radius[1] - radius[0]) * draws[..., 1:2]) * (1 + length) * _UNIT
    unit = np.stack([counter_rng.cos_turns((turns + 0.75) % 1), counter_rng.cos_turns(turns)], axis=-1)
    return np.rint(lengths[..., None] * unit).astype(np.int64)


def _inside(corners: np.ndarray, reach: int) -> np.ndarray:
    """bool (..., 2 reach + 1, 2 reach + 1): pixels whose centres lie on the inner side of every edge, or on it."""
    row, column = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    inside = np.ones((*corners.shape[:-2], 2 * reach + 1, 2 * reach + 1), bool)
    for k in range(corners.shape[-2] - 1):
        here, there = corners[..., k, :, None, None], corners[..., k + 1, :, None, None]
        down, right = np.moveaxis(there - here, -3, 0)
        inside &= right * (row * _UNIT - here[..., 0, :, :]) >= down * (column * _UNIT - here[..., 1, :, :])
    return inside
