"""Scenes of several digits: against a slow reference, by their own rules, and byte for byte."""

import hashlib
import itertools
from dataclasses import fields

import numpy as np
import pytest
from scipy import ndimage

from data_gen import multi_mnist, sources
from data_gen._tools import counter_rng

OVERLAPS = {
    "apart": {},
    "pixels": {"max_overlap": 0.25},
    "boxes": {"max_overlap": 0.25, "overlap_measure": "boxes"},
    "window": {"max_overlap": 0.5, "min_overlap": 0.3},
}


def blobs(per_class: int = 6, num_classes: int = 10, shape: tuple[int, int] = (28, 24)) -> sources.Base:
    """Ragged shapes of all sizes, from integers only."""
    count = per_class * num_classes
    number, row, column = np.ogrid[:count, : shape[0], : shape[1]]
    values = (37 * number + 11 * row * row + 29 * column * (row + number)) % 256
    inside = (row >= number % 5 + 2) & (row < 12 + number % 11) & (column >= 3) & (column < 8 + number % 13)
    images = np.where(inside & (values > 60), values, 0).astype(np.uint8)
    return sources.Base(images, (np.arange(count) % num_classes).astype(np.int32))


@pytest.fixture(scope="module")
def digits() -> sources.Base:
    return sources.load("digits", "test")


