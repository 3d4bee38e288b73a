"""Moving digits: their paths against a slow reference, their overlap, and byte for byte."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest
from scipy import ndimage

from data_gen import moving_digits, multi_mnist, sources
from data_gen.sources import Base

ARRAYS = ("frames", "masks", "overlap", "shares", "labels", "sources", "boxes")


@pytest.fixture(scope="module")
def digits() -> Base:
    return sources.load("digits", "test")


@pytest.fixture(scope="module")
def videos(digits) -> moving_digits.Videos:
    return moving_digits.generate(digits, seed=1, num_examples=24)


def painted(base, videos, i, t):
    """The two digits of a frame, each alone on its canvas."""
    layers = np.zeros((2, videos.canvas, videos.canvas))
    for k, (top, left, height, width) in enumerate(videos.boxes[i, t]):
        image = base.images[videos.sources[i, k]]
        (box,) = ndimage.find_objects((image > 0).astype(int))
        layers[k, top : top + height, left : left + width] = image[box]
    return layers


def test_form_and_ranges(videos):
    assert len(videos) == 24 and videos.middle == 15
    assert videos.frames.shape == (24, 30, 32, 32, 1) and videos.frames.dtype == np.float32
    assert videos.masks.shape == (24, 30, 32, 32, 2) and videos.masks.dtype == bool
    assert videos.overlap.shape == (24, 30, 32, 32) and videos.overlap.dtype == bool
    assert videos.shares.shape == (24, 30) and videos.shares.dtype == np.float32
    assert videos.labels.shape == (24, 2) and videos.labels.dtype == np.int32
    assert videos.frames.min() == 0 and 0.9 < videos.frames.max() <= 1
    assert (videos.labels[:, 0] != videos.labels[:, 1]).all()


def test_frames_masks_and_shares_are_those_of_the_digits_where_they_lie(digits, videos):
    centres = (np.arange(32) + 0.5) * videos.canvas / 32 - 0.5
    bilinear = np.stack(np.meshgrid(*2 * [centres.clip(0, videos.canvas - 1)], indexing="ij"))
    nearest = np.ix_(*2 * [np.floor(centres + 0.5).astype(int)])
    for i, t in ((0, 0), (0, 15), (1, 14), (2, 29), (3, 20)):
        layers = painted(digits, videos, i, t)
        picture = ndimage.map_coordinates(layers.sum(axis=0).clip(max=255) / 255, bilinear, order=1)
        np.testing.assert_allclose(videos.frames[i, t, ..., 0], picture, atol=1e-6)
        lit = layers > 0
        share = lit.all(axis=0).sum() / lit.sum(axis=(1, 2)).min()
        np.testing.assert_allclose(videos.shares[i, t], share, rtol=1e-6)
        owners = np.stack([layer[nearest] for layer in lit], axis=-1)
        np.testing.assert_array_equal(videos.masks[i, t], owners & (owners.sum(axis=-1, keepdims=True) == 1))
        np.testing.assert_array_equal(videos.overlap[i, t], owners.all(axis=-1))


def test_overlap_is_largest_in_the_middle_within_its_range_and_gone_before_and_after(videos):
    middle = videos.shares[:, 15]
    assert (middle > 0).all() and (middle <= 0.25).all() and middle.max() > 0.15
    assert (videos.shares <= middle[:, None]).all()
    profile = videos.shares.mean(axis=0)
    assert profile[[5, 25]].max() < 0.01 < profile[[12, 18]].min()
    assert profile[[12, 18]].max() < 0.7 * profile[15]


def test_an_overlap_of_a_narrow_range(digits):
    narrow = moving_digits.generate(digits, seed=1, num_examples=6, num_frames=9, max_overlap=0.5, min_overlap=0.4)
    assert narrow.middle == 4
    assert ((narrow.shares[:, 4] > 0.4) & (narrow.shares[:, 4] <= 0.5)).all()


def test_paths_are_straight_opposite_and_bounce(digits, videos):
    """One direction, found by search, explains all four coordinates of a video to the rounding of a pixel."""
    side = max(int(videos.boxes[..., 2:].max()), 2 * videos.canvas // 5)
    assert videos.canvas == multi_mnist.default_canvas(2, side)
    turns, frame, step = np.linspace(0, 2 * np.pi, 2881), np.arange(30) - 15, side / 15
    for i in range(24):
        worst = np.zeros(len(turns))
        for k, sign in ((0, 1), (1, -1)):
            for axis, slope in ((0, np.cos(turns)), (1, np.sin(turns))):
                room = videos.canvas - videos.boxes[i, 0, k, 2 + axis]
                free = videos.boxes[i, 15, k, axis] + sign * step * slope[:, None] * frame
                path = room - abs(free % (2 * room) - room)
                worst = np.maximum(worst, abs(path - videos.boxes[i, :, k, axis]).max(axis=1))
        assert worst.min() < 0.55


def test_the_two_meet_at_the_centre_and_stay_inside(videos):
    ends = videos.boxes[..., :2] + videos.boxes[..., 2:]
    assert videos.boxes.min() >= 0 and ends.max() <= videos.canvas
    middle = (videos.boxes[:, 15, :, :2].min(axis=1) + ends[:, 15].max(axis=1)) / 2
    assert abs(middle - videos.canvas / 2).max() <= 0.5
    assert (videos.boxes[:, [0, 29]] != videos.boxes[:, 15:16]).any(axis=(1, 2, 3)).all()


def test_a_video_does_not_depend_on_how_many_are_asked_for(digits, videos, monkeypatch):
    few = moving_digits.generate(digits, seed=1, num_examples=3)
    tail = moving_digits.generate(digits, seed=1, num_examples=4, start=20)
    monkeypatch.setattr(moving_digits, "_CHUNK", 5)
    chunked = moving_digits.generate(digits, seed=1, num_examples=24)
    assert {field.name for field in fields(videos)} == {*ARRAYS, "canvas"}
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(few, name), getattr(videos, name)[:3])
        np.testing.assert_array_equal(getattr(tail, name), getattr(videos, name)[20:])
        np.testing.assert_array_equal(getattr(chunked, name), getattr(videos, name))
    other = moving_digits.generate(digits, seed=2, num_examples=3)
    assert (other.frames != few.frames).any(axis=(1, 2, 3, 4)).all()


def test_the_bytes_are_those_of_every_machine(digits):
    videos = moving_digits.generate(digits, seed=2025, num_examples=4, num_frames=12, size=20)
    total = hashlib.sha256()
    for name in ARRAYS:
        array = getattr(videos, name)
        total.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert total.hexdigest()[:16] == "d72d5a7042ed1938"


def test_no_videos(digits):
    assert moving_digits.generate(digits, seed=1, num_examples=0).frames.shape == (0, 30, 32, 32, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 0}, r"num_frames must be an integer in \[1, 1000\], got 0"),
        ({"size": 0}, "size.* got 0"),
        ({"max_overlap": 0.0}, r"max_overlap must lie in \(0, 1\], got 0.0"),
        ({"max_overlap": float("nan")}, "max_overlap.* got nan"),
        ({"min_overlap": 0.3}, r"min_overlap must lie in \[0, max_overlap = 0.25\), got 0.3"),
        ({"speed": 0}, r"speed must lie in \(0, 1\], got 0"),
        ({"seed": -1}, "seed.* got -1"),
        ({"num_examples": -1}, "num_examples.* got -1"),
        ({"start": 0.5}, "start.* got 0.5"),
    ],
)
def test_bad_settings(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        moving_digits.generate(digits, **{"seed": 1, "num_examples": 2, **settings})


def test_no_paths_is_an_error(monkeypatch):
    monkeypatch.setattr(moving_digits, "_MAX_TURNS", 40)
    dots = np.zeros((3, 8, 8), np.uint8)
    dots[:, 3, 3] = 255
    with pytest.raises(RuntimeError, match=r"2 of 2 videos \(the first: 0\) found no paths in 40 tries"):
        moving_digits.generate(Base(dots, np.arange(3)), seed=1, num_examples=2)
