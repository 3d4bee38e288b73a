"""Scenes on pictures: the sum and its clipping, grey and colour, who lies behind whom."""

import hashlib
from dataclasses import fields

import numpy as np
import pytest

from data_gen import backgrounds, multi_mnist, sources
from data_gen.sources import Base


@pytest.fixture(scope="module")
def digits() -> Base:
    return sources.load("digits", "test")


@pytest.fixture(scope="module")
def pictures() -> Base:
    return sources.load("textures", "test")


@pytest.mark.parametrize("colour", [False, True])
def test_an_image_is_the_scene_plus_one_picture_clipped(digits, pictures, colour):
    scenes = multi_mnist.generate(digits, seed=3, num_examples=20, max_overlap=0.25)
    on_pictures = backgrounds.generate(digits, pictures, seed=3, num_examples=20, max_overlap=0.25, colour=colour)
    levels = pictures.images.astype(np.float64)
    if not colour:
        levels = np.floor(levels @ [0.299, 0.587, 0.114] + 0.5 + 1e-9)[..., None]
    assert on_pictures.images.shape == (20, 32, 32, 3 if colour else 1) and on_pictures.images.dtype == np.float32
    behind = set()
    for scene, image in zip(scenes.images, on_pictures.images, strict=True):
        distance = abs((scene + levels / 255).clip(max=1) - image).max(axis=(1, 2, 3))
        assert distance.min() < 1e-6
        behind.add(int(distance.argmin()))
    assert len(behind) > 15
    for field in fields(scenes):
        if field.name != "images":
            np.testing.assert_array_equal(getattr(on_pictures, field.name), getattr(scenes, field.name))


def test_pictures_of_another_size_are_resized(digits):
    ramp = np.broadcast_to(np.array([40, 200], np.uint8)[:, None, None], (1, 2, 2, 3))
    scenes = backgrounds.generate(digits, Base(ramp, np.zeros(1, int)), seed=1, num_examples=2, size=8, colour=True)
    outside = np.broadcast_to(~(scenes.masks.any(axis=-1) | scenes.overlap)[..., None], scenes.images.shape)
    rows = np.interp((np.arange(8) + 0.5) / 4 - 0.5, [0, 1], [40, 200]) / 255
    darker = scenes.images.astype(np.float64) - rows[:, None, None]
    assert darker.min() > -1e-6 and (darker[outside] < 1e-6).mean() > 0.6


@pytest.mark.parametrize("colour", [False, True])
def test_a_scene_does_not_depend_on_how_many_are_asked_for(digits, pictures, colour, monkeypatch):
    settings = {"seed": 10, "colour": colour}
    many = backgrounds.generate(digits, pictures, num_examples=40, **settings).images
    np.testing.assert_array_equal(backgrounds.generate(digits, pictures, num_examples=7, **settings).images, many[:7])
    tail = backgrounds.generate(digits, pictures, num_examples=15, start=25, **settings)
    np.testing.assert_array_equal(tail.images, many[25:])
    monkeypatch.setattr(backgrounds, "_CHUNK", 9)
    np.testing.assert_array_equal(backgrounds.generate(digits, pictures, num_examples=40, **settings).images, many)
    other = backgrounds.generate(digits, pictures, num_examples=40, seed=11, colour=colour).images
    assert (other != many).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(("colour", "expected"), [(False, "a8a4e84eecceb43a"), (True, "18abb3502a89684c")])
def test_the_bytes_are_those_of_every_machine(digits, pictures, colour, expected):
    images = backgrounds.generate(digits, pictures, seed=2025, num_examples=12, colour=colour).images
    assert hashlib.sha256(images.astype("<f4").tobytes()).hexdigest()[:16] == expected


def test_no_scenes(digits, pictures):
    assert backgrounds.generate(digits, pictures, seed=1, num_examples=0, colour=True).images.shape == (0, 32, 32, 3)


def test_bad_pictures_and_settings(digits, pictures):
    for base, message in (
        (digits, r"pictures images must be uint8 \(M, H, W, 3\), got uint8 \(355, 28, 28\)"),
        (Base(pictures.images / 255, pictures.labels), "uint8.* got float64"),
        (Base(pictures.images, pictures.labels[:4]), r"pictures labels must have shape \(1000,\), got \(4,\)"),
        (Base(pictures.images[:0], pictures.labels[:0]), "pictures must hold images"),
        (Base(pictures.images, pictures.labels / 2), "pictures labels must be integers >= 0, got float64"),
        (Base(pictures.images, pictures.labels - 1), "pictures labels must be integers >= 0, .* least -1"),
    ):
        with pytest.raises(ValueError, match=message):
            backgrounds.generate(digits, base, seed=1, num_examples=1)
    with pytest.raises(ValueError, match=r"num_digits.* got 1"):
        backgrounds.generate(digits, pictures, seed=1, num_examples=1, num_digits=1)
