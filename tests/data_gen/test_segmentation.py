"""Digits as label maps: against slow resizing and painting, by their own rules, and byte for byte."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from data_gen import segmentation, sources
from data_gen.sources import Base

HALF = 0.5 + 1e-9  # what is exactly a half is not lit, and floats come close


@pytest.fixture(scope="module")
def digits() -> Base:
    return sources.load("digits", "test")


def enlarged(image: np.ndarray, size: int) -> np.ndarray:
    positions = [((np.arange(size) + 0.5) * side / size - 0.5).clip(0, side - 1) for side in image.shape]
    return ndimage.map_coordinates(image / 255, np.stack(np.meshgrid(*positions, indexing="ij")), order=1)


def digest(maps: segmentation.LabelMaps) -> str:
    parts = maps.images.astype("<f4").tobytes() + maps.labels.astype("<i4").tobytes()
    return hashlib.sha256(parts).hexdigest()[:16]


@pytest.mark.parametrize(("size", "threshold"), [(56, 0.5), (28, 0.25), (33, 0.0)])
def test_mnist_is_every_digit_enlarged_and_named(digits, size, threshold, monkeypatch):
    monkeypatch.setattr(segmentation, "_CHUNK", 50)
    maps = segmentation.mnist(digits, size=size, threshold=threshold)
    assert maps.images.shape == (355, size, size, 1) and maps.images.dtype == np.float32
    assert maps.labels.shape == (355, size, size) and maps.labels.dtype == np.int32
    for i in (0, 50, 99, 354):
        expected = enlarged(digits.images[i], size)
        np.testing.assert_allclose(maps.images[i, ..., 0], expected, atol=1e-6)
        clear = abs(expected - threshold) > 1e-6
        named = np.where(maps.images[i, ..., 0] > threshold, digits.labels[i] + 1, 0)
        np.testing.assert_array_equal(maps.labels[i], named)
        np.testing.assert_array_equal((maps.labels[i] > 0)[clear], (expected > threshold)[clear])


def test_multi_mnist_is_made_of_whole_digits_that_share_no_pixel(digits):
    """With one digit in the base, lit pixels are a whole number of digits; with one class, all are of it."""
    for index in (3, 40):
        one = Base(digits.images[index : index + 1], digits.labels[index : index + 1])
        area = int((enlarged(one.images[0], 42) > HALF).sum())
        maps = segmentation.multi_mnist(one, seed=1, num_examples=60)
        counts, rest = np.divmod((maps.labels > 0).sum(axis=(1, 2)), area)
        assert not rest.any() and set(counts.tolist()) == {1, 2, 3, 4}
        assert set(np.unique(maps.labels).tolist()) == {0, int(one.labels[0]) + 1}


def test_a_lone_digit_lies_whole_somewhere_in_the_picture(digits):
    maps = segmentation.multi_mnist(digits, seed=2, num_examples=200, num_digits=(1, 1))
    corners = []
    shapes = [enlarged(image, 42) > HALF for image in digits.images]
    crops = [shape[ndimage.find_objects(shape.astype(int))[0]] for shape in shapes]
    for labels in maps.labels:
        (box,) = ndimage.find_objects((labels > 0).astype(int))
        found = [k for k, crop in enumerate(crops) if np.array_equal(crop, labels[box] > 0)]
        assert labels.max() - 1 in digits.labels[found]
        corners.append((box[0].start, box[1].start))
    assert np.ptp(corners, axis=0).min() > 70
    assert (np.bincount([labels.max() - 1 for labels in maps.labels], minlength=10) > 8).all()


def test_form_of_multi_mnist(digits):
    maps = segmentation.multi_mnist(digits, seed=3, num_examples=80)
    assert maps.images.shape == (80, 128, 128, 1) and maps.images.dtype == np.float32
    assert maps.labels.shape == (80, 128, 128) and maps.labels.dtype == np.int32
    np.testing.assert_array_equal(maps.images[..., 0], maps.labels > 0)
    assert maps.labels.min() == 0 and maps.labels.max() == 10
    small = segmentation.multi_mnist(digits, seed=3, num_examples=4, num_digits=(2, 3), digit_size=12, size=36)
    assert small.images.shape == (4, 36, 36, 1)


def test_a_picture_does_not_depend_on_how_many_are_asked_for(digits, monkeypatch):
    many = segmentation.multi_mnist(digits, seed=4, num_examples=30)
    few = segmentation.multi_mnist(digits, seed=4, num_examples=5)
    tail = segmentation.multi_mnist(digits, seed=4, num_examples=10, start=20)
    monkeypatch.setattr(segmentation, "_CHUNK", 7)
    chunked = segmentation.multi_mnist(digits, seed=4, num_examples=30)
    for k in (0, 1):
        np.testing.assert_array_equal(few[k], many[k][:5])
        np.testing.assert_array_equal(tail[k], many[k][20:])
        np.testing.assert_array_equal(chunked[k], many[k])
    other = segmentation.multi_mnist(digits, seed=5, num_examples=30)
    assert (other.images != many.images).any(axis=(1, 2, 3)).all()


def test_the_bytes_are_those_of_every_machine(digits):
    assert digest(segmentation.mnist(Base(digits.images[:8], digits.labels[:8]))) == "facf661956a9d152"
    assert digest(segmentation.multi_mnist(digits, seed=2025, num_examples=8)) == "fb6d808f7b139d7c"


def test_nothing_asked_for(digits):
    assert segmentation.multi_mnist(digits, seed=1, num_examples=0).labels.shape == (0, 128, 128)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_digits": (0, 4)}, r"num_digits must be two integers, 1 <= smallest <= largest <= 64, got \(0, 4\)"),
        ({"num_digits": (3, 2)}, r"num_digits.* got \(3, 2\)"),
        ({"num_digits": 4}, "num_digits.* got 4"),
        ({"digit_size": 65}, r"digit_size must be an integer in \[1, 64\], got 65"),
        ({"size": 41}, r"size must be an integer in \[42, 1024\], got 41"),
        ({"threshold": 2}, r"threshold must be a number in \[0, 1\], got 2"),
        ({"seed": 0.5}, "seed.* got 0.5"),
        ({"num_examples": -1}, "num_examples.* got -1"),
        ({"start": -1}, "start.* got -1"),
    ],
)
def test_bad_settings(digits, settings, message):
    with pytest.raises(ValueError, match=message):
        segmentation.multi_mnist(digits, **{"seed": 1, "num_examples": 2, **settings})


def test_bad_settings_and_bases_of_mnist(digits):
    with pytest.raises(ValueError, match=r"size.* got 0"):
        segmentation.mnist(digits, size=0)
    with pytest.raises(ValueError, match=r"threshold.* got -1"):
        segmentation.mnist(digits, threshold=-1)
    with pytest.raises(ValueError, match="base images must be uint8"):
        segmentation.mnist(Base(digits.images / 255, digits.labels))