class NaiveScene:
    """One scene, one step after another, with Python's integers and sets of pixels."""

    def __init__(self, base, seed, number, num_digits, canvas, max_overlap=0.0, min_overlap=0.0, measure="pixels"):
        self.base, self.seed, self.number, self.n, self.canvas = base, seed, number, num_digits, canvas
        self.limits, self.measure = (min_overlap, max_overlap), measure
        self.choose(0)
        self.corners, tries, starts = [], 0, 0
        for turn in itertools.count():
            corner = self.draw_corner(turn)
            if self.fits(corner):
                self.corners.append(corner)
                tries = 0
                if len(self.corners) == self.n:
                    return
                continue
            tries += 1
            if tries == multi_mnist._TRIES:
                self.corners, tries, starts = [], 0, starts + 1
                if starts % multi_mnist._KEEP == 0:
                    self.choose(starts // multi_mnist._KEEP)

    def draw(self, limit, *address):
        state = mix(self.seed + 0x9E3779B97F4A7C15)
        for counter in address:
            state = mix((state ^ counter) + 0x9E3779B97F4A7C15)
        return (state >> 32) * limit >> 32

    def choose(self, attempt):
        kinds = sorted(set(self.base.labels.tolist()))
        self.chosen = []
        for k in range(self.n):
            kind = self.draw(len(kinds) - k, counter_rng.SCENE_DIGITS, self.number, attempt, 2 * k) + k
            kinds[k], kinds[kind] = kinds[kind], kinds[k]
            members = [i for i, label in enumerate(self.base.labels) if label == kinds[k]]
            member = self.draw(len(members), counter_rng.SCENE_DIGITS, self.number, attempt, 2 * k + 1)
            self.chosen.append(members[member])
        self.crops = [cropped(self.base.images[i]) for i in self.chosen]

    def draw_corner(self, turn):
        corner = []
        for axis in (0, 1):
            room = self.canvas - self.crops[len(self.corners)].shape[axis] + 1
            if not self.corners:
                room = min(room, 22 * self.canvas // 50)
            corner.append(self.draw(room, counter_rng.SCENE_PLACES, self.number, turn, axis))
        return tuple(corner)

    def fits(self, corner):
        corners = [*self.corners, corner]
        pairs = list(itertools.combinations(range(len(corners)), 2))
        if self.limits[1] == 0:
            return all(box_area_shared(self.crops, corners, *pair) == 0 for pair in pairs)
        shares = [share(self.crops, corners, *pair, self.measure) for pair in pairs]
        complete = len(corners) == self.n
        return all(s <= self.limits[1] for s in shares) and (not complete or max(shares) > self.limits[0])


def mix(state):
    state &= 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)


def cropped(image):
    (box,) = ndimage.find_objects((image > 0).astype(int))
    return image[box]


def lit(crops, corners, k):
    return {(int(y) + corners[k][0], int(x) + corners[k][1]) for y, x in np.argwhere(crops[k] > 0)}


def box_area_shared(crops, corners, first, second):
    def cells(k):
        return set(itertools.product(*(range(c, c + s) for c, s in zip(corners[k], crops[k].shape, strict=True))))

    return len(cells(first) & cells(second))


def share(crops, corners, first, second, measure):
    if measure == "boxes":
        return box_area_shared(crops, corners, first, second) / (2 * crops[first].size)
    pixels = [lit(crops, corners, k) for k in (first, second)]
    return len(pixels[0] & pixels[1]) / min(map(len, pixels))


def layers(base, scenes, i):
    """The canvas of each digit alone."""
    painted = np.zeros((scenes.labels.shape[1], scenes.canvas, scenes.canvas))
    for k, (top, left, height, width) in enumerate(scenes.boxes[i]):
        painted[k, top : top + height, left : left + width] = cropped(base.images[scenes.sources[i, k]])
    return painted


def pair_shares(base, scenes, i, measure="pixels"):
    crops = [cropped(base.images[j]) for j in scenes.sources[i]]
    corners = scenes.boxes[i, :, :2].tolist()
    return [share(crops, corners, *pair, measure) for pair in itertools.combinations(range(len(crops)), 2)]


def assert_same(one, other):
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("num_digits", [2, 3, 6])
@pytest.mark.parametrize("overlap", sorted(OVERLAPS))
def test_places_are_those_of_the_slow_reference(overlap, num_digits):
    settings = OVERLAPS[overlap]
    base = blobs()
    scenes = multi_mnist.generate(base, seed=5, num_examples=4, num_digits=num_digits, start=1000, **settings)
    naive = dict(settings)
    if "overlap_measure" in naive:
        naive["measure"] = naive.pop("overlap_measure")
    for i in range(4):
        slow = NaiveScene(base, 5, 1000 + i, num_digits, scenes.canvas, **naive)
        assert scenes.sources[i].tolist() == slow.chosen
        assert scenes.boxes[i, :, :2].tolist() == [list(corner) for corner in slow.corners]
        assert scenes.boxes[i, :, 2:].tolist() == [list(crop.shape) for crop in slow.crops]
        assert scenes.labels[i].tolist() == base.labels[slow.chosen].tolist()


def test_starting_again_is_that_of_the_slow_reference(monkeypatch):
    monkeypatch.setattr(multi_mnist, "_TRIES", 3)
    monkeypatch.setattr(multi_mnist, "_KEEP", 2)
    scenes = multi_mnist.generate(blobs(), seed=6, num_examples=20, num_digits=4, canvas=38)
    for i in range(20):
        slow = NaiveScene(blobs(), 6, i, 4, 38)
        assert scenes.sources[i].tolist() == slow.chosen
        assert scenes.boxes[i, :, :2].tolist() == [list(corner) for corner in slow.corners]


@pytest.mark.parametrize(("num_digits", "size"), [(2, 32), (9, 32), (3, 45), (2, 80)])
def test_pictures_and_masks_are_the_layers_resized(digits, num_digits, size):
    scenes = multi_mnist.generate(digits, seed=2, num_examples=3, num_digits=num_digits, size=size, max_overlap=0.3)
    centres = (np.arange(size) + 0.5) * scenes.canvas / size - 0.5
    bilinear = np.stack(np.meshgrid(*2 * [centres.clip(0, scenes.canvas - 1)], indexing="ij"))
    nearest = np.ix_(*2 * [np.floor(centres + 0.5).astype(int)])
    for i in range(3):
        painted = layers(digits, scenes, i)
        picture = ndimage.map_coordinates(painted.sum(axis=0).clip(max=255) / 255, bilinear, order=1)
        np.testing.assert_allclose(scenes.images[i, ..., 0], picture, atol=1e-6)
        owners = np.stack([layer[nearest] > 0 for layer in painted], axis=-1)
        np.testing.assert_array_equal(scenes.masks[i], owners & (owners.sum(axis=-1, keepdims=True) == 1))
        np.testing.assert_array_equal(scenes.overlap[i], owners.sum(axis=-1) > 1)


def test_form_and_ranges(digits):
    scenes = multi_mnist.generate(digits, seed=1, num_examples=300, max_overlap=0.25)
    assert len(scenes) == 300
    assert scenes.images.shape == (300, 32, 32, 1) and scenes.images.dtype == np.float32
    assert scenes.images.min() == 0 and 0.9 < scenes.images.max() <= 1
    assert scenes.masks.shape == (300, 32, 32, 2) and scenes.masks.dtype == bool
    assert scenes.overlap.shape == (300, 32, 32) and scenes.overlap.dtype == bool
    assert scenes.labels.shape == (300, 2) and scenes.labels.dtype == np.int32
    assert scenes.masks.any(axis=(1, 2)).all()


def test_masks_are_disjoint_and_cover_what_is_lit(digits):
    scenes = multi_mnist.generate(digits, seed=3, num_examples=200, num_digits=3, max_overlap=0.4)
    owners = scenes.masks.sum(axis=-1) + scenes.overlap
    assert owners.max() == 1
    light = scenes.images[..., 0]
    assert (light[owners == 1] > 0).all()
    assert light[owners == 1].sum() > 0.97 * light.sum()
    assert scenes.overlap.any()


@pytest.mark.parametrize("num_digits", range(2, 10))
def test_every_number_of_digits_fits_apart(digits, num_digits):
    scenes = multi_mnist.generate(digits, seed=4, num_examples=30, num_digits=num_digits)
    ends = scenes.boxes[..., :2] + scenes.boxes[..., 2:]
    assert scenes.boxes.min() >= 0 and ends.max() <= scenes.canvas
    for i, (j, k) in itertools.product(range(30), itertools.combinations(range(num_digits), 2)):
        start, end = scenes.boxes[i, :, :2], ends[i]
        assert (end[j] <= start[k]).any() or (end[k] <= start[j]).any()
    assert not scenes.overlap.any()
    assert all(len(set(row)) == num_digits for row in scenes.labels.tolist())


def test_nine_digits_that_fill_their_boxes_fit_apart():
    full = sources.Base(np.full((10, 28, 28), 255, np.uint8), np.arange(10))
    scenes = multi_mnist.generate(full, seed=1, num_examples=5, num_digits=9)
    assert scenes.canvas == 119 and not scenes.overlap.any()


@pytest.mark.parametrize("measure", multi_mnist.MEASURES)
@pytest.mark.parametrize("num_digits", [2, 4])
def test_overlap_stays_in_its_range(digits, num_digits, measure):
    scenes = multi_mnist.generate(
        digits, seed=6, num_examples=60, num_digits=num_digits, max_overlap=0.25, overlap_measure=measure
    )
    largest = np.array([max(pair_shares(digits, scenes, i, measure)) for i in range(60)])
    assert (largest > 0).all() and (largest <= 0.25).all()
    assert largest.min() < 0.1 and largest.max() > 0.15


def test_least_overlap_is_exclusive(digits):
    scenes = multi_mnist.generate(digits, seed=6, num_examples=50, max_overlap=0.25, min_overlap=0.2)
    largest = np.array([max(pair_shares(digits, scenes, i)) for i in range(50)])
    assert (largest > 0.2).all() and (largest <= 0.25).all()


def test_the_first_digit_lies_upper_left_and_the_others_anywhere():
    scenes = multi_mnist.generate(blobs(), seed=8, num_examples=2000)
    share_of_canvas = scenes.boxes[..., :2] / scenes.canvas
    assert share_of_canvas[:, 0].max() < 22 / 50
    assert share_of_canvas[:, 1].max() > 0.7 and share_of_canvas[:, 1].min() == 0


def test_canvas_of_mnist_is_fifty():
    assert multi_mnist.default_canvas(2, 20) == 50
    sizes = [multi_mnist.default_canvas(n, 20) for n in range(2, 10)]
    assert sizes == sorted(set(sizes))


def test_classes_and_digits_are_drawn_alike():
    base = blobs(per_class=3)
    scenes = multi_mnist.generate(base, seed=9, num_examples=6000)
    for k in (0, 1):
        np.testing.assert_allclose(np.bincount(scenes.labels[:, k], minlength=10) / 6000, 0.1, atol=0.016)
    np.testing.assert_allclose(np.bincount(scenes.sources.ravel(), minlength=30) / 12000, 1 / 30, atol=0.007)


@pytest.mark.parametrize("overlap", sorted(OVERLAPS))
def test_a_scene_does_not_depend_on_how_many_are_asked_for(digits, overlap, monkeypatch):
    settings = {"seed": 10, "num_digits": 3, **OVERLAPS[overlap]}
    many = multi_mnist.generate(digits, num_examples=50, **settings)
    few = multi_mnist.generate(digits, num_examples=10, **settings)
    tail = multi_mnist.generate(digits, num_examples=20, start=30, **settings)
    monkeypatch.setattr(multi_mnist, "_CHUNK", 7)
    chunked = multi_mnist.generate(digits, num_examples=50, **settings)
    assert_same(chunked, many)
    for name in ("images", "masks", "overlap", "labels", "sources", "boxes"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:10])
        np.testing.assert_array_equal(getattr(tail, name), getattr(many, name)[30:])


