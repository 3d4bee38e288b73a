"""Places of shapes that must not meet: against a slow reference, and what happens where there are none."""

import itertools

import numpy as np
import pytest

from data_gen._tools import counter_rng, pixels, placing

PURPOSE = counter_rng.PIECE_PLACES


def shapes(count: int, most: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ragged windows (P, n, s, s) that each touch their upper left, with extents, and numbers of shapes."""
    rng = np.random.default_rng(0)
    extents = rng.integers(2, side + 1, (count, most, 2))
    row, column = np.ogrid[:side, :side]
    inside = (row < extents[..., 0, None, None]) & (column < extents[..., 1, None, None])
    lit = inside & (rng.random((count, most, side, side)) < 0.6)
    lit[..., 0, 0] = True
    return lit, extents, rng.integers(0, most + 1, count)


def slow_places(lit, extents, count, canvas, seed, sample):
    """One picture, one step after another, with sets of pixels."""
    corners, tries = [], 0
    for turn in itertools.count():
        if len(corners) == count:
            return corners
        k = len(corners)
        bits = [int(counter_rng.random_bits(seed, PURPOSE, sample, turn, axis)[0]) for axis in (0, 1)]
        corner = [(b >> 32) * int(canvas - e + 1) >> 32 for b, e in zip(bits, extents[k], strict=True)]
        taken = {tuple(place + c) for j, c in enumerate(corners) for place in np.argwhere(lit[j])}
        if taken & {tuple(place + corner) for place in np.argwhere(lit[k])}:
            tries += 1
        else:
            corners, tries = [*corners, corner], 0
        if tries == placing._TRIES:
            corners, tries = [], 0


@pytest.mark.parametrize("canvas", [9, 12, 40])
def test_places_are_those_of_the_slow_reference(canvas, monkeypatch):
    monkeypatch.setattr(placing, "_TRIES", 4)
    lit, extents, counts = shapes(25, 4, 5)
    samples = np.arange(100, 125)
    words, address = pixels.row_words(lit), {"canvas": canvas, "seed": 7, "purpose": PURPOSE, "samples": samples}
    corners = placing.places(words, extents, counts, **address)
    for i, count in enumerate(counts):
        expected = slow_places(lit[i], extents[i], count, canvas, 7, 100 + i)
        assert corners[i, :count].tolist() == [list(map(int, corner)) for corner in expected]
        assert not corners[i, count:].any()


def test_what_does_not_fit_is_an_error(monkeypatch):
    monkeypatch.setattr(placing, "_MAX_TURNS", 100)
    words = pixels.row_words(np.ones((3, 2, 6, 6), bool))
    full = {"canvas": 8, "seed": 1, "purpose": PURPOSE, "samples": np.arange(5, 8)}
    with pytest.raises(RuntimeError, match=r"2 of 3 pictures \(the first: 5\) found no places .* side of 8"):
        placing.places(words, np.full((3, 2, 2), 6), np.array([2, 1, 2]), **full)
