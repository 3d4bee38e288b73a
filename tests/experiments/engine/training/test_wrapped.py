"""Averaged parameters, and running statistics as parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import engine
from experiments.engine.training.evaluate import Evaluator
from experiments.engine.training.seeds import make_plan
from tests.helpers import assert_close


def linear(rate=0.1):
    """A task whose loss is that of a linear map, and which is evaluated by its only parameter."""

    def loss(params, batch, keys):
        return ((batch["x"] @ params["w"] - 1) ** 2).mean(), {}

    def evaluate(params, batch, keys):
        return {"w": jnp.broadcast_to(params["w"].sum(), len(batch["x"]))}

    return engine.Task(lambda key: {"w": jnp.zeros(3)}, loss, evaluate, optax.sgd(rate), "w")


@pytest.mark.parametrize("start", [0, 4])
def test_the_average_follows_the_parameters(start):
    """Against the definition, update by update."""
    task = engine.averaged(linear(), decay=0.7, every=2, start=start)
    rng = np.random.default_rng(0)
    params = task.init(jax.random.key(0))
    state = task.optimizer.init(params)
    live = average = np.zeros(3)
    for number in range(1, 13):
        batch = {"x": rng.normal(size=(5, 3)).astype(np.float32)}
        gradients = jax.grad(lambda p, b: task.loss(p, b, None)[0])(params, batch)
        changes, state = task.optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, changes)
        live = live - 0.1 * 2 * batch["x"].T @ (batch["x"] @ live - 1) / 5
        if number <= start:
            average = live
        elif number % 2 == 0:
            decay = min(0.7, 1 - (1 + number - start) ** (-2 / 3))
            average = decay * average + (1 - decay) * live
        assert_close(params["live"]["w"], live.astype(np.float32), 1e-5)
        assert_close(engine.averaged_params(params)["w"], average.astype(np.float32), 1e-5)
    assert np.abs(live - average).max() > 1e-3
    assert_close(task.evaluate(params, batch, None)["w"], np.full(5, average.sum(), np.float32), 1e-5)


def test_test_sets_that_are_evaluated_alike_stay_alike():
    plain = linear()
    other = lambda params, batch, keys: {"w": params["w"][0]}  # noqa: E731
    on = {"test": plain.evaluate, "same": plain.evaluate, "other": other}
    task = engine.averaged(plain._replace(evaluate_on=on.get), decay=0.9, every=1, start=0)
    assert task.evaluate_on("test") is task.evaluate_on("same") is task.evaluate is not task.evaluate_on("other")
    params = {"live": {"w": jnp.zeros(3)}, "average": {"w": jnp.arange(1.0, 4)}}
    assert task.evaluate_on("other")(params, None, None) == {"w": 1}
    assert engine.averaged(plain, decay=0.9, every=1, start=0).evaluate_on is None


def test_statistics_take_their_new_values():
    """Whatever the gradient of the parameters is, and however it is clipped."""
    variables = {"params": {"w": jnp.array([3.0, 4.0])}, "batch_stats": {"mean": jnp.array([1.0, 2.0])}}
    moved = {"batch_stats": {"mean": jnp.array([-5.0, 7.0])}}

    def loss(variables):
        return 100 * variables["params"]["w"].sum() + engine.statistics_term(variables, moved)

    value, gradients = jax.value_and_grad(loss)(variables)
    assert value == 700
    optimizer = engine.with_statistics(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0)))
    changes, _ = optimizer.update(gradients, optimizer.init(variables), variables)
    new = optax.apply_updates(variables, changes)
    assert_close(new["batch_stats"], moved["batch_stats"], 0)
    assert_close(new["params"]["w"], np.array([3, 4], np.float32) - np.float32(0.5**0.5), 1e-6)


def test_the_host_turns_what_was_evaluated_into_scores():
    """On test sets alone; it sees every seed, every example and the arrays."""
    seen = {}

    def on_host(label, data, values):
        seen[label] = {name: value.shape for name, value in values.items()}
        return {"product": (values["w"] * data["x"][:, 0])[..., None] * np.array([1, 2])}

    task = linear()._replace(on_host=on_host)
    plan = make_plan(0, 2, 4, "loop", jax.devices()[:1])
    data = {"x": np.arange(18, dtype=np.float32).reshape(6, 3)}
    groups = plan.split({"w": np.array([[1, 0, 0], [2, 1, 0]], np.float32)})
    measure = Evaluator(task, plan, batch_size=4)
    assert measure("validation", data, groups)["w"].tolist() == [1, 3]
    assert measure("test", data, groups)["product"].tolist() == [[7.5, 15], [22.5, 45]]
    assert seen == {"test": {"w": (2, 6)}}
