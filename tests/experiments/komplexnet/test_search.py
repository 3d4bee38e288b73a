"""The search for KomplexNet's hyper-parameters: what they are in a config, and from command line to trained model."""

import csv
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import engine
from experiments.configs import komplexnet as configs
from experiments.engine.training import runner
from experiments.komplexnet import search
from experiments.komplexnet.specs import FAMILY, MODEL, MODELS, config_of
from experiments.komplexnet.task import BUILDERS, FEEDBACK
from experiments.search.trials import Member, with_traced_hyperparameters
from tests.helpers import assert_close, random_like

pytest.importorskip("optuna")

TINY = (
    "--config=experiments/configs/komplexnet.py:smoke",
    "--config.model.channels=2",
    "--config.model.num_steps=2",
    "--config.data.size=24",
    "--config.data.max_overlap=1.0",
    "--config.train.epochs=1",
)


def config_with(model, variant="paper"):
    """A complete config with the one model that was typed; its table's name."""
    config = configs.get_config(variant)
    name, table = MODELS.parse(model, MODEL)
    config.models = {name: table}
    return engine.complete(config, FAMILY).lock(), name


@pytest.mark.parametrize(
    "model",
    ["komplexnet", "feedback", "feedback_l3", "fixed_kernel+digits3", "random", "real", "vit", "komplexnet+background"],
)
def test_values_are_those_that_the_settled_config_trains_with(model):
    config, name = config_with(model)
    table = engine.tables(config, "models")[name]
    problem = search.problem(config)
    assert problem.space.holds(problem.start)
    assert engine.leaves(problem.config) == engine.leaves(config_of(config, name))
    changed = {**{key: low for key, (low, _) in problem.space.traced.items()}}
    changed |= {key: sizes[0] for key, sizes in problem.space.shapes.items()}
    for values in (problem.start, changed):
        settled = problem.settled(values)
        engine.check(settled, FAMILY)
        trained = config_of(settled, name)
        present = search.values_of(trained, table)
        assert {key: present[key] for key in values} == values
        of_trial = engine.leaves(search.with_values(problem.config, table, values))
        differ = {key for key, value in engine.leaves(trained).items() if of_trial[key] != value}
        assert {key for key in differ if not key.startswith("models.")} <= {"model.rate"}  # feedback has its own
    before, after = engine.leaves(problem.config), engine.leaves(config_of(problem.settled(changed), name))
    others = {"train.learning_rate", "train.synchrony_weight", "feedback_kernel_size", "model.rate"}
    differ = {key for key in before if after[key] != before[key] and not key.startswith("models.")} - others
    place = {"feedback": "feedback.all", "feedback_l3": "feedback.l3"}.get(model, "model")
    if "rate" in problem.start:
        rates = {f"{place}.feedback_rates"} if table["network"] in FEEDBACK else set()
        assert differ == {"model.epsilon", "model.kernel_size", f"{place}.rate"} - others | rates
    else:
        assert not differ


def test_each_model_has_its_hyper_parameters():
    found = {network: {*search.problem(config_with(network, "smoke")[0]).start} for network in BUILDERS}
    every = {"learning_rate", "rate", "epsilon", "synchrony_weight", "kernel_size"}
    assert found["komplexnet"] == found["fixed_kernel"] == every
    assert found["feedback_l4"] == every | {"rate_l4"}
    assert found["feedback"] == every | {"rate_l2", "rate_l3", "rate_l4", "feedback_kernel_size"}
    assert found["ideal"] == found["vit"] == {"learning_rate"}


def test_a_search_has_no_test_data():
    assert {*search.problem(config_with("komplexnet", "smoke")[0]).data} == {"train", "validation"}


@pytest.mark.parametrize(("models", "message"), [("feedbak", "no 'feedbak'"), ("real,vit", "a search has one model")])
def test_a_wrong_model_is_one_line_and_status_2(models, message, tmp_path, capsys):
    assert search.main([*TINY, f"--workdir={tmp_path / 'new'}", f"--models={models}"]) == 2
    error = capsys.readouterr().err
    assert f"error: {message}" in error and error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_traced_values_give_the_loss_and_the_gradient_of_the_numbers():
    config = config_with("feedback", "smoke")[0].unlock()
    config.update(slice_size=2, data={"size": 8}, model={"channels": 2, "num_steps": 3})
    problem = search.problem(config.lock())
    values = {**problem.start, "rate": 0.05, "epsilon": 0.7, "rate_l2": 0.3, "synchrony_weight": 2.0, "kernel_size": 5}
    traced = {name: jnp.float32(values.pop(name)) for name in problem.space.traced}
    rng = np.random.default_rng(0)
    batch = {
        "images": rng.uniform(size=(4, 8, 8, 1)).astype(np.float32),
        "masks": rng.uniform(size=(4, 8, 8, 2)) < 0.3,
        "targets": np.eye(10, dtype=np.float32)[:4],
    }
    keys = jax.random.split(jax.random.key(0), 4)
    params = random_like(lambda: problem.make_task({**values, **traced}).init(keys[0]))

    @jax.jit
    def of_traced(params, traced):
        make_task = lambda traced: problem.make_task({**values, **traced})  # noqa: E731
        task = with_traced_hyperparameters(make_task, tuple(traced))
        return jax.value_and_grad(task.loss, has_aux=True)(Member(params, traced), batch, keys)

    @jax.jit
    def of_numbers(params):
        loss = problem.make_task({**values, **{name: float(value) for name, value in traced.items()}}).loss
        return jax.value_and_grad(loss, has_aux=True)(params, batch, keys)

    (found, gradients), (expected, right) = of_traced(params, traced), of_numbers(params)
    assert_close(found, expected, 1e-6)
    assert_close(gradients.params, right, 1e-5)
    assert all(value == 0 for value in gradients.values.values())
    (other, _), _ = of_traced(params, {**traced, "rate": jnp.float32(0.5)})
    assert abs(other - found[0]) > 1e-3


def test_a_search_and_the_run_of_its_best(tmp_path, monkeypatch):
    place = tmp_path / "search"
    assert search.main([*TINY, "--models=komplexnet", f"--workdir={place}", "--together=2", "--trials=2"]) == 0
    rows = list(csv.DictReader((place / "trials.csv").read_text().splitlines()))
    assert [row["kernel_size"] for row in rows] == ["13", "13"]
    assert rows[0]["rate"] == "0.006" != rows[1]["rate"]
    best = max(rows, key=lambda row: float(row["value"]))
    run = tmp_path / "run"
    monkeypatch.setattr(runner, "report", lambda *_: None)
    assert engine.main(FAMILY, [f"--config={place}/best.py", f"--workdir={run}", "--tests=test"]) == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    of_seed = {x["seed"]: x["value"][1] for x in lines if x["split"] == "validation" and x["name"] == "accuracy"}
    for seed in (0, 1):
        assert math.isclose(of_seed[seed], float(best[f"seed_{seed}"]), abs_tol=1e-6)
