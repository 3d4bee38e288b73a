"""Corruptions: their statistics, their addresses, their limits."""

import hashlib

import numpy as np
import pytest
from scipy import stats

from data_gen import corruptions
from data_gen.corruptions import gaussian_noise, salt_and_pepper

SHAPE = (150, 16, 12, 3)
BOTH = [(gaussian_noise, {"std": 0.3}), (salt_and_pepper, {"share": 0.3})]


def grey(shape=SHAPE, value=0.5):
    return np.full(shape, value, np.float32)


def test_noise_is_gaussian_of_the_given_deviation():
    noise = gaussian_noise(grey(), std=0.1, seed=1).astype(np.float64) - 0.5
    assert abs(noise.mean()) < 0.002 and abs(noise.std() - 0.1) < 0.002
    assert stats.kstest(noise[noise > -0.5][::7] / 0.1, "norm").pvalue > 1e-3
    flat = noise.reshape(-1)
    assert abs(np.corrcoef(flat[:-1], flat[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.02


def test_noise_is_clipped():
    noisy = gaussian_noise(grey(value=0.0), std=np.sqrt(0.1), seed=1)
    assert noisy.min() == 0 and 0.9 < noisy.max() <= 1
    assert abs((noisy == 0).mean() - 0.5) < 0.01


def test_salt_and_pepper_in_equal_shares():
    spoilt = salt_and_pepper(grey(), share=0.2, seed=1)
    assert set(np.unique(spoilt).tolist()) == {0.0, 0.5, 1.0}
    assert abs((spoilt == 0).mean() - 0.1) < 0.01 and abs((spoilt == 1).mean() - 0.1) < 0.01
    assert (spoilt == spoilt[..., :1]).all()


def test_nothing_and_everything():
    images = np.random.default_rng(0).random(SHAPE, np.float32)
    np.testing.assert_array_equal(gaussian_noise(images, std=0, seed=1), images)
    np.testing.assert_array_equal(salt_and_pepper(images, share=0, seed=1), images)
    assert np.isin(salt_and_pepper(images, share=1, seed=1), [0, 1]).all()


@pytest.mark.parametrize(("corrupt", "settings"), BOTH)
def test_an_image_is_spoilt_alike_whatever_comes_with_it(corrupt, settings, monkeypatch):
    images = np.random.default_rng(0).random(SHAPE, np.float32)
    kept = images.copy()
    all_at_once = corrupt(images, seed=4, **settings)
    np.testing.assert_array_equal(images, kept)
    np.testing.assert_array_equal(corrupt(images[:10], seed=4, **settings), all_at_once[:10])
    np.testing.assert_array_equal(corrupt(images[90:], seed=4, start=90, **settings), all_at_once[90:])
    monkeypatch.setattr(corruptions, "_CHUNK", 7)
    np.testing.assert_array_equal(corrupt(images, seed=4, **settings), all_at_once)
    assert all_at_once.dtype == np.float32
    assert (corrupt(images, seed=5, **settings) != all_at_once).any()


@pytest.mark.parametrize(("corrupt", "settings"), BOTH)
def test_images_get_different_noise(corrupt, settings):
    spoilt = corrupt(grey(), seed=1, **settings)
    assert len({image.tobytes() for image in spoilt}) == len(spoilt)


def test_the_two_share_no_draws():
    """One seed for both must not put salt where the noise is strong."""
    noise = gaussian_noise(grey((60, 16, 12, 1)), std=0.1, seed=1).ravel()
    salt = salt_and_pepper(grey((60, 16, 12, 1)), share=0.5, seed=1).ravel()
    assert abs(np.corrcoef(noise, salt)[0, 1]) < 0.04


@pytest.mark.parametrize(
    ("corrupt", "settings", "expected"), [(*BOTH[0], "85b0a8e3b3a3ae2b"), (*BOTH[1], "bb0f3c5f08ac71ed")]
)
def test_the_bytes_are_those_of_every_machine(corrupt, settings, expected):
    ramp = (np.arange(20 * 64, dtype=np.float32) % 256 / 255).reshape(20, 8, 8, 1)
    assert hashlib.sha256(corrupt(ramp, seed=2025, **settings).astype("<f4").tobytes()).hexdigest()[:16] == expected


@pytest.mark.parametrize(("corrupt", "settings"), BOTH)
def test_no_images(corrupt, settings):
    assert corrupt(grey((0, 8, 8, 1)), seed=1, **settings).shape == (0, 8, 8, 1)


@pytest.mark.parametrize("std", [-0.1, float("nan"), float("inf")])
def test_bad_deviation(std):
    with pytest.raises(ValueError, match=f"std must be a finite number >= 0, got {std}"):
        gaussian_noise(grey(), std=std, seed=1)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_bad_share(share):
    with pytest.raises(ValueError, match=rf"share must lie in \[0, 1\], got {share}"):
        salt_and_pepper(grey(), share=share, seed=1)


@pytest.mark.parametrize(("corrupt", "settings"), BOTH)
def test_bad_shapes_seeds_and_starts(corrupt, settings):
    with pytest.raises(ValueError, match=r"\(N, H, W, C\), got \(4, 8, 8\)"):
        corrupt(grey((4, 8, 8)), seed=1, **settings)
    with pytest.raises(ValueError, match=r"seed.* got -1"):
        corrupt(grey(), seed=-1, **settings)
    with pytest.raises(ValueError, match="start must be >= 0, got -3"):
        corrupt(grey(), seed=1, start=-3, **settings)
