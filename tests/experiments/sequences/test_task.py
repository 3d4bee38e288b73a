"""Loss and scores of the networks of sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import engine
from experiments.sequences import problems
from experiments.sequences.specs import FAMILY
from experiments.sequences.task import make_network, make_task
from oscnets import models
from tests.experiments.families import config_of
from tests.helpers import assert_close, random_variables

KEYS = jax.random.split(jax.random.key(5), 3)


def make(variant, name, **changes):
    config = config_of(FAMILY, variant, models=(name,), **changes)
    ((label, table),) = engine.tables(config, "models").items()
    own = engine.of_model(config, label)
    return make_network(own, table), make_task(own, table)


def test_networks_are_those_of_their_tables():
    linoss, _ = make("copy,smoke", "linoss")
    assert (linoss.form, linoss.damped, linoss.read_every, linoss.num_outputs) == ("im", False, 1, 10)
    damped, _ = make("adding,smoke", "dlinoss", **{"data.length": 9})
    assert (damped.form, damped.damped, damped.read_every, damped.bounded) == ("imex", True, 9, False)
    assert make("digits,smoke", "linoss+imex")[0].read_every is None
    solo, _ = make("digits,smoke", "wrnn+solo")
    assert (solo.start, solo.one_source, solo.every_step, solo.places) == ("shift", True, False, 100)
    identity, _ = make("copy,smoke", "irnn")
    assert (identity.places, identity.channels, identity.kernel_size) == (1, 128, 1) and identity.every_step


def drawn_as_trained(draw, keys):
    """The sequences that a training step draws by its keys."""
    return jax.vmap(draw)(jax.vmap(jax.random.split)(keys)[:, 0])


@pytest.mark.parametrize(("variant", "name"), [("copy,smoke", "gru"), ("adding,smoke", "cornn")])
def test_training_draws_sequences_by_their_keys(variant, name):
    """And each is a part of the loss that does not depend on the others."""
    _, task = make(variant, name, **{"model.units": 4})
    params = random_variables(lambda: task.init(jax.random.key(0)))
    draw = problems.PROBLEMS[variant.split(",")[0]].draw
    batch = drawn_as_trained(lambda key: draw(key, 5), KEYS)
    expected = task.evaluate(params, batch, KEYS)["loss"].mean()
    loss, _ = jax.jit(task.loss)(params, {"number": jnp.arange(3)}, KEYS)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    other, _ = task.loss(params, {"number": jnp.zeros(3)}, KEYS[::-1])
    np.testing.assert_allclose(other, loss, rtol=1e-5)


def test_running_statistics_move_and_pass_no_gradient():
    """Though a layer normalizes by them in training too."""
    changes = {"model.channels": 4, "model.state_size": 3, "model.num_blocks": 1, "model.dropout": 0.0}
    network, task = make("digits,smoke", "linoss", **changes)
    variables = random_variables(lambda: task.init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    batch = {"inputs": rng.normal(size=(3, 6, 1)).astype(np.float32), "labels": np.array([1, 2, 3])}
    (value, _), gradients = jax.jit(jax.value_and_grad(task.loss, has_aux=True))(variables, batch, KEYS)
    logits, moved = network.apply(variables, batch["inputs"], train=True, mutable=["batch_stats"])
    expected = problems.entropies(logits, batch).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    steps = jax.tree.map(lambda a, b: a - b, variables["batch_stats"], moved["batch_stats"])
    assert_close(gradients["batch_stats"], steps, 1e-5)
    assert isinstance(network, models.LinOSS) and np.isfinite(task.evaluate(variables, batch, KEYS)["loss"]).all()


def test_a_network_drops_values_by_its_keys():
    changes = {"model.channels": 4, "model.state_size": 3, "model.num_blocks": 1, "model.dropout": 0.5}
    _, task = make("digits,smoke", "linoss", **changes)
    variables = random_variables(lambda: task.init(jax.random.key(0)))
    batch = {"inputs": np.ones((3, 6, 1), np.float32), "labels": np.array([1, 2, 3])}
    loss = jax.jit(lambda keys: task.loss(variables, batch, keys)[0])
    assert loss(KEYS) == loss(KEYS) != loss(KEYS[::-1])
