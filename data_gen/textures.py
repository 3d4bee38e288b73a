"""Coloured textures in place of photographs, made without a download: ten kinds, 32x32 pixels, two colours each.

They stand in for CIFAR-10 in quick runs and tests, and only where they are asked for by name. Coordinates are rotated,
scaled and shifted at random, so that no two pictures are equal. Exactly rounded operations only, as in `counter_rng`.
"""

import numpy as np

from data_gen._tools import counter_rng

SIDE = 32
NAMES = ("stripes", "checks", "dots", "rings", "ramp", "blobs", "grain", "grid", "zigzag", "bricks")
COUNTS = {"train": 4000, "test": 1000}
_SEED = 0
_DRAWS = 10  # random numbers per picture, before those of its pixels


def make(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (N, 32, 32, 3) and kinds int32 (N,), 0 to 9 in turn, of "train" or "test", which share none."""
    start = 0 if split == "train" else COUNTS["train"]
    numbers = np.arange(start, start + COUNTS[split])
    labels = numbers % len(NAMES)
    images = np.empty((len(numbers), SIDE, SIDE, 3), np.uint8)
    for kind in range(len(NAMES)):
        images[labels == kind] = _pictures(kind, numbers[labels == kind])
    return images, labels.astype(np.int32)


def _pictures(kind: int, numbers: np.ndarray) -> np.ndarray:
    draws = counter_rng.uniform(
        counter_rng.random_bits(_SEED, counter_rng.TEXTURES, numbers[:, None], np.arange(_DRAWS))
    )
    turn, scale, down, right = draws[:, :4].T[..., None, None]
    cosine, sine = counter_rng.cos_turns(turn), counter_rng.cos_turns((turn + 0.75) % 1)
    wavelength = 6 + 8 * scale  # in pixels
    row, column = np.ogrid[-SIDE // 2 : SIDE // 2, -SIDE // 2 : SIDE // 2]
    u = (row * cosine - column * sine) / wavelength + down
    v = (row * sine + column * cosine) / wavelength + right
    mix = _PATTERNS[NAMES[kind]](u, v, numbers)[..., None]
    first, second = draws[:, 4:7][:, None, None], draws[:, 7:10][:, None, None]
    return np.floor(255 * (first + (second - first) * mix) + 0.5).astype(np.uint8)


def _wave(x: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1: 0 at integers, 1 half-way between."""
    return 2 * abs(x - np.floor(x + 0.5))


def _noise(numbers: np.ndarray, side: int) -> np.ndarray:
    places = _DRAWS + np.arange(side * side).reshape(side, side)
    return counter_rng.uniform(counter_rng.random_bits(_SEED, counter_rng.TEXTURES, numbers[:, None, None], places))


def _rings(u: np.ndarray, v: np.ndarray, _) -> np.ndarray:
    return _wave(np.sqrt(u * u + v * v))


def _blobs(_u: np.ndarray, _v: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Smooth noise: random levels on a coarse grid, interpolated linearly along both axes."""
    coarse = _noise(numbers, 6)
    position = np.arange(SIDE) * 5 / SIDE
    low = np.floor(position).astype(int)
    weight = position - low
    rows = coarse[:, low] * (1 - weight)[:, None] + coarse[:, low + 1] * weight[:, None]
    return rows[:, :, low] * (1 - weight) + rows[:, :, low + 1] * weight


def _bricks(u: np.ndarray, v: np.ndarray, _) -> np.ndarray:
    layer = np.floor(2 * u)
    return ((_wave(2 * u) > 0.3) & (_wave(v + 0.5 * (layer % 2)) > 0.2)).astype(float)


_PATTERNS = {
    "stripes": lambda u, v, _: _wave(u),
    "checks": lambda u, v, _: (np.floor(2 * u) + np.floor(2 * v)) % 2,
    "dots": lambda u, v, _: ((1 - _wave(u)) ** 2 + (1 - _wave(v)) ** 2 < 0.4).astype(float),
    "rings": _rings,
    "ramp": lambda u, v, _: (u / 4 + 0.5).clip(0, 1),
    "blobs": _blobs,
    "grain": lambda u, v, numbers: _noise(numbers, SIDE),
    "grid": lambda u, v, _: (np.minimum(_wave(u), _wave(v)) < 0.25).astype(float),
    "zigzag": lambda u, v, _: _wave(u + _wave(v) / 2),
    "bricks": _bricks,
}
