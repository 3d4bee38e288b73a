"""Optimizers, schedules and clipping by name."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import engine
from experiments.engine.run import checkpoint, optimizer
from tests.experiments.engine import toy, toy_config


def entries(**changes):
    train = engine.base_config().train
    train.update(learning_rate=0.1, **changes)
    return train


def descend(transformation, steps=60, total=60, start=None):
    """A quadratic's parameters after each update."""
    params = {"matrix": jnp.full((3, 2), 2.0), "vector": jnp.full(4, -3.0)} if start is None else start
    gradient = jax.grad(lambda params: sum((x**2).sum() for x in jax.tree.leaves(params)) / 2)
    state, path = transformation.init(params), []
    for step in range(steps):
        changes, state = optimizer.update(transformation, step / total, gradient(params), state, params)
        params = optax.apply_updates(params, changes)
        path.append(params)
    return path


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_the_default_is_adam_to_the_last_bit():
    assert_same(descend(optimizer.make(entries())), descend(optax.adam(0.1)))


def test_leaves_of_the_state_have_the_names_of_earlier_runs():
    """Checkpoints are read by name; KomplexNet's and GASPnet's runs had a chain of two."""
    params = {"w": jnp.zeros(2)}
    earlier = optax.chain(optax.clip_by_global_norm(2.0), optax.adam(0.1)).init(params)
    for changes in ({"clip_norm": 2.0}, {"weight_decay": 1e-5}, {"schedule": "linear", "warmup": 0.1}):
        assert checkpoint.flatten(optimizer.make(entries(**changes)).init(params)).keys() == (
            checkpoint.flatten(earlier).keys()
        )


def test_clipping_and_decay_come_before_the_optimizer():
    made = optimizer.make(entries(clip_norm=0.5, weight_decay=0.3))
    assert_same(
        descend(made),
        descend(optax.chain(optax.clip_by_global_norm(0.5), optax.add_decayed_weights(0.3), optax.adam(0.1))),
    )


@pytest.mark.parametrize("name", sorted(optimizer.OPTIMIZERS))
def test_every_optimizer_descends(name):
    norms = [optax.tree.norm(params) for params in descend(optimizer.make(entries(optimizer=name, schedule="linear")))]
    assert norms[-1] < norms[0] / 2


@pytest.mark.parametrize(
    ("schedule", "rates"),
    {
        "constant": (1, 1, 1, 1),
        "linear": (1, 0.75, 0.5, 0.1),
        "cosine": (1, (1 + 0.5**0.5) / 2, 0.5, (1 + np.cos(0.9 * np.pi)) / 2),
        "stable_decay": (1, 1, 1, 0.25),
    }.items(),
)
def test_rates_over_the_training(schedule, rates):
    found = optimizer.learning_rate(2.0, schedule, 0.0)(jnp.asarray([0, 0.25, 0.5, 0.9]))
    np.testing.assert_allclose(found, 2 * np.asarray(rates), rtol=1e-6)


def test_warm_up_rises_to_the_peak_and_the_schedule_follows():
    rate = optimizer.learning_rate(2.0, "linear", 0.2)
    np.testing.assert_allclose(rate(jnp.asarray([0, 0.1, 0.2, 0.6, 1.0])), [0, 1, 2, 1, 0], atol=1e-6)


def test_the_state_holds_nothing_of_the_schedule():
    """The same state gives another step at another progress, by the ratio of the rates."""
    made, params = optimizer.make(entries(schedule="cosine", warmup=0.1)), {"x": jnp.ones(2)}
    state = made.init(params)
    early, late = (optimizer.update(made, progress, params, state, params)[0]["x"] for progress in (0.05, 0.55))
    np.testing.assert_allclose(early, late, rtol=1e-5)
    last = optimizer.update(made, 1.0, params, state, params)[0]["x"]
    np.testing.assert_allclose(last, 0, atol=1e-7)


def test_an_unknown_name_is_an_error_that_lists_those_there_are():
    config = engine.complete(toy_config.get_config(), toy.FAMILY)
    config.train.optimizer = "adm"
    with pytest.raises(engine.UsageError, match="expected one of adam, nadam, lion, muon, sgd"):
        engine.check(config, toy.FAMILY)
