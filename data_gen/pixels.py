"""Exact image arithmetic on integers: bounding boxes, crops, resizing.

Where a resize samples, by half-pixel centres, are multiples of 1 / (2 size), so that bilinear weights are integers over
2 size: sums are exact, and one division at the end gives the same float on every machine.
"""

import numpy as np


def bounding_boxes(images: np.ndarray) -> np.ndarray:
    """Smallest boxes that hold all lit (> 0) pixels.

    Args: images (N, H, W). Returns int64 (N, 4): top, left, height, width.
    Raises: ValueError naming the first image without a lit pixel.
    """
    spans = []
    for lit in (images.any(axis=2), images.any(axis=1)):
        first = lit.argmax(axis=1)
        spans.append((first, lit.shape[1] - lit[:, ::-1].argmax(axis=1) - first))
        if not lit.any(axis=1).all():
            raise ValueError(f"image {int(np.argmin(lit.any(axis=1)))} is all black: a digit needs a lit pixel")
    (top, height), (left, width) = spans
    return np.stack([top, left, height, width], axis=1)


def crop(images: np.ndarray, tops: np.ndarray, lefts: np.ndarray, side: int) -> np.ndarray:
    """Windows (N, side, side) of images (N, H, W) with the given upper-left corners (N,); 0 beyond the images."""
    padded = np.pad(images, ((0, 0), (0, side), (0, side)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    return windows[np.arange(len(images)), tops, lefts]


def paste(canvases: np.ndarray, patches: np.ndarray, tops: np.ndarray, lefts: np.ndarray) -> None:
    """Add patches (N, s, s) to canvases (N, H, W) in place, upper-left corners at (tops, lefts), wholly inside."""
    windows = np.lib.stride_tricks.sliding_window_view(canvases, patches.shape[1:], axis=(1, 2), writeable=True)
    windows[np.arange(len(canvases)), tops, lefts] += patches


def nearest_index(old: int, new: int) -> np.ndarray:
    """int64 (new,): which of `old` pixels lies under the centre of each of `new` pixels: floor((i + 1/2) old / new)."""
    return (2 * np.arange(new) + 1) * old // (2 * new)


def bilinear_sums(images: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    """Resize bilinearly with half-pixel centres, clamped borders and no antialiasing, in exact integers.

    Args: images (N, H, W), integers in [0, 255]; size in [1, 1024].
    Returns: int32 sums (N, size, size) and the divisor (2 size)**2: sums / divisor are the resized values.
    """
    rows = _blend(images.astype(np.int32), 1, size)
    return _blend(rows, 2, size), 4 * size * size


def _blend(images: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Linear interpolation along `axis` to `size` positions, times 2 size."""
    old = images.shape[axis]
    position = np.maximum((2 * np.arange(size) + 1) * old - size, 0)
    low = np.minimum(position // (2 * size), old - 1)
    high = np.minimum(low + 1, old - 1)
    shape = [1, 1, 1]
    shape[axis] = size
    weight = (position - 2 * size * low).astype(np.int32).reshape(shape)
    lower = images.take(low, axis)
    return lower * (2 * size) + (images.take(high, axis) - lower) * weight
