"""Corruptions of test images: the same on every machine; image i does not depend on the number of images."""

from collections.abc import Iterator

import numpy as np

from data_gen._tools import counter_rng

_CHUNK = 64  # images at a time: temporaries stay within the cache


def gaussian_noise(images: np.ndarray, *, std: float, seed: int, start: int = 0) -> np.ndarray:
    """Add independent Gaussian noise to every value and clip to [0, 1].

    Args:
      images: (N, H, W, C) in [0, 1].
      std: standard deviation >= 0, in units of the images (a variance of 0.1 is std = sqrt(0.1)).
      seed: integer in [0, 2**64).
      start: number of the first image in its data set: image i gets the noise of number start + i.
    Returns: float32 (N, H, W, C). The noise is computed in float64 by exactly rounded operations only, so that the
      bytes are the same on every machine.
    Raises: ValueError for a wrong rank, std, seed or start.
    """
    if not (np.isfinite(std) and std >= 0):
        raise ValueError(f"std must be a finite number >= 0, got {std}")
    images = _checked(images, start)
    noisy = np.empty(images.shape, np.float32)
    for part, bits in _draws(images.shape, seed, counter_rng.GAUSSIAN_NOISE, start):
        noisy[part] = np.clip(images[part] + std * counter_rng.normal(bits), 0.0, 1.0)
    return noisy


def salt_and_pepper(images: np.ndarray, *, share: float, seed: int, start: int = 0) -> np.ndarray:
    """Turn pixels white (1, salt) or black (0, pepper), all channels of a pixel together.

    Args:
      images: (N, H, W, C) in [0, 1].
      share: expected share of pixels replaced, in [0, 1]; half of them salt, half pepper.
      seed: integer in [0, 2**64).
      start: number of the first image in its data set, as in `gaussian_noise`.
    Returns: float32 (N, H, W, C).
    Raises: ValueError for a wrong rank, share, seed or start.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    corrupted = _checked(images, start).astype(np.float32)
    for part, bits in _draws((*corrupted.shape[:3], 1), seed, counter_rng.SALT_AND_PEPPER, start):
        draw = counter_rng.uniform(bits)
        corrupted[part] = np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, corrupted[part]))
    return corrupted


def _checked(images: np.ndarray, start: int) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, H, W, C), got {images.shape}")
    if start < 0:
        raise ValueError(f"start must be >= 0, got {start}")
    return images


def _draws(shape: tuple[int, ...], seed: int, purpose: int, start: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of images with 64 random bits per value, addressed by (seed, purpose, image, value)."""
    places = np.arange(int(np.prod(shape[1:]))).reshape(1, *shape[1:])
    for low in range(0, shape[0], _CHUNK):
        part = slice(low, min(low + _CHUNK, shape[0]))
        numbers = np.arange(start + part.start, start + part.stop).reshape(-1, 1, 1, 1)
        yield part, counter_rng.random_bits(seed, purpose, numbers, places)
