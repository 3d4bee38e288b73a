"""Up-tiling: published numbers, one tile, order of the tiles, errors."""

import jax
import numpy as np
import pytest

from oscnets import models
from tests.helpers import golden_case, golden_cases
from tests.oscnets.models.test_akorn import network
from tests.oscnets.models.test_kuramoto_layer import last


@pytest.mark.parametrize(("file", "case"), golden_cases("akorn_uptile.npz"))
def test_golden_akorn_up_tiling(file, case):
    cfg, arrays = golden_case(file, case)
    module, variables = network(cfg, arrays)
    crops = models.up_tiles(last(arrays["image"]), cfg["tile"], patch=cfg["psize"])
    np.testing.assert_allclose(crops, last(arrays["crops"]), rtol=0, atol=2e-5)
    run = jax.jit(jax.vmap(lambda x, noise: module.apply(variables, x, noise=noise).features))
    found = models.interleave(run(crops, last(arrays["noise"])))
    np.testing.assert_allclose(found, last(arrays["features"]), rtol=0, atol=1e-4)


def test_one_tile_is_the_image():
    images = np.random.default_rng(0).uniform(size=(2, 8, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(models.up_tiles(images, 1, patch=4)[0], images, atol=1e-6)


def test_tiles_shift_by_a_part_of_a_patch():
    images = np.random.default_rng(0).uniform(size=(1, 8, 12, 2)).astype(np.float32)
    tiles = models.up_tiles(images, 2, patch=4)
    np.testing.assert_array_equal(tiles[1][:, :, :-2], tiles[0][:, :, 2:])
    np.testing.assert_array_equal(tiles[2][:, :-2], tiles[0][:, 2:])
    np.testing.assert_allclose(models.up_tiles(np.ones_like(images), 4, patch=4), 1, atol=1e-6)


def test_tiles_interleave():
    features = np.arange(1, 5)[:, None, None, None, None] * np.array([1.0, 0.0])
    features = np.broadcast_to(features, (4, 1, 2, 3, 2)) + np.array([0, 1.0])
    found = models.interleave(features)[0, ..., 0]
    expected = np.arange(1, 5) / np.hypot(np.arange(1, 5), 1)
    np.testing.assert_allclose(found, np.tile(expected.reshape(2, 2), (2, 3)), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.up_tiles(np.zeros((2, 8, 8)), 2, patch=4), r"images must be \(B, H, W, C\)"),
        (lambda: models.up_tiles(np.zeros((2, 8, 8, 1)), 3, patch=4), "multiple of the 3 tiles, got 4"),
        (lambda: models.interleave(np.zeros((3, 1, 2, 2, 1))), r"features must be \(s s, B, H, W, C\)"),
        (lambda: models.interleave(np.zeros((4, 2, 2, 1))), r"features must be \(s s, B, H, W, C\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
