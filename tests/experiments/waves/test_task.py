"""The waves' tasks: running statistics of a U-Net, wavelengths of states."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from experiments.waves import task
from experiments.waves.specs import FAMILY
from oscnets import analysis
from oscnets._products.layout import from_chwb, to_chwb
from oscnets.models import Features
from oscnets.models.unet import DoubleConv
from tests.experiments.families import config_of, tables
from tests.helpers import assert_close, random_like


class TwoConvs(nn.Module):
    """A part of a U-Net: batch norms, without what takes long to compile."""

    @nn.compact
    def features(self, images, *, train):
        return Features(from_chwb(DoubleConv(4)(to_chwb(images), train=train), (len(images),)))

    def classify_pixels(self, features):
        return features


def test_running_statistics_move_as_batch_norm_says():
    """One step of the optimizer sets them to what the training pass gives, and moves the parameters by Adam alone."""
    (model,) = tables(FAMILY, "models", "unet_2").values()
    network, optimizer = TwoConvs(), task.make_task(config_of(FAMILY, "smoke"), model).optimizer
    rng = np.random.default_rng(1)
    batch = {"images": rng.uniform(size=(3, 5, 5, 2)).astype(np.float32), "labels": rng.integers(0, 4, (3, 5, 5))}
    call = {"train": True, "method": "features"}
    variables = random_like(lambda: network.init(jax.random.key(0), batch["images"], **call))
    loss = jax.jit(jax.value_and_grad(partial(task.normalized_loss, network), has_aux=True))
    (value, _), gradients = loss(variables, batch, None)
    changes, _ = optimizer.update(gradients, optimizer.init(variables), variables)
    after = optax.apply_updates(variables, changes)

    def plain(params):
        out, moved = network.apply({**variables, "params": params}, batch["images"], mutable="batch_stats", **call)
        return optax.softmax_cross_entropy_with_integer_labels(out.pixels, batch["labels"]).mean(), moved

    (expected, moved), of_params = jax.jit(jax.value_and_grad(plain, has_aux=True))(variables["params"])
    assert_close(value, expected, 1e-6)
    assert_close(after["batch_stats"], moved["batch_stats"], 1e-6)
    assert np.abs(jax.tree.leaves(after["batch_stats"])[0] - jax.tree.leaves(variables["batch_stats"])[0]).max() > 1e-3
    assert_close(gradients["params"], of_params, 1e-5)
    adam = optax.adam(1e-3)
    updates, _ = adam.update(of_params, adam.init(variables["params"]))
    assert_close(after["params"], optax.apply_updates(variables["params"], updates), 1e-5)


def test_long_waves_are_those_of_the_watched():
    states, watched = np.random.default_rng(0).normal(size=(9, 3, 5, 6, 2)), jnp.array([True, False, True])
    states = states.astype(np.float32)
    found = jax.jit(task.long_waves)(states, watched)
    with jax.debug_nans(True):
        assert_close(jax.jit(task.long_waves)(states, watched), found, 1e-6)
    bad = task.long_waves(states * np.nan, jnp.array([True, False, False]))
    assert set(found) == set(task.DIFFERENCES)
    for kind, shares in found.items():
        assert shares.shape == (3, len(task.LONG))
        np.testing.assert_array_equal(shares[1], 0)  # which counts nowhere
        assert np.isnan(bad[kind][0]).all()
        for i in (0, 2):
            expected = [analysis.long_wave_share(states[:, i], limit, differences=kind) for limit in task.LONG]
            assert_close(np.asarray(shares[i]), np.array(expected), 1e-6)
        assert (np.diff(shares[0]) >= 0).all() and shares[0, 0] < shares[0, -1]
