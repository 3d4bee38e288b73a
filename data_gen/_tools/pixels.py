"""Exact image arithmetic on integers: bounding boxes, crops, resizing.

Where a resize samples, by half-pixel centres, are multiples of 1 / (2 size), so that bilinear weights are integers over
2 size: sums are exact, and one division at the end gives the same float on every machine.
"""

import numpy as np

WORD = 64  # a row of a window is one machine word


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


def row_words(lit: np.ndarray) -> np.ndarray:
    """Rows of bool windows (..., H, W), W <= 64, as machine words, uint64 (..., H): bit v of word u is pixel (u, v)."""
    return (lit << np.arange(lit.shape[-1], dtype=np.uint64)).sum(axis=-1, dtype=np.uint64)


def count_shared(mine: np.ndarray, theirs: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pixels lit in both windows of each pair, counted bit by bit in parallel.

    Args:
      mine, theirs: uint64 (P, s), `row_words` of windows s high and at most s wide.
      down, right: int64 (P,), where the first window's corner lies, seen from the second's.
    Returns: integers (P,).
    """
    side = mine.shape[1]
    line = np.arange(side) + down[:, None]
    inside = (line >= 0) & (line < side)
    facing = np.take_along_axis(theirs, line.clip(0, side - 1), axis=1) * inside
    # One of the two shifts is by 0. The cast comes last: unsigned numbers have no sign to clip.
    right = right[:, None]
    moved = mine << right.clip(min=0).astype(np.uint64) >> (-right).clip(min=0).astype(np.uint64)
    return np.bitwise_count(moved & facing).sum(axis=1)


def lit_share(mine: np.ndarray, theirs: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """float64 (P,): `count_shared` over the pixels lit in the window of each pair that has fewer."""
    fewer = np.minimum(*(np.bitwise_count(words).sum(axis=1) for words in (mine, theirs)))
    return count_shared(mine, theirs, down, right) / fewer


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


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """`bilinear_sums` of images uint8 (N, H, W, C) as float32 (N, size, size, C) in [0, 1]."""
    if images.shape[1:3] == (size, size):
        return images / np.float32(255)
    layers = np.moveaxis(images, -1, 0)
    pairs = [bilinear_sums(layer, size) for layer in layers]
    return np.stack([sums.astype(np.float32) / np.float32(255 * divisor) for sums, divisor in pairs], axis=-1)


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
