"""GASPnet's tasks: losses and scores at every step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.gaspnet import task
from experiments.gaspnet.specs import FAMILY
from oscnets import losses, metrics, models
from tests.experiments.families import config_of, tables
from tests.helpers import assert_close, random_like


def test_losses_and_accuracies():
    logits = np.zeros((3, 2, 10))
    logits[:, 0, 4] = logits[:, 1, 7] = np.log(21)  # a probability of 0.7
    classes = np.array([[4, 7], [4, 0], [1, 1]])
    expected = -np.log([0.7 * 0.7, 0.7 / 30, 1 / 900])
    assert_close(task.cross_entropy("classes", jnp.asarray(logits), jnp.asarray(classes)), expected, 1e-5)
    found = task.accuracies("classes", jnp.asarray(logits), jnp.asarray(classes))
    assert {name: value.tolist() for name, value in found.items()} == {
        "accuracy": [1, 0.5, 0], "item": [1, 1, 0], "picture": [1, 0, 0],
    }  # fmt: skip
    two_hot = jnp.eye(10)[:1] + jnp.eye(10)[1:2]
    assert_close(task.cross_entropy("multi_hot", jnp.zeros((1, 10)), two_hot), np.log([2.0]), 1e-6)
    assert set(task.accuracies("multi_hot", jnp.zeros((1, 10)), two_hot)) == {"accuracy", "exact_match"}


def named(logits, targets):
    """Share of objects named, by hand: two of ten digits, or the class of item and of picture."""
    if targets.shape[-1] == 10:
        best = np.argsort(logits, -1)[..., -2:]
        return np.take_along_axis(np.broadcast_to(targets, logits.shape), best, -1).mean(-1)
    return (logits.argmax(-1) == targets).mean(-1)


@pytest.mark.parametrize("experiment", ["multi_mnist", "cifar_mnist"])
def test_loss_and_scores_are_of_their_steps(experiment):
    """Equation 7, and every score at its step, from one batch and three steps."""
    small = {"model.channels": (2, 3, 2), "model.hidden": 8, "model.dim": 2, "model.num_steps": 3}
    config = config_of(FAMILY, f"{experiment},smoke", **small)
    overlaid = config.data.scenes == "overlay"
    rng = np.random.default_rng(0)
    two_hot = np.array([rng.permutation([1] * 2 + [0] * 8) for _ in range(32)], np.float32)
    batch = {
        "images": rng.uniform(size=(32, 32, 32, 3 if overlaid else 1)).astype(np.float32),
        "masks": rng.uniform(size=(32, 16, 16, 2 if overlaid else 3)) < 0.5,
        "targets": rng.integers(0, 10, (32, 2)).astype(np.int32) if overlaid else two_hot,
    }
    (model,) = tables(FAMILY, "models", "gaspnet").values()
    made, network = task.make_task(config, model), task.gaspnet(config, model)
    keys = jax.random.split(jax.random.key(1), 32)

    @jax.jit
    def everything(params):
        plain = models.FeedforwardNet(network.channels, network.hidden, num_heads=network.num_heads)
        out = task.forward(network, params, batch, keys), plain.apply(params, batch["images"])
        return *out, made.loss(params, batch, keys), made.evaluate(params, batch, keys)

    out, plain, (loss, logged), scores = jax.device_get(everything(random_like(lambda: made.init(jax.random.key(0)))))
    first = out.phases[..., :256].reshape(4, 32, 16, 16, 1)
    synchrony = np.asarray(losses.cluster_synchrony(first, batch["masks"], normalization="half"))
    parted = metrics.phase_separation(first, batch["masks"][..., -2:])  # of three groups without the background
    entropy = np.asarray(task.cross_entropy(task.TARGETS[config.data.scenes], out.logits[3], batch["targets"])).mean()
    assert_close(logged, {"classification": entropy, "synchrony": synchrony[3].mean()}, 1e-5)
    assert_close(loss, entropy + (10 if overlaid else 0.5) * synchrony[3].mean(), 1e-5)
    accuracy = named(out.logits, batch["targets"])
    assert (np.diff(accuracy, axis=0) != 0).any(1).all() and (np.diff(synchrony, axis=0) != 0).all()
    assert_close(scores["accuracy"], accuracy[1:].T, 1e-6)
    assert_close(scores["synchrony"], synchrony[1:].T, 1e-5)
    assert_close(scores["plain_accuracy"], named(plain, batch["targets"]), 1e-6)
    for name, value in parted.items():
        assert_close(scores[name], np.asarray(value)[1:].T, 1e-5)
    parts = ("accuracy", "item", "picture") if overlaid else ("accuracy", "exact_match")
    shapes = (
        dict.fromkeys(("synchrony", "order", "separation"), (32, 3))
        | dict.fromkeys(parts, (32, 3))
        | {f"plain_{name}": (32,) for name in parts}
    )
    assert {name: value.shape for name, value in scores.items()} == shapes


def test_groups_are_of_the_last_phases_of_the_first_block():
    small = {"model.channels": (2, 3, 2), "model.hidden": 8, "model.dim": 2, "model.num_steps": 2}
    config, tests = config_of(FAMILY, "smoke", **small), tables(FAMILY, "tests", "test+grouped3", "test")
    gaspnet, baseline = (
        task.make_task(config, *tables(FAMILY, "models", name).values(), tests) for name in ("gaspnet", "baseline")
    )
    for made in (gaspnet, baseline):
        assert made.evaluate_on("test") is made.evaluate
    assert baseline.evaluate_on("test+grouped3") is baseline.evaluate
    batch = {
        "images": np.ones((2, 32, 32, 1), np.float32),
        "masks": np.zeros((2, 16, 16, 3), bool),
        "targets": np.zeros((2, 10), np.float32),
    }
    batch["masks"][:, :8, :, 0] = batch["masks"][:, 8:, :8, 1] = batch["masks"][:, 8:, 6:, 2] = True
    params, keys = random_like(lambda: gaspnet.init(jax.random.key(0))), jax.random.split(jax.random.key(1), 2)
    network = task.gaspnet(config, *tables(FAMILY, "models", "gaspnet").values())

    @jax.jit
    def both(params):
        return gaspnet.evaluate_on("test+grouped3")(params, batch, keys), task.forward(network, params, batch, keys)

    scores, out = jax.device_get(both(params))
    phases = out.first_phases[-1]
    np.testing.assert_allclose(scores["features"], np.stack([np.cos(phases), np.sin(phases)], -1), atol=1e-5)
    values = {name: value[None] for name, value in scores.items()}
    found = gaspnet.on_host("test+grouped3", batch, values)
    assert found.keys() - scores.keys() == {"ari", "fg_ari", "mbo"} and "features" not in found
    ideal = np.where(batch["masks"][..., 0], 0, np.where(batch["masks"][..., 1], 2, 4))[..., None]
    perfect = np.concatenate([np.cos(ideal), np.sin(ideal)], -1)[None]
    np.testing.assert_allclose(gaspnet.on_host("", batch, {"features": perfect})["ari"], 1)


def make_with(name, **changes):
    """A network and its task."""
    config = config_of(FAMILY, "multi_mnist,smoke", **changes)
    (model,) = tables(FAMILY, "models", name).values()
    return task.make_network(config, model), task.make_task(config, model)


def four_scenes():
    """A batch of random scenes, and a key for each."""
    rng = np.random.default_rng(0)
    batch = {
        "images": rng.uniform(size=(4, 32, 32, 1)).astype(np.float32),
        "masks": rng.uniform(size=(4, 16, 16, 3)) < 0.5,
        "targets": np.eye(10, dtype=np.float32)[:4],
    }
    return batch, jax.random.split(jax.random.key(1), 4)


def test_the_curriculum_goes_from_equal_phases_to_random_ones():
    make = partial(make_with, **{"train.phase_curriculum": 0.5})
    network, made = make("gaspnet")
    assert made.takes_progress
    assert not make("baseline")[1].takes_progress
    assert not make("gaspnet", **{"model.start": "learned"})[1].takes_progress
    batch, keys = four_scenes()
    params = made.init(jax.random.key(0))
    start = lambda spread: task.forward(network, params, {**batch, "phase_spread": jnp.full(4, spread)}, keys)  # noqa: E731
    equal, half = start(0.0), start(0.5)
    assert_close(equal.logits[1:], jnp.broadcast_to(equal.logits[1], (network.num_steps, 4, 10)), 1e-5)
    assert abs(half.logits[2] - half.logits[1]).max() > 0.01
    assert_close(2 * half.phases[0], task.forward(network, params, batch, keys).phases[0], 1e-6)
    early, middle, end = (made.loss_at(progress, params, batch, keys)[0] for progress in (0.0, 0.5, 0.9))
    assert early != middle == end == make("gaspnet", **{"train.phase_curriculum": 0.0})[1].loss(params, batch, keys)[0]


def test_the_plain_pass_is_trained_first():
    make = partial(make_with, **{"train.plain_first": 0.5})
    network, made = make("gaspnet")
    assert made.takes_progress and made.curriculum == 0.5
    assert make("gaspnet", **{"model.start": "learned"})[1].takes_progress
    assert not make("baseline")[1].takes_progress
    batch, keys = four_scenes()
    params = made.init(jax.random.key(0))
    out = task.forward(network, params, batch, keys)
    for progress, step, synchrony_step in ((0.0, 0, 1), (0.49, 0, 1), (0.5, -1, -1), (0.9, -1, -1)):
        value, scalars = made.loss_at(progress, params, batch, keys)
        entropy = optax.sigmoid_binary_cross_entropy(out.logits[step], batch["targets"]).mean()
        phases = out.first_phases[synchrony_step, ..., None]
        synchrony = losses.cluster_synchrony(phases, batch["masks"], normalization="half").mean()
        np.testing.assert_allclose(scalars["classification"], entropy, rtol=1e-5)
        np.testing.assert_allclose(scalars["synchrony"], synchrony, rtol=1e-4)
        np.testing.assert_allclose(value, entropy + 0.5 * synchrony, rtol=1e-4)
    assert abs(out.logits[0] - out.logits[-1]).max() > 1e-3
    # The spread begins after it.
    _, both = make("gaspnet", **{"train.phase_curriculum": 0.5})
    equal = {**batch, "phase_spread": jnp.zeros(4)}
    expected = optax.sigmoid_binary_cross_entropy(
        task.forward(network, params, equal, keys).logits[-1], batch["targets"]
    ).mean()
    np.testing.assert_allclose(both.loss_at(0.5, params, batch, keys)[1]["classification"], expected, rtol=1e-5)
