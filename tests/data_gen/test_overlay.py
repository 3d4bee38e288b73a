"""Items over pictures: against each sample made anew from its sources, and byte for byte."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from data_gen import overlay, sources
from data_gen.sources import Base

ARRAYS = ("images", "masks", "labels", "sources", "corners")


@pytest.fixture(scope="module")
def items() -> Base:
    return sources.load("digits", "test")


@pytest.fixture(scope="module")
def pictures() -> Base:
    return sources.load("textures", "test")


@pytest.mark.parametrize(("item_size", "opacity"), [(28, 0.5), (24, 0.5), (20, 0.5), (17, 0.8), (14, 0.5), (32, 1.0)])
def test_a_sample_is_its_item_blended_over_its_picture(items, pictures, item_size, opacity):
    settings = {"item_size": item_size, "opacity": opacity}
    overlays = overlay.generate(items, pictures, seed=1, num_examples=30, **settings)
    positions = ((np.arange(item_size) + 0.5) * 28 / item_size - 0.5).clip(0, 27)
    grid = np.stack(np.meshgrid(positions, positions, indexing="ij"))
    for i, ((item, picture), (top, left)) in enumerate(zip(overlays.sources, overlays.corners, strict=True)):
        light = np.zeros((32, 32))
        frame = light[top : top + item_size, left : left + item_size]
        assert frame.shape == (item_size, item_size)
        frame[...] = ndimage.map_coordinates(items.images[item] / 255, grid, order=1)
        lit = light > 1e-9
        below = pictures.images[picture] / 255
        expected = np.where(lit[..., None], opacity * light[..., None] + (1 - opacity) * below, below)
        np.testing.assert_allclose(overlays.images[i], expected, atol=1e-6)
        np.testing.assert_array_equal(overlays.masks[i], np.stack([lit, ~lit], axis=-1))
        assert overlays.labels[i].tolist() == [items.labels[item], pictures.labels[picture]]


def test_form_and_ranges(items, pictures):
    overlays = overlay.generate(items, pictures, seed=2, num_examples=2000, item_size=20)
    assert len(overlays) == 2000
    assert overlays.images.shape == (2000, 32, 32, 3) and overlays.images.dtype == np.float32
    assert overlays.images.min() >= 0 and overlays.images.max() <= 1
    assert overlays.masks.shape == (2000, 32, 32, 2) and overlays.masks.dtype == bool
    assert overlays.labels.shape == (2000, 2) and overlays.labels.dtype == np.int32
    assert overlays.masks.any(axis=(1, 2)).all()
    assert overlays.corners.min() == 0 and overlays.corners.max() == 12
    np.testing.assert_allclose(np.bincount(overlays.corners.ravel()) / 4000, 1 / 13, atol=0.02)
    for label in overlays.labels.T:
        np.testing.assert_allclose(np.bincount(label, minlength=10) / 2000, 0.1, atol=0.03)
    assert abs(np.corrcoef(overlays.labels.T)[0, 1]) < 0.08


def test_every_size_shows_the_same_items_on_the_same_pictures(items, pictures):
    large, small = (overlay.generate(items, pictures, seed=1, num_examples=9, item_size=s) for s in (28, 14))
    np.testing.assert_array_equal(large.sources, small.sources)


def test_pictures_of_another_size_are_resized(items):
    plain = Base(np.full((1, 5, 4, 3), [0, 51, 255], np.uint8), np.zeros(1, int))
    overlays = overlay.generate(items, plain, seed=1, num_examples=3, item_size=6, size=10)
    np.testing.assert_allclose(overlays.images[overlays.masks[..., 1]], [[0, 0.2, 1]] * overlays.masks[..., 1].sum())


def test_a_sample_does_not_depend_on_how_many_are_asked_for(items, pictures, monkeypatch):
    many = overlay.generate(items, pictures, seed=3, num_examples=40)
    few = overlay.generate(items, pictures, seed=3, num_examples=6)
    tail = overlay.generate(items, pictures, seed=3, num_examples=10, start=30)
    monkeypatch.setattr(overlay, "_CHUNK", 7)
    chunked = overlay.generate(items, pictures, seed=3, num_examples=40)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:6])
        np.testing.assert_array_equal(getattr(tail, name), getattr(many, name)[30:])
        np.testing.assert_array_equal(getattr(chunked, name), getattr(many, name))
    other = overlay.generate(items, pictures, seed=4, num_examples=40)
    assert (other.images != many.images).any(axis=(1, 2, 3)).all()


def test_the_bytes_are_those_of_every_machine(items, pictures):
    overlays = overlay.generate(items, pictures, seed=2025, num_examples=12, item_size=17)
    total = hashlib.sha256()
    for name in ARRAYS:
        array = getattr(overlays, name)
        total.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert total.hexdigest()[:16] == "2199c21977290d9b"


def test_no_samples(items, pictures):
    assert overlay.generate(items, pictures, seed=1, num_examples=0).images.shape == (0, 32, 32, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"item_size": 33}, r"item_size must be an integer in \[1, 32\], got 33"),
        ({"item_size": 0}, "item_size.* got 0"),
        ({"opacity": 1.5}, r"opacity must be a number in \[0, 1\], got 1.5"),
        ({"opacity": float("nan")}, "opacity.* got nan"),
        ({"size": 2000}, "size.* got 2000"),
        ({"seed": -1}, "seed.* got -1"),
        ({"num_examples": -1}, "num_examples.* got -1"),
        ({"start": -1}, "start.* got -1"),
    ],
)
def test_bad_settings(items, pictures, settings, message):
    with pytest.raises(ValueError, match=message):
        overlay.generate(items, pictures, **{"seed": 1, "num_examples": 2, **settings})


def test_bad_bases(items, pictures):
    with pytest.raises(ValueError, match=r"items images must be uint8 \(M, H, W\)"):
        overlay.generate(pictures, pictures, seed=1, num_examples=1)
    with pytest.raises(ValueError, match=r"pictures images must be uint8 \(M, H, W, 3\)"):
        overlay.generate(items, items, seed=1, num_examples=1)
    with pytest.raises(ValueError, match="items must hold images"):
        overlay.generate(Base(items.images[:0], items.labels[:0]), pictures, seed=1, num_examples=1)
