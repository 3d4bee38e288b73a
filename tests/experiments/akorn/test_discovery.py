"""Discovery: views, the contrastive loss on one device and on several, groups and their scores."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from experiments import groups
from experiments.akorn import autoencode, data, discovery, views
from experiments.akorn.specs import FAMILY
from tests.experiments.families import config_of, tables
from tests.helpers import assert_close, random_variables

RNG = np.random.default_rng(0)
KEYS = jax.random.split(jax.random.key(3), 4)


def units(*shape):
    x = RNG.normal(size=shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def contrast(first, second):
    """By its definition, view by view."""
    z, count = np.concatenate([first, second]).astype(np.float64), len(first)
    products = np.exp(z @ z.T / 0.1)
    each = [
        -np.log(products[i, (i + count) % (2 * count)] / (products[i].sum() - products[i, i])) for i in range(2 * count)
    ]
    return np.reshape(each, (2, count)).mean(0)


def test_the_loss_is_that_of_simclr():
    first, second = units(4, 6), units(4, 6)
    np.testing.assert_allclose(discovery.contrast(first, second), contrast(first, second), rtol=1e-5)
    assert discovery.contrast(first, first).max() < contrast(first, second).min()


def test_the_loss_on_several_devices_is_that_of_the_whole_batch():
    """Its mean over the devices and the mean of the gradients, as the engine takes them."""
    first, second = units(4, 6), units(4, 6)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])

    def value(scale, first, second):
        return discovery.contrast(first * scale, second).mean()

    def on_device(scale, first, second):
        return jax.lax.pmean(jax.value_and_grad(value)(scale, first, second), "data")

    specs = (P(), P("data"), P("data"))
    parts = jax.jit(jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False))
    scale = jnp.linspace(0.5, 1, 6)
    assert_close(parts(scale, first, second), jax.jit(jax.value_and_grad(value))(scale, first, second), 1e-5)


def test_views_are_parts_of_the_picture():
    """A picture whose colours are its coordinates: rows and columns of a part go on evenly, within the bounds."""
    size = 32
    ramp = (np.arange(size, dtype=np.float32) + 0.5) / size
    image = np.stack([np.tile(ramp[:, None], (1, size)), np.tile(ramp, (size, 1)), np.zeros((size, size))], -1)
    parts = np.asarray(jax.jit(jax.vmap(views.random_part, (0, None)))(jax.random.split(jax.random.key(1), 400), image))
    assert np.ptp(parts[..., 0], axis=2).max() < 1e-5 and np.ptp(parts[..., 1], axis=1).max() < 1e-5
    height = (parts[:, 20, 0, 0] - parts[:, 12, 0, 0]) * size / 8
    width = (parts[:, 0, 20, 1] - parts[:, 0, 12, 1]) * size / 8
    area, ratio = height * width, width / height
    assert 0.07 < area.min() < 0.15 and 0.85 < area.max() < 1.01
    assert 0.74 < ratio.min() < 0.85 and 1.2 < ratio.max() < 1.34
    assert parts[..., :2].min() >= ramp[0] - 1e-6 and parts[..., :2].max() <= ramp[-1] + 1e-6


def test_colours_of_views():
    """Within the range; grey stays grey; a turn of the hue by a third permutes the colours."""
    image = RNG.uniform(size=(8, 8, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(2), 200)
    found = np.asarray(jax.jit(jax.vmap(views.view, (0, None)))(keys, image))
    assert found.min() >= 0 and found.max() <= 1
    grey = np.ptp(found, axis=-1).max((1, 2)) < 1e-5
    assert 0.1 < grey.mean() < 0.3
    flat = jax.vmap(views.jittered, (0, None))(keys[:20], np.full((2, 2, 3), 0.4, np.float32))
    assert np.ptp(flat, axis=-1).max() < 1e-6 and np.ptp(flat) > 0.1
    turn = np.asarray(views._turn(jnp.asarray(2 * np.pi / 3)))
    np.testing.assert_allclose(turn, np.roll(np.eye(3), 1, axis=1), atol=1e-6)


@pytest.mark.parametrize("name", discovery.BUILDERS)
def test_every_network_has_features_to_group(name):
    config = config_of(FAMILY, "discovery,smoke")
    (model,) = tables(FAMILY, "models", name).values()
    task = discovery.make_task(config, model, tables(FAMILY, "tests", "test", "test+tiles2"))
    params = jax.eval_shape(task.init, jax.random.key(0))
    batch = {"images": jnp.zeros((4, 32, 32, 3)), "labels": jnp.zeros((4, 32, 32), jnp.int8)}
    for label, side in {"test": 8, "test+tiles2": 16}.items():
        out = jax.eval_shape(task.evaluate_on(label), params, batch, KEYS)
        assert {key: value.shape for key, value in out.items()} == {"features": (4, side, side, 8)}
    assert jax.eval_shape(task.evaluate, params, batch, KEYS)["loss"].shape == (4,)


def halves(size, noise):
    """Features of two seeds that tell the left third of a picture, an object, from the rest, and its labels."""
    labels = np.zeros((2, 32, 32), np.int8)
    labels[:, :, :8] = 1
    labels[1, :, :16], labels[1, :, :8] = 2, 1
    features = np.eye(3)[labels[:, :: 32 // size, :: 32 // size]]
    return labels, np.stack([features, features]) + noise * RNG.normal(size=(2, *features.shape))


def scored(task, number, labels, **values):
    cluster = partial(task.group, number)
    return groups.on_host(data.true_labels, "test", {"labels": labels}, values, cluster=cluster)


def test_groups_on_the_host_replace_the_features():
    labels, features = halves(8, 0.01)
    found = scored(discovery, 3, labels, loss=np.ones((2, 2)), features=features)
    assert set(found) == {"loss", "fg_ari", "ari", "mbo"}
    assert found["ari"][:, 1].tolist() == [1, 1] and found["mbo"].values[:, 1].tolist() == [1, 1]
    assert found["mbo"].where.all()
    wrong = scored(discovery, 3, labels[::-1], features=features)
    assert wrong["ari"].max() < 0.9


@pytest.mark.parametrize(("task", "size"), [(discovery, 8), (autoencode, 32)])
def test_a_seed_that_diverged_has_no_scores(task, size):
    labels, features = halves(size, 0.0)
    features[1] = np.nan
    found = scored(task, 3, labels, features=features)
    for values in (found["ari"], found["fg_ari"], found["mbo"].values):
        assert values[0, 1] == 1 and np.isnan(values[1]).all()


def test_pixels_of_several_shapes_are_grouped_apart_and_count_nowhere():
    labels, features = halves(32, 0.0)
    labels = labels.copy()
    labels[:, 3:5] = -1
    found = autoencode.group(3, features, labels)
    assert (found[:, labels < 0] == 3).all() and (found[:, labels >= 0] < 3).all()
    assert scored(autoencode, 3, labels, features=features)["fg_ari"][:, 1].tolist() == [1, 1]


def test_reconstruction_is_trained_and_scored():
    """The loss is that of the batch's statistics; these move by the optimizer alone."""
    config = config_of(FAMILY, "shapes,smoke")
    (model,) = tables(FAMILY, "models", "complex_autoencoder").values()
    task = autoencode.make_task(config, model, {})
    variables = random_variables(lambda: task.init(jax.random.key(0)))
    batch = {"images": RNG.uniform(size=(4, 32, 32, 1)).astype(np.float32)}
    network = autoencode.BUILDERS["complex_autoencoder"](config, model)

    @jax.jit
    def both(variables):
        out, moved = network.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
        return (
            ((out.reconstruction - batch["images"]) ** 2).mean(),
            moved,
            jax.grad(lambda v: task.loss(v, batch, None)[0])(variables),
        )

    value, moved, gradients = both(variables)
    np.testing.assert_allclose(jax.jit(task.loss)(variables, batch, None)[0], value, rtol=1e-5)
    expected = jax.tree.map(lambda a, b: a - b, variables["batch_stats"], moved["batch_stats"])
    assert_close(gradients["batch_stats"], expected, 1e-5)
    assert np.isfinite(jax.jit(task.evaluate)(variables, batch, None)["loss"]).all()
