"""Tetrominoes: their shapes, colours, rims and places, read back from the pictures."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from data_gen import tetrominoes

CELLS = {
    "I": {(0, 0), (0, 1), (0, 2), (0, 3)},
    "O": {(0, 0), (0, 1), (1, 0), (1, 1)},
    "T": {(0, 0), (0, 1), (0, 2), (1, 1)},
    "S, Z": {(0, 1), (0, 2), (1, 0), (1, 1)},
    "J, L": {(0, 0), (1, 0), (1, 1), (1, 2)},
}
SIZES = [(64, 7), (32, 3)]


def turned(cells):
    """All eight turned and mirrored forms of a piece, as sets of cells from the upper left."""
    forms = []
    for mirrored in (False, True):
        form = {(y, -x) for y, x in cells} if mirrored else cells
        for _ in range(4):
            form = {(x, -y) for y, x in form}
            top, left = min(y for y, _ in form), min(x for _, x in form)
            forms.append(frozenset((y - top, x - left) for y, x in form))
    return forms


def pieces(image, labels, square):
    """Class, box, cells, and levels (in halves) inside and on the rim of each piece, told apart by their colours."""
    found = []
    levels = np.rint(image * 510).astype(int)
    key = levels @ [1, 1000, 1000000]
    for kind, colour in sorted({(int(k), int(c)) for k, c in zip(labels.ravel(), key.ravel(), strict=True) if k}):
        lit = (key == colour) & (labels == kind)
        if lit.sum() != 4 * (square - 2) ** 2:
            continue  # a rim
        (box,) = ndimage.find_objects(lit.astype(int))
        top, left, bottom, right = box[0].start - 1, box[1].start - 1, box[0].stop + 1, box[1].stop + 1
        cells = {(int(y) // square, int(x) // square) for y, x in np.argwhere(lit[top:bottom, left:right])}
        row, column = np.argwhere(lit)[0]
        found.append((kind, (top, left, bottom, right), cells, levels[row, column], levels[row - 1, column]))
    return found


def pixels_of(cells, square):
    return {(y * square + i, x * square + j) for y, x in cells for i in range(square) for j in range(square)}


@pytest.mark.parametrize(("size", "square"), SIZES)
def test_pictures_are_one_to_five_whole_pieces_with_boxes_apart(size, square):
    maps = tetrominoes.generate(seed=1, num_examples=60, size=size, square=square)
    numbers = set()
    for image, labels in zip(maps.images, maps.labels, strict=True):
        found = pieces(image, labels, square)
        numbers.add(len(found))
        assert (labels > 0).sum() == 4 * square**2 * len(found)
        covered = np.zeros((size, size), int)
        for kind, (top, left, bottom, right), cells, here, rim in found:
            assert cells in turned(CELLS[tetrominoes.NAMES[kind - 1]])
            assert top >= 0 and left >= 0 and bottom <= size and right <= size
            covered[top:bottom, left:right] += 1
            assert (here >= 128).all() and (here < 432).all() and (here % 2 == 0).all()
            assert (rim == here // 2).all() or (rim == here // 2 + 255).all()
            box = labels[top:bottom, left:right]
            assert {(y, x) for y, x in np.argwhere(box == kind)} == pixels_of(cells, square)
        assert covered.max() == 1
    assert numbers == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(("size", "square"), SIZES)
def test_rims_are_one_pixel_of_every_square(size, square):
    maps = tetrominoes.generate(seed=2, num_examples=20, num_pieces=(1, 1), size=size, square=square)
    lighter = set()
    for image, labels in zip(maps.images, maps.labels, strict=True):
        ((_, (top, left, _, _), cells, here, rim),) = pieces(image, labels, square)
        lighter.add(bool((rim > here).all()))
        expected = np.zeros((size, size, 3))
        for y, x in cells:
            low, right = top + y * square, left + x * square
            expected[low : low + square, right : right + square] = rim / 510
            expected[low + 1 : low + square - 1, right + 1 : right + square - 1] = here / 510
        np.testing.assert_allclose(image, expected, atol=1e-6)
    assert lighter == {False, True}


def test_kinds_turns_and_mirrors_are_drawn_alike():
    maps = tetrominoes.generate(seed=3, num_examples=1500, num_pieces=(1, 1), size=32, square=3)
    kinds = maps.labels.max(axis=(1, 2))
    np.testing.assert_allclose(np.bincount(kinds, minlength=6)[1:] / 1500, 0.2, atol=0.04)
    forms = {}
    for labels in maps.labels:
        (box,) = ndimage.find_objects((labels > 0).astype(int))
        forms.setdefault(int(labels.max()), []).append(labels[box][1::3, 1::3].tobytes() + bytes(labels[box].shape))
    for kind, number in ((1, 2), (2, 1), (3, 4), (4, 4), (5, 8)):
        counts = np.unique(forms[kind], return_counts=True)[1]
        assert len(counts) == number
        np.testing.assert_allclose(counts / counts.sum(), 1 / number, atol=0.12)


def test_form():
    maps = tetrominoes.generate(seed=1, num_examples=5)
    assert maps.images.shape == (5, 64, 64, 3) and maps.images.dtype == np.float32
    assert maps.labels.shape == (5, 64, 64) and maps.labels.dtype == np.int32
    np.testing.assert_array_equal(maps.images.any(axis=-1), maps.labels > 0)
    assert tetrominoes.generate(seed=1, num_examples=0).images.shape == (0, 64, 64, 3)


def test_a_picture_does_not_depend_on_how_many_are_asked_for(monkeypatch):
    many = tetrominoes.generate(seed=4, num_examples=40)
    few, tail = (tetrominoes.generate(seed=4, num_examples=8, start=start) for start in (0, 32))
    monkeypatch.setattr(tetrominoes, "_CHUNK", 7)
    chunked = tetrominoes.generate(seed=4, num_examples=40)
    for k in (0, 1):
        np.testing.assert_array_equal(few[k], many[k][:8])
        np.testing.assert_array_equal(tail[k], many[k][32:])
        np.testing.assert_array_equal(chunked[k], many[k])
    assert (tetrominoes.generate(seed=5, num_examples=40).images != many.images).any(axis=(1, 2, 3)).all()


def test_the_bytes_are_those_of_every_machine():
    maps = tetrominoes.generate(seed=2025, num_examples=12)
    parts = maps.images.astype("<f4").tobytes() + maps.labels.astype("<i4").tobytes()
    assert hashlib.sha256(parts).hexdigest()[:16] == "e0879779c543f445"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"square": 2}, r"square must be an integer in \[3, 16\], got 2"),
        ({"square": 17}, "square.* got 17"),
        ({"size": 27}, r"size must be an integer in \[28, 1024\], got 27"),
        ({"num_pieces": (0, 5)}, r"num_pieces must be two integers, 1 <= smallest .* got \(0, 5\)"),
        ({"num_pieces": (2, 1)}, r"num_pieces.* got \(2, 1\)"),
        ({"seed": -1}, "seed.* got -1"),
        ({"num_examples": 1.5}, "num_examples.* got 1.5"),
        ({"start": -1}, "start.* got -1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        tetrominoes.generate(**{"seed": 1, "num_examples": 2, **settings})


def test_instances_are_told_apart_in_the_same_pictures():
    settings = {"seed": 5, "num_examples": 40, "num_pieces": (2, 3), "size": 32, "square": 4}
    kinds, pieces_apart = (tetrominoes.generate(instances=instances, **settings) for instances in (False, True))
    np.testing.assert_array_equal(kinds.images, pieces_apart.images)
    np.testing.assert_array_equal(kinds.labels > 0, pieces_apart.labels > 0)
    alike = 0
    for classes, labels in zip(kinds.labels, pieces_apart.labels, strict=True):
        numbers = np.unique(labels[labels > 0])
        assert numbers.tolist() == list(range(1, len(numbers) + 1)) and len(numbers) in (2, 3)
        names = [np.unique(classes[labels == number]) for number in numbers]
        assert all((labels == number).sum() == 64 for number in numbers) and all(len(name) == 1 for name in names)
        alike += len({int(name[0]) for name in names}) < len(names)
    assert alike > 3