def test_same_seed_same_scenes_and_another_seed_others(digits):
    one, again, other = (multi_mnist.generate(digits, seed=s, num_examples=20) for s in (1, 1, 2))
    assert_same(one, again)
    assert (one.images != other.images).any(axis=(1, 2, 3)).all()


def test_the_global_random_state_is_neither_read_nor_moved(digits):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    multi_mnist.generate(digits, seed=1, num_examples=5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def digest(scenes) -> str:
    total = hashlib.sha256()
    for name in ("images", "masks", "overlap", "labels", "sources", "boxes"):
        array = getattr(scenes, name)
        total.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()[:16]


GOLDEN = {
    ("blobs", "apart", 2): "543263ffe7c27853",
    ("blobs", "pixels", 2): "faa6c23343e0d48d",
    ("blobs", "boxes", 5): "ffe57a100b7b0df5",
    ("digits", "apart", 2): "441d289244455793",
    ("digits", "apart", 9): "16c20e466d3de028",
    ("digits", "pixels", 3): "8340ef680f907f21",
}


@pytest.mark.parametrize(("name", "overlap", "num_digits"), sorted(GOLDEN))
def test_the_bytes_are_those_of_every_machine(digits, name, overlap, num_digits):
    base = digits if name == "digits" else blobs()
    scenes = multi_mnist.generate(base, seed=2025, num_examples=16, num_digits=num_digits, **OVERLAPS[overlap])
    assert digest(scenes) == GOLDEN[name, overlap, num_digits]


def test_multi_hot(digits):
    scenes = multi_mnist.generate(digits, seed=1, num_examples=20, num_digits=3)
    hot = scenes.multi_hot()
    assert hot.shape == (20, 10) and hot.dtype == np.float32
    assert (hot.sum(1) == 3).all() and np.take_along_axis(hot, scenes.labels, 1).all()
    with pytest.raises(ValueError, match="label 9"):
        scenes.multi_hot(9)


def test_groups_are_the_background_and_the_digits(digits):
    scenes = multi_mnist.generate(digits, seed=1, num_examples=20, max_overlap=0.25)
    groups, (one, two) = scenes.groups(), 1 + scenes.labels.T[..., None, None]
    assert groups.shape == (20, 32, 32, 3) and groups.dtype == bool
    np.testing.assert_array_equal(groups[..., 1:], scenes.masks)
    np.testing.assert_array_equal(groups.sum(axis=-1) + scenes.overlap, 1)
    np.testing.assert_array_equal(scenes.class_map(), np.where(groups[..., 1], one, groups[..., 2] * two))


def test_no_scenes(digits):
    scenes = multi_mnist.generate(digits, seed=1, num_examples=0)
    assert len(scenes) == 0 and scenes.multi_hot().shape == (0, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_digits": 0}, r"num_digits must be an integer in \[2, 9\], got 0"),
        ({"num_digits": 2.0}, r"num_digits.* got 2.0"),
        ({"num_digits": 1}, "num_digits.* got 1"),
        ({"num_digits": 10}, "num_digits.* got 10"),
        ({"num_digits": 11}, "num_digits.* got 11"),
        ({"max_overlap": -0.1}, r"max_overlap must lie in \[0, 1\], got -0.1"),
        ({"max_overlap": 1.5}, "max_overlap.* got 1.5"),
        ({"max_overlap": float("nan")}, "max_overlap.* got nan"),
        ({"max_overlap": 0.2, "min_overlap": 0.2}, "min_overlap"),
        ({"max_overlap": 0.2, "min_overlap": -0.2}, "min_overlap"),
        ({"min_overlap": 0.1}, "min_overlap"),
        ({"max_overlap": 0.2, "overlap_measure": "area"}, r"overlap_measure must be one of .*'area'"),
        ({"num_examples": -1}, "num_examples.* got -1"),
        ({"start": -1}, "start.* got -1"),
        ({"size": 0}, "size.* got 0"),
        ({"canvas": 5}, "canvas.* got 5"),
        ({"canvas": 0}, "canvas.* got 0"),
        ({"seed": -1}, "seed.* got -1"),
        ({"seed": 1.5}, "seed.* got 1.5"),
    ],
)
def test_bad_settings(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        multi_mnist.generate(digits, **{"seed": 1, "num_examples": 2, **settings})


def test_bad_bases():
    good = blobs()
    black = good.images.copy()
    black[17] = 0
    cases = [
        (sources.Base(black, good.labels), "image 17 is all black"),
        (sources.Base(good.images[:0], good.labels[:0]), "base must hold images"),
        (sources.Base(np.zeros((3, 70, 20), np.uint8), np.arange(3)), "1 to 64 pixels"),
        (sources.Base(good.images / 255, good.labels), "uint8"),
        (sources.Base(np.stack(3 * [good.images], axis=-1), good.labels), "uint8"),
        (sources.Base(good.images, good.labels[:5]), "labels must have shape"),
        (blobs(num_classes=2), "num_digits = 3 needs as many classes in the base, got 2"),
    ]
    for base, message in cases:
        with pytest.raises(ValueError, match=message):
            multi_mnist.generate(base, seed=1, num_examples=1, num_digits=3)


def test_what_cannot_be_laid_out_is_an_error(monkeypatch):
    monkeypatch.setattr(multi_mnist, "_MAX_TURNS", 200)
    full = sources.Base(np.full((10, 8, 8), 255, np.uint8), np.arange(10))
    with pytest.raises(RuntimeError, match=r"of 3 scenes .*canvas of 12.*num_digits=5"):
        multi_mnist.generate(full, seed=1, num_examples=3, num_digits=5, canvas=12)


def test_digits_that_cannot_meet_the_range_give_way_to_others(monkeypatch):
    """Only squares can overlap by a half: the digit of class 2 is one pixel."""
    monkeypatch.setattr(multi_mnist, "_KEEP", 2)
    images = np.zeros((3, 8, 8), np.uint8)
    images[0, :2, :2] = images[1, :2, :2] = images[2, 3, 3] = 9
    scenes = multi_mnist.generate(
        sources.Base(images, np.arange(3)), seed=1, num_examples=30, max_overlap=0.6, min_overlap=0.4, canvas=6
    )
    assert (np.sort(scenes.labels) == [0, 1]).all()
