"""Digits whose pixels are to be named: MNIST and multi-MNIST as segmentation, the waves' sets.

Jacobs, Budzinski, Muller, Ba and Keller, 2025, "Traveling waves integrate spatial information through time". A pixel's
class is its digit's label + 1, or 0 for the background. One digit of MNIST is enlarged from 28 to 56 pixels and keeps
its greys; on 128x128 lie one to four digits of 42 pixels, black and white.

Where the paper is silent: pictures are resized bilinearly; numbers of digits are equally likely, and so is every digit
of the base, also twice in a picture; frames lie wholly inside and may overlap, lit pixels may not.
"""

from typing import NamedTuple

import numpy as np

from data_gen._tools import checks, counter_rng, pixels, placing

_CHUNK = 256  # pictures at a time: temporaries stay within the cache


class LabelMaps(NamedTuple):
    """images: float32 (N, size, size, C) in [0, 1]. labels: int32 (N, size, size), 0 is background."""

    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def empty(cls, count: int, size: int, channels: int) -> "LabelMaps":
        """Of `count` pictures that are yet to be made."""
        return cls(np.empty((count, size, size, channels), np.float32), np.empty((count, size, size), np.int32))


def mnist(base, *, size: int = 56, threshold: float = 0.5) -> LabelMaps:
    """Every digit of the base, in its order, resized bilinearly; its pixels above the threshold are of its class.

    Args:
      base: images uint8 (M, H, W) and labels (M,) integers >= 0. To hold digits out: `sources.hold_out`.
      size: side of the images, in [1, 1024].
      threshold: in [0, 1], exclusive.
    Returns: LabelMaps with images (M, size, size, 1) in levels of grey.
    Raises: ValueError with the value and what was expected.
    """
    checks.count("size", size, 1, checks.SIDE)
    checks.number("threshold", threshold, 0, 1)
    images, kinds = checks.base("base", base)
    maps = LabelMaps.empty(len(images), size, 1)
    for part, _ in counter_rng.chunks(len(images), 0, _CHUNK):
        maps.images[part] = pixels.resized(images[part][..., None], size)
        maps.labels[part] = (maps.images[part, ..., 0] > threshold) * (kinds[part].astype(np.int32) + 1)[:, None, None]
    return maps


def multi_mnist(
    base,
    *,
    seed: int,
    num_examples: int,
    num_digits: tuple[int, int] = (1, 4),
    digit_size: int = 42,
    size: int = 128,
    threshold: float = 0.5,
    start: int = 0,
) -> LabelMaps:
    """Make pictures number start ... start + num_examples - 1 of the endless set that (base, seed, the rest) names.

    Args:
      base: images uint8 (M, H, W) and labels (M,) integers >= 0.
      seed: integer in [0, 2**64).
      num_examples: number of pictures, >= 0.
      num_digits: fewest and most digits per picture, 1 <= fewest <= most <= 64.
      digit_size: side to which digits are resized, in [1, 64].
      size: side of the pictures, in [digit_size, 1024].
      threshold: in [0, 1]: a pixel of a resized digit is lit if it is above.
      start: number of the first picture, >= 0.
    Returns: LabelMaps with images (N, size, size, 1) of 0 and 1, the same bytes on every machine; picture i does not
      depend on num_examples or start.
    Raises: ValueError with the value and what was expected; RuntimeError where digits do not fit.
    """
    checks.samples(seed, num_examples, start)
    checks.span("num_digits", num_digits, 1, 64)
    checks.count("digit_size", digit_size, 1, pixels.WORD)
    checks.count("size", size, digit_size, checks.SIDE)
    checks.number("threshold", threshold, 0, 1)
    images, kinds = checks.base("base", base)
    maps = LabelMaps.empty(num_examples, size, 1)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        chosen, counts = _choose(seed, samples, len(images), num_digits)
        lit = pixels.resized(images[chosen.reshape(-1)][..., None], digit_size)[..., 0] > threshold
        lit = lit.reshape(*chosen.shape, digit_size, digit_size)
        lit &= (np.arange(num_digits[1]) < counts[:, None])[..., None, None]
        extents, address = np.full((*chosen.shape, 2), digit_size), {"seed": seed, "purpose": counter_rng.MAP_PLACES}
        corners = placing.places(pixels.row_words(lit), extents, counts, canvas=size, samples=samples, **address)
        classes = lit * (kinds[chosen].astype(np.int32) + 1)[..., None, None]
        labels = np.zeros((len(samples), size, size), np.int32)
        for k in range(num_digits[1]):
            pixels.paste(labels, classes[:, k], *corners[:, k].T)
        maps.labels[part], maps.images[part] = labels, (labels > 0)[..., None]
    return maps


def _choose(seed: int, samples: np.ndarray, base_size: int, span: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Indices (P, most) of digits in the base, and how many of them each picture has, (P,)."""
    draws = counter_rng.random_bits(seed, counter_rng.MAP_DIGITS, samples[:, None], np.arange(1 + span[1]))
    return counter_rng.below(base_size, draws[:, 1:]), span[0] + counter_rng.below(span[1] - span[0] + 1, draws[:, 0])
