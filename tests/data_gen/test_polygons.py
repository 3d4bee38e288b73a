"""Polygons: inside and outside by a slow reference, their corners, their distance, and byte for byte."""

import hashlib

import numpy as np
import pytest
from matplotlib.path import Path
from scipy import ndimage

from data_gen import polygons


def drawn(count: int, radius: tuple[int, int] = (15, 20)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    sides = 3 + np.arange(count) % 4
    return sides, polygons._corners(sides, radius, rng.random((count, 14)))


def test_corners_lie_in_order_near_a_circle():
    sides, corners = drawn(200)
    for n, ring in zip(sides, corners / polygons._UNIT, strict=True):
        assert (ring[n:] == ring[0]).all()
        length = np.hypot(*ring[:n].T)
        assert length.min() > 0.95 * 15 - 0.01 and length.max() < 1.05 * 20 + 0.01
        assert length.max() / length.min() < 1.05 / 0.95 + 0.001
        steps = np.diff(np.unwrap(np.arctan2(ring[: n + 1, 0], ring[: n + 1, 1])))
        assert abs(steps.sum() - 2 * np.pi) < 1e-9
        assert abs(steps * n / (2 * np.pi) - 1).max() < 0.21


def test_polygons_are_convex():
    sides, corners = drawn(2000)
    for n, ring in zip(sides, corners, strict=True):
        edges = np.diff(np.concatenate([ring[:n], ring[:2]]), axis=0)
        turns = edges[:-1, 1] * edges[1:, 0] - edges[:-1, 0] * edges[1:, 1]
        assert (turns > 0).all()


def test_inside_is_that_of_a_slow_reference():
    sides, corners = drawn(24)
    inside = polygons._inside(corners, 23)
    assert inside.shape == (24, 47, 47)
    places = np.stack(np.meshgrid(*2 * [np.arange(-23.0, 24)], indexing="ij"), axis=-1).reshape(-1, 2)
    for n, ring, lit in zip(sides, corners / polygons._UNIT, inside, strict=True):
        path = Path(ring[: n + 1], closed=True)
        within, near = (path.contains_points(places, radius=r).reshape(47, 47) for r in (-0.02, 0.02))
        smaller, larger = (within, near) if within.sum() < near.sum() else (near, within)
        assert (lit >= smaller).all() and (lit <= larger).all()


def test_a_class_is_a_number_of_sides():
    """Area over the square of the largest radius: n / 2 sin(2 pi / n) of a regular polygon."""
    maps = polygons.generate(seed=1, num_examples=400, num_polygons=(1, 1))
    ratios = {kind: [] for kind in (1, 2, 3, 4)}
    for labels in maps.labels:
        places = np.argwhere(labels)
        radius = np.hypot(*(places - places.mean(axis=0)).T).max() + 0.5
        ratios[int(labels.max())].append(len(places) / radius**2)
    for kind, values in ratios.items():
        n = kind + 2
        assert 70 < len(values) < 130
        np.testing.assert_allclose(np.mean(values), n / 2 * np.sin(2 * np.pi / n), rtol=0.1)
        assert np.std(values) < 0.1


def test_polygons_lie_whole_in_the_picture_and_touch_nowhere():
    maps = polygons.generate(seed=2, num_examples=200)
    numbers = []
    for image, labels in zip(maps.images, maps.labels, strict=True):
        np.testing.assert_array_equal(image[..., 0], labels > 0)
        parts, number = ndimage.label(labels, structure=np.ones((3, 3)))
        numbers.append(number)
        for k in range(1, number + 1):
            assert len(np.unique(labels[parts == k])) == 1
            assert (parts == k).sum() > 250
    assert set(numbers) == {1, 2} and 70 < numbers.count(2) < 130
    assert set(np.unique(maps.labels).tolist()) == {0, 1, 2, 3, 4}


def test_form_and_other_sizes():
    maps = polygons.generate(seed=1, num_examples=3)
    assert maps.images.shape == (3, 75, 75, 1) and maps.images.dtype == np.float32
    assert maps.labels.shape == (3, 75, 75) and maps.labels.dtype == np.int32
    small = polygons.generate(seed=1, num_examples=3, num_polygons=(2, 3), radius=(4, 5), size=32)
    assert small.images.shape == (3, 32, 32, 1)
    assert polygons.generate(seed=1, num_examples=0).images.shape == (0, 75, 75, 1)


def test_a_picture_does_not_depend_on_how_many_are_asked_for(monkeypatch):
    many = polygons.generate(seed=4, num_examples=30)
    few, tail = (polygons.generate(seed=4, num_examples=6, start=start) for start in (0, 24))
    monkeypatch.setattr(polygons, "_CHUNK", 7)
    chunked = polygons.generate(seed=4, num_examples=30)
    for k in (0, 1):
        np.testing.assert_array_equal(few[k], many[k][:6])
        np.testing.assert_array_equal(tail[k], many[k][24:])
        np.testing.assert_array_equal(chunked[k], many[k])
    assert (polygons.generate(seed=5, num_examples=30).images != many.images).any(axis=(1, 2, 3)).all()


def test_the_bytes_are_those_of_every_machine():
    maps = polygons.generate(seed=2025, num_examples=12)
    parts = maps.images.astype("<f4").tobytes() + maps.labels.astype("<i4").tobytes()
    assert hashlib.sha256(parts).hexdigest()[:16] == "acbd5aa699f28af8"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": (15, 29)}, r"radius must be two integers, 3 <= smallest <= largest <= 28, got \(15, 29\)"),
        ({"radius": (2, 5)}, r"radius.* got \(2, 5\)"),
        ({"size": 44}, r"size must be an integer in \[45, 1024\], got 44"),
        ({"num_polygons": (0, 1)}, r"num_polygons.* got \(0, 1\)"),
        ({"num_polygons": 2}, "num_polygons.* got 2"),
        ({"seed": -1}, "seed.* got -1"),
        ({"num_examples": -1}, "num_examples.* got -1"),
        ({"start": -1}, "start.* got -1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        polygons.generate(**{"seed": 1, "num_examples": 2, **settings})
