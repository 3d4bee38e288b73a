"""Hollow shapes: their pixels, labels against a slow reference, colours and nearness, digits, and byte for byte."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from data_gen import shapes, sources

DIGITS = sources.load("digits", "test")


def test_the_published_shapes():
    square, down, up = (shapes._stamp(k) for k in range(3))
    assert square[1] == (13, 13) and square[0].sum() == 13**2 - 7**2
    assert down[1] == up[1] == (9, 17) and down[0].sum() == 72
    assert down[0].sum(1).tolist()[:9] == [17, 15, 13, 6, 6, 6, 5, 3, 1]
    np.testing.assert_array_equal(up[0][:9], down[0][8::-1])


@pytest.mark.parametrize("kind", range(10), ids=shapes.NAMES)
def test_every_shape_is_one_line_around_one_hole(kind):
    lit, (height, width) = shapes._stamp(kind)
    assert lit.any(1).sum() == height and lit.any(0).sum() == width and lit[:height, :width].sum() == lit.sum()
    assert ndimage.label(lit, np.ones((3, 3)))[1] == 1
    assert ndimage.label(~np.pad(lit, 1))[1] == 2
    assert sum((shapes._stamp(other)[0] == lit).all() for other in range(10)) == 1


def reference(seed, sample, count, size):
    """Which of the shapes each pixel is of, (size, size, count), one shape at a time."""
    owned = np.zeros((size, size, count), bool)
    for k in range(count):
        stamp, (height, width) = shapes._stamp(k)
        bits = shapes.counter_rng.random_bits(seed, shapes.counter_rng.SHAPES, sample, k, np.arange(2))
        top, left = ((int(b) >> 32) * (size - n + 1) >> 32 for b, n in zip(bits, (height, width), strict=True))
        owned[top : top + height, left : left + width, k] = stamp[:height, :width]
    return owned


@pytest.mark.parametrize(("count", "size"), [(2, 32), (4, 32), (10, 48), (1, 17)])
def test_labels_and_pictures_are_those_of_a_slow_reference(count, size):
    grey, colour = (
        shapes.generate(seed=5, num_examples=6, num_shapes=count, size=size, colour=colour)
        for colour in ("grey", "rgbd")
    )
    np.testing.assert_array_equal(grey.labels, colour.labels)
    for i in range(6):
        owned = reference(5, i, count, size)
        number = owned.sum(-1)
        np.testing.assert_array_equal(grey.images[i, ..., 0], number > 0)
        np.testing.assert_array_equal(grey.labels[i], np.where(number > 1, -1, owned @ (1 + np.arange(count))))
        nearness = colour.images[i, ..., 3]
        own = {k: set(nearness[owned[..., k] & (number == 1)].tolist()) for k in range(count)}
        levels = np.array([own[k].pop() if own[k] else np.nan for k in range(count)])
        assert not any(own.values())
        seen = levels[~np.isnan(levels)]
        assert set(seen) <= set(np.float32((1 + np.arange(count)) / count)) and len(set(seen)) == len(seen)
        if len(seen) == count:
            np.testing.assert_array_equal(nearness, (owned * levels).max(-1))


def test_colours():
    maps = shapes.generate(seed=1, num_examples=100, colour="rgb", num_colours=3, num_shapes=3)
    found = {tuple(colour) for colour in maps.images[maps.labels > 0].tolist()}
    assert found == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert (maps.images[maps.labels == 0] == 0).all()
    five = shapes.generate(seed=1, num_examples=50, colour="rgb").images
    assert len(np.unique(five.reshape(-1, 3), axis=0)) == 6
    assert (five.max(-1) == (five.any(-1))).all()
    deep = shapes.generate(seed=1, num_examples=50, colour="rgbd").images
    np.testing.assert_array_equal(deep[..., :3], five)


def test_places_are_even():
    maps = shapes.generate(seed=3, num_examples=4000, num_shapes=1)
    tops, counts = np.unique((maps.labels > 0).any(2).argmax(1), return_counts=True)
    assert tops.tolist() == list(range(20)) and counts.min() > 150 and counts.max() < 260


def test_a_digit_and_a_shape():
    maps = shapes.with_digits(DIGITS, seed=4, num_examples=60)
    assert maps.images.shape == (60, 32, 32, 1) and maps.labels.dtype == np.int32
    assert set(np.unique(maps.labels).tolist()) == {-1, 0, 1, 2}
    sizes = set()
    for image, labels in zip(maps.images[..., 0], maps.labels, strict=True):
        shape = (labels == 2) | (labels == -1)
        assert (image[shape] == 1).all()
        assert (image[labels == 1] > 0.2).all() and (image[labels == 0] <= 0.2).all()
        assert 40 < (labels == 1).sum() + (labels == -1).sum() < 300
        sizes.add(int(shape.sum()))
    assert sizes == {120, 72}


@pytest.mark.parametrize(
    "make", [shapes.generate, lambda **s: shapes.with_digits(DIGITS, **s)], ids=["shapes", "digits"]
)
def test_a_picture_does_not_depend_on_how_many_are_asked_for(make, monkeypatch):
    many = make(seed=4, num_examples=30)
    few, tail = (make(seed=4, num_examples=6, start=start) for start in (0, 24))
    monkeypatch.setattr(shapes, "_CHUNK", 7)
    chunked = make(seed=4, num_examples=30)
    for k in (0, 1):
        np.testing.assert_array_equal(few[k], many[k][:6])
        np.testing.assert_array_equal(tail[k], many[k][24:])
        np.testing.assert_array_equal(chunked[k], many[k])
    assert (make(seed=5, num_examples=30).images != many.images).any(axis=(1, 2, 3)).all()
    assert make(seed=0, num_examples=0).images.shape == (0, 32, 32, 1)


def test_the_bytes_are_those_of_every_machine():
    maps = [
        shapes.generate(seed=2025, num_examples=8, num_shapes=10, size=48, colour="rgbd"),
        shapes.with_digits(DIGITS, seed=2025, num_examples=8),
    ]
    parts = b"".join(m.images.astype("<f4").tobytes() + m.labels.astype("<i4").tobytes() for m in maps)
    assert hashlib.sha256(parts).hexdigest()[:16] == "e7cdf3333e8f0578"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_shapes": 11}, r"num_shapes must be an integer in \[1, 10\], got 11"),
        ({"size": 16}, r"size must be an integer in \[17, 1024\], got 16"),
        ({"colour": "rbg"}, "colour must be one of grey, rgb, rgbd, got 'rbg'"),
        ({"num_colours": 0}, "num_colours.* got 0"),
        ({"seed": -1}, "seed.* got -1"),
        ({"num_examples": -1}, "num_examples.* got -1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        shapes.generate(**{"seed": 1, "num_examples": 2, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"size": 20}, r"size must be an integer in \[2\d, 1024\], got 20"), ({"threshold": 2}, "threshold.* got 2")],
)
def test_bad_settings_with_digits(settings, message):
    with pytest.raises(ValueError, match=message):
        shapes.with_digits(DIGITS, **{"seed": 1, "num_examples": 2, **settings})
