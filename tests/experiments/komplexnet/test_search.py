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
from experiments.engine.run.config import leaves
from experiments.komplexnet import main, names, search, settings
from experiments.search.trials import Member, carry
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


@pytest.mark.parametrize(
    "network",
    ["komplexnet", "feedback", "feedback_l3", "fixed_kernel@3", "random", "real", "vit", "komplexnet@background"],
)
def test_values_are_those_that_the_config_trains_with(network):
    config = configs.get_config("paper").lock()
    problem = search.problem(config, network)
    assert problem.space.holds(problem.start)
    alone = leaves(settings.of_model(config, network)) | {"models": (network,)}
    config = problem.settled(problem.start)
    assert leaves(config) == alone
    changed = {**{name: low for name, (low, _) in problem.space.traced.items()}}
    changed |= {name: sizes[0] for name, sizes in problem.space.shapes.items()}
    settled = problem.settled(changed)
    settings.validate(settled)
    assert settings.of_model(settled, network) == settled
    found = search.values_of(settled, network)
    assert {name: found[name] for name in changed} == changed
    others = {"train.learning_rate", "train.synchrony_weight", "models", "feedback_kernel_size"}
    differ = {entry for entry, value in leaves(settled).items() if value != leaves(config)[entry]} - others
    place = {"feedback": "feedback.all", "feedback_l3": "feedback.l3"}.get(network, "model")
    if names.model(network).network in names.FEEDBACK:
        rates = {f"{place}.feedback_rates"} if place != "model" else set()
        assert differ == {"model.epsilon", "model.kernel_size", f"{place}.rate"} | rates
    else:
        assert not differ


def test_each_model_has_the_hyper_parameters_that_it_feels():
    config = configs.get_config("smoke")
    found = {network: {*search.problem(config, network).start} for network in names.NETWORKS}
    own = {"learning_rate", "rate", "epsilon", "synchrony_weight", "kernel_size"}
    assert found["komplexnet"] == found["fixed_kernel"] == own
    assert found["feedback_l4"] == own | {"rate_l4"}
    assert found["feedback"] == own | {"rate_l2", "rate_l3", "rate_l4", "feedback_kernel_size"}
    assert found["ideal"] == found["vit"] == {"learning_rate"}


def test_only_validation_data_are_at_hand():
    assert {*search.problem(configs.get_config("smoke"), "komplexnet").data} == {"train", "validation"}


def test_an_unknown_model_is_one_line_and_status_2(tmp_path, capsys):
    assert search.main([*TINY, f"--workdir={tmp_path}", "--network=feedbak"]) == 2
    assert "error: no model 'feedbak': expected one of komplexnet, feedback" in capsys.readouterr().err


def test_traced_values_give_the_loss_and_the_gradient_of_the_numbers():
    config = configs.get_config("smoke")
    config.update(slice_size=2, data={"size": 8}, model={"channels": 2, "num_steps": 3})
    problem = search.problem(config.lock(), "feedback")
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
        task = carry(lambda found: problem.make_task({**values, **found}), tuple(traced))
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


def test_a_search_and_the_run_of_its_best(tmp_path):
    place = tmp_path / "search"
    assert search.main([*TINY, f"--workdir={place}", "--together=2", "--trials=2"]) == 0
    rows = list(csv.DictReader((place / "trials.csv").read_text().splitlines()))
    assert [row["kernel_size"] for row in rows] == ["13", "13"]
    assert rows[0]["rate"] == "0.006" != rows[1]["rate"]
    best = max(rows, key=lambda row: float(row["value"]))
    run = tmp_path / "run"
    arguments = [f"--config={place}/best.py", f"--workdir={run}", "--config.tests=('test',)"]
    assert engine.main(main.run, name="komplexnet", validate=settings.validate, argv=arguments) == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    of_seed = {x["seed"]: x["value"] for x in lines if x["split"] == "validation" and x["name"] == "accuracy@2"}
    for seed in (0, 1):
        assert math.isclose(of_seed[seed], float(best[f"seed_{seed}"]), abs_tol=1e-6)
