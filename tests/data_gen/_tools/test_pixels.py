"""Boxes, crops and exact resizing against slow or foreign references."""

from fractions import Fraction

import jax
import numpy as np
import pytest
from scipy import ndimage

from data_gen._tools import pixels


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (5, 12, 9)) * (rng.random((5, 12, 9)) < 0.1)).astype(np.uint8)


def test_bounding_boxes(images):
    for image, (top, left, height, width) in zip(images, pixels.bounding_boxes(images), strict=True):
        (box,) = ndimage.find_objects((image > 0).astype(int))
        assert box == (slice(top, top + height), slice(left, left + width))


def test_a_black_image_is_named(images):
    images[3] = 0
    with pytest.raises(ValueError, match="image 3 is all black"):
        pixels.bounding_boxes(images)


def test_crop_and_paste_are_slices(images):
    tops, lefts = np.array([0, 3, 8, 11, 5]), np.array([0, 8, 2, 4, 5])
    cropped = pixels.crop(images, tops, lefts, 4)
    canvas = np.zeros((5, 16, 13), np.uint16)
    pixels.paste(canvas, cropped, tops, lefts)
    pixels.paste(canvas, cropped, tops, lefts)
    for image, window, painted, top, left in zip(images, cropped, canvas, tops, lefts, strict=True):
        expected = image[top : top + 4, left : left + 4]
        np.testing.assert_array_equal(window[: expected.shape[0], : expected.shape[1]], expected)
        assert window.sum() == expected.sum()
        np.testing.assert_array_equal(painted[top : top + 4, left : left + 4], 2 * window.astype(int))
        assert painted.sum() == 2 * window.sum(dtype=int)


@pytest.mark.parametrize(("old", "new"), [((50, 50), 32), ((8, 8), 28), ((12, 9), 9), ((7, 3), 1), ((1, 1), 4)])
def test_bilinear_is_that_of_jax(old, new):
    images = np.random.default_rng(1).integers(0, 256, (3, *old))
    sums, divisor = pixels.bilinear_sums(images, new)
    assert sums.dtype == np.int32
    expected = jax.image.resize(images.astype(np.float32), (3, new, new), "bilinear", antialias=False)
    np.testing.assert_allclose(sums / divisor, expected, atol=1e-3)


def test_bilinear_is_exact():
    image = np.random.default_rng(2).integers(0, 256, (50, 50))
    sums, divisor = pixels.bilinear_sums(image[None], 32)

    def taps(i):
        position = min(max(Fraction(2 * i + 1, 2) * Fraction(50, 32) - Fraction(1, 2), 0), 49)
        low = int(position)
        return {low: 1 - (position - low), min(low + 1, 49): position - low}

    for i, j in ((0, 0), (3, 17), (31, 31), (16, 5)):
        value = sum(wy * wx * int(image[y, x]) for y, wy in taps(i).items() for x, wx in taps(j).items())
        assert Fraction(int(sums[0, i, j]), divisor) == value


def test_the_largest_size_does_not_overflow():
    sums, divisor = pixels.bilinear_sums(np.full((1, 3, 3), 255), 1024)
    assert (sums == 255 * divisor).all()


@pytest.mark.parametrize("shape", [(12, 64), (9, 5), (1, 1)])
def test_shared_pixels_are_those_of_two_windows_laid_over_each_other(shape):
    rng = np.random.default_rng(3)
    windows = rng.random((2, 60, *shape)) < 0.4
    offsets = rng.integers(-70, 71, (60, 2))
    offsets[:20] //= 10
    words = [pixels.row_words(lit) for lit in windows]
    assert words[0].dtype == np.uint64 and words[0].shape == (60, shape[0])
    shared = pixels.count_shared(*words, *offsets.T)
    with np.errstate(invalid="ignore"):
        shares = pixels.lit_share(*words, *offsets.T)
    for i, (mine, theirs) in enumerate(zip(*windows, strict=True)):
        both = {tuple(place + offsets[i]) for place in np.argwhere(mine)} & set(map(tuple, np.argwhere(theirs)))
        assert shared[i] == len(both)
        if mine.any() and theirs.any():
            assert shares[i] == len(both) / min(mine.sum(), theirs.sum())


@pytest.mark.parametrize("size", [12, 5, 20])
def test_resized_is_bilinear_by_channel(size):
    images = np.random.default_rng(4).integers(0, 256, (3, 12, 12, 2), dtype=np.uint8)
    expected = jax.image.resize(images / np.float32(255), (3, size, size, 2), "bilinear", antialias=False)
    resized = pixels.resized(images, size)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=1e-6)


def test_nearest_index_is_the_pixel_under_the_centre():
    for old, new in ((50, 32), (85, 32), (8, 28), (5, 5)):
        expected = [int(Fraction(2 * i + 1, 2) * Fraction(old, new)) for i in range(new)]
        assert pixels.nearest_index(old, new).tolist() == expected
