"""Hollow shapes that may overlap, to be told apart without labels: the Shapes sets, and digits with a shape.

The data of the Complex AutoEncoder (Löwe, Lippe, Rudolph and Welling, 2022) and of Rotating Features (Löwe, Lippe,
Locatello and Welling, 2023), made on the fly. 2Shapes, 3Shapes, 4Shapes and 10Shapes are the first two, three, four and
ten of `NAMES`, each once in a picture: a square of 13 pixels and triangles 17 wide and 9 high, of lines 3 pixels wide,
as in the published pictures of 2Shapes and 3Shapes.

Ours, because it is not published or not known: the circle of 13 pixels and the six further shapes; that places are
equally likely and independent; the palette of full hues, the depths, and that the nearer shape hides the other; for
digits with a shape that the shape is one of the first three, and that the brighter of two pixels is seen.
"""

import functools
from typing import Literal

import numpy as np

from data_gen._tools import checks, counter_rng, pixels
from data_gen._tools.digit_table import DigitTable
from data_gen.segmentation import LabelMaps

NAMES = (
    *("square", "triangle down", "triangle up", "circle", "diamond"),
    *("tall box", "wide box", "triangle left", "triangle right", "hexagon"),
)
CHANNELS = {"grey": 1, "rgb": 3, "rgbd": 4}
OVERLAP = -1  # label of pixels of two shapes or more
_CHUNK = 256  # pictures at a time: temporaries stay within the cache
_SIDE = 17  # of the largest shape
_WITH_DIGITS = 3  # shapes that lie beside a digit


def generate(
    *,
    seed: int,
    num_examples: int,
    num_shapes: int = 4,
    colour: Literal["grey", "rgb", "rgbd"] = "grey",
    num_colours: int = 5,
    size: int = 32,
    start: int = 0,
) -> LabelMaps:
    """Make pictures number start ... start + num_examples - 1 of the endless set that (seed, the rest) names.

    Args:
      seed: integer in [0, 2**64).
      num_examples: number of pictures, >= 0.
      num_shapes: in [1, 10]; a picture has the first so many of `NAMES`, each once, wholly inside.
      colour: `grey`, white on black; `rgb`, each shape in one of num_colours hues, equally likely and also the same for
        several shapes; `rgbd`, and its nearness as the fourth channel: 1 / n, ..., 1 for the n shapes in random order,
        0 for the background.
      num_colours: of the palette, in [1, 64].
      size: side of the pictures, in [17, 1024]. Ten shapes cover each other less on 48 pixels.
      start: number of the first picture, >= 0.
    Returns: LabelMaps with images (N, size, size, 1, 3 or 4); label k + 1 is `NAMES[k]`, `OVERLAP` pixels of two shapes
      or more. The same bytes on every machine; picture i does not depend on num_examples or start, and the places of
      its shapes not on their colours.
    Raises: ValueError with the value and what was expected.
    """
    checks.samples(seed, num_examples, start)
    checks.count("num_shapes", num_shapes, 1, len(NAMES))
    checks.count("num_colours", num_colours, 1, 64)
    checks.count("size", size, _SIDE, checks.SIDE)
    if colour not in CHANNELS:
        raise ValueError(f"colour must be one of {', '.join(CHANNELS)}, got {colour!r}")
    maps = LabelMaps.empty(num_examples, size, CHANNELS[colour])
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        draws = counter_rng.random_bits(
            seed, counter_rng.SHAPES, samples[:, None, None], np.arange(num_shapes)[:, None], np.arange(4)
        )
        # Bit k of a pixel: it is of shape k.
        owners = np.zeros((len(samples), size + _SIDE, size + _SIDE), np.uint16)
        for k in range(num_shapes):
            stamp, extent = _stamp(k)
            corners = counter_rng.below(size - np.array(extent) + 1, draws[:, k, :2])
            pixels.paste(
                owners, np.broadcast_to(stamp.astype(np.uint16) << k, (len(samples), *stamp.shape)), *corners.T
            )
        owners = owners[:, :size, :size]
        maps.labels[part] = _labels(owners)
        maps.images[part] = _coloured(owners, draws[..., 2:], colour, num_colours)
    return maps


