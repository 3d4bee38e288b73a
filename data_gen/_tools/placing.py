"""Places for shapes that must not meet, drawn at random: the layout of the segmentation sets."""

import numpy as np

from data_gen._tools import counter_rng, pixels

_TRIES = 32
_MAX_TURNS = 20_000


def places(
    words: np.ndarray,
    extents: np.ndarray,
    counts: np.ndarray,
    *,
    canvas: int,
    seed: int,
    purpose: int,
    samples: np.ndarray,
) -> np.ndarray:
    """Draw where the shapes of P pictures lie, so that no two of a picture share a lit pixel.

    All pictures take turns together; in a turn each tries one place for its next shape. If a shape has no place after
    32 tries, its picture starts again with the same shapes, so that large shapes are as frequent as small ones.

    Args:
      words: uint64 (P, n, s), lit pixels of the shapes by row, as `pixels.row_words` has them.
      extents: integers (P, n, 2), height and width that must lie inside, each in [1, canvas].
      counts: integers (P,), how many of the n shapes each picture has.
      canvas: side of the pictures.
      seed, purpose, samples: the draws' addresses; samples (P,) are the pictures' numbers.
    Returns: int64 (P, n, 2), tops and lefts, each equally likely where it meets no other; 0 where there is no shape.
    Raises: RuntimeError where no layout is found.
    """
    corners = np.zeros(extents.shape, np.int64)
    placed, tries = np.zeros(len(samples), np.int64), np.zeros(len(samples), np.int64)
    for turn in range(_MAX_TURNS):
        pending = np.flatnonzero(placed < counts)
        if not len(pending):
            corners[np.arange(corners.shape[1]) >= counts[:, None]] = 0
            return corners
        shape = placed[pending]
        draws = counter_rng.random_bits(seed, purpose, samples[pending, None], turn, np.arange(2))
        corners[pending, shape] = counter_rng.below(canvas - extents[pending, shape] + 1, draws)
        fits = ~_meets(words, corners, pending, shape)
        tries[pending] = np.where(fits, 0, tries[pending] + 1)
        again = tries[pending] == _TRIES  # the first shape always fits, and sets its tries to 0
        placed[pending] = np.where(again, 0, shape + fits)
    raise RuntimeError(
        f"{len(pending)} of {len(samples)} pictures (the first: {samples[pending[0]]}) found no places in "
        f"{_MAX_TURNS} tries: enlarge the side of {canvas}, or ask for fewer or smaller shapes"
    )


def _meets(words: np.ndarray, corners: np.ndarray, pictures: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Whether the given shape of each picture shares a pixel with one placed before it: bool of pictures' shape."""
    row, other = np.nonzero(np.arange(words.shape[1]) < shape[:, None])
    picture, mine = pictures[row], shape[row]
    down, right = (corners[picture, mine] - corners[picture, other]).T
    shared = pixels.count_shared(words[picture, mine], words[picture, other], down, right)
    meets = np.zeros(len(pictures), bool)
    meets[row[shared > 0]] = True
    return meets
