"""Checks of arguments: ValueError with the value and what was expected."""

import math

import numpy as np

from data_gen._tools import counter_rng

SIDE = 1024  # of pictures: the exact sums of a bilinear resize fit into 32 bits


def count(name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless `value` is an integer in [low, high]."""
    if not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer in [{low}, {high}], got {value}")


def samples(seed: int, num_examples: int, start: int) -> None:
    """Raise ValueError unless samples number start ... start + num_examples - 1 of a seed can be named."""
    count("num_examples", num_examples, 0, 2**31)
    count("start", start, 0, 2**62)
    counter_rng.check_seed(seed)


def number(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a finite number in [low, high]."""
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} must be a number in [{low:g}, {high:g}], got {value}")


def base(name: str, base, *, colour: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the base set that is called `name` in messages.

    Raises: ValueError unless images are uint8 (M, H, W), or (M, H, W, 3) in colour, and labels integers >= 0, (M,).
    """
    images, labels = np.asarray(base.images), np.asarray(base.labels)
    shape = "(M, H, W, 3)" if colour else "(M, H, W)"
    good = images.ndim == 4 and images.shape[-1] == 3 if colour else images.ndim == 3
    if not good or images.dtype != np.uint8:
        raise ValueError(f"{name} images must be uint8 {shape}, got {images.dtype} {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{name} labels must have shape {images.shape[:1]}, got {labels.shape}")
    if not images.size:
        raise ValueError(f"{name} must hold images of at least one pixel, got shape {images.shape}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise ValueError(f"{name} labels must be integers >= 0, got {labels.dtype}, the least {labels.min()}")
    return images, labels


def span(name: str, value: tuple[int, int], low: int, high: int) -> None:
    """Raise ValueError unless `value` is two integers, low <= smallest <= largest <= high."""
    good = isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(v, (int, np.integer)) for v in value)
    if not good or not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} must be two integers, {low} <= smallest <= largest <= {high}, got {value}")