def with_digits(
    base, *, seed: int, num_examples: int, size: int = 32, threshold: float = 0.2, start: int = 0
) -> LabelMaps:
    """MNIST&Shapes: a digit of the base and one of the first three shapes, at random places.

    Args:
      base: images uint8 (M, H, W), at most 64 pixels per side, and labels (M,) integers >= 0.
      seed, num_examples, start: as for `generate`.
      size: side of the pictures, at least 17 and that of the largest digit without its black border.
      threshold: in [0, 1]: a pixel is the digit's if it is above.
    Returns: LabelMaps with images (N, size, size, 1); label 1 is the digit, 2 the shape, `OVERLAP` pixels of both. The
      same bytes on every machine; picture i does not depend on num_examples or start.
    Raises: ValueError with the value and what was expected.
    """
    checks.samples(seed, num_examples, start)
    checks.number("threshold", threshold, 0, 1)
    digits = DigitTable(base, 1)
    checks.count("size", size, max(digits.side, _SIDE), checks.SIDE)
    stamps, extents = (np.array(part) for part in zip(*map(_stamp, range(_WITH_DIGITS)), strict=True))
    maps = LabelMaps.empty(num_examples, size, 1)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        draws = counter_rng.random_bits(seed, counter_rng.DIGITS_WITH_SHAPES, samples[:, None], np.arange(6))
        chosen = counter_rng.below(len(digits.labels), draws[:, 0])
        kind = counter_rng.below(_WITH_DIGITS, draws[:, 1])
        light = [np.zeros((len(samples), size + side, size + side), np.uint8) for side in (digits.side, _SIDE)]
        corners = counter_rng.below(size - digits.boxes[chosen, 2:] + 1, draws[:, 2:4])
        pixels.paste(light[0], digits.crops(chosen), *corners.T)
        corners = counter_rng.below(size - extents[kind] + 1, draws[:, 4:])
        pixels.paste(light[1], stamps[kind] * np.uint8(255), *corners.T)
        digit, shape = (x[:, :size, :size] for x in light)
        maps.labels[part] = _labels((digit > 255 * threshold) + 2 * (shape > 0))
        maps.images[part] = np.maximum(digit, shape)[..., None] / np.float32(255)
    return maps


def _labels(owners: np.ndarray) -> np.ndarray:
    """Label k + 1 where bit k alone is set, 0 where none is."""
    several = owners & (owners - (owners > 0)) != 0
    return np.where(several, OVERLAP, np.frexp(owners.astype(np.float32))[1])


def _coloured(owners: np.ndarray, draws: np.ndarray, colour: str, num_colours: int) -> np.ndarray:
    """Pictures (P, size, size, C) of the pixels' owners; draws (P, n, 2) of hue and nearness."""
    if colour == "grey":
        return (owners > 0)[..., None]
    hue = 6 * counter_rng.below(num_colours, draws[..., 0]) / num_colours
    # The usual ramps of red, green and blue over the circle of hues.
    ramps = [abs(hue - 3) - 1, 2 - abs(hue - 2), 2 - abs(hue - 4)]
    inks = np.stack(ramps, axis=-1).clip(0, 1)
    nearness = (1 + np.argsort(np.argsort(draws[..., 1], kind="stable"), kind="stable")) / draws.shape[1]
    if colour == "rgbd":
        inks = np.concatenate([inks, nearness[..., None]], axis=-1)
    images = np.zeros((*owners.shape, inks.shape[-1]), np.float32)
    pictures = np.arange(len(owners))
    for kind in np.argsort(nearness, axis=1).T:  # the farthest first
        seen = owners >> kind.astype(np.uint16)[:, None, None] & 1 != 0
        images = np.where(seen[..., None], inks[pictures, kind][:, None, None].astype(np.float32), images)
    return images


@functools.cache
def _stamp(kind: int) -> tuple[np.ndarray, tuple[int, int]]:
    """A shape, bool (17, 17), in the upper left corner, and its height and width."""
    row, column = np.ogrid[-8:9, -8:9]
    down, right = abs(row), abs(column)
    triangle = ((down <= 4) & (right <= 4 - row)) & ~((row >= -1) & (right <= 1 - row))
    tall = ((down <= 8) & (right <= 4)) & ~((down <= 5) & (right <= 1))
    lit = {
        "square": (np.maximum(down, right) <= 6) & (np.maximum(down, right) > 3),
        "triangle down": triangle,
        "triangle up": triangle[::-1],
        "circle": (row**2 + column**2 <= 42) & (row**2 + column**2 > 12),
        "diamond": (down + right <= 8) & (down + right > 5),
        "tall box": tall,
        "wide box": tall.T,
        "triangle left": triangle[::-1].T,
        "triangle right": triangle.T,
        "hexagon": ((down <= 6) & (2 * right + down <= 16)) & ~((down <= 3) & (2 * right + down <= 9)),
    }[NAMES[kind]]
    ((top, left, height, width),) = pixels.bounding_boxes(lit[None]).tolist()
    (corner,) = pixels.crop(lit[None], np.array([top]), np.array([left]), _SIDE)
    return corner, (height, width)
