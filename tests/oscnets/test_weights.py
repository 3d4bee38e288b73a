"""Networks that come with the package, and how they get there."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oscnets
from data_gen import multi_mnist, sources, tetrominoes
from experiments import engine, export
from experiments.waves.specs import FAMILY
from oscnets import losses, metrics, weights
from oscnets.models import random_phases

FOLDER = Path(weights.__file__).parent
RESULTS = Path(__file__).parents[2] / "experiments" / "results"
CONFIG = "--config=experiments/configs/waves.py:smoke"


def test_what_is_there():
    names = {"komplexnet", "komplexnet_feedback", "gaspnet", "wave_machine", "wave_machine_mnist", "conv_lstm"}
    assert names <= {*weights.available()}
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) < 3e6
    with pytest.raises(ValueError, match=r"no network 'complexnet': expected one of .*komplexnet"):
        oscnets.pretrained("complexnet")


@pytest.mark.parametrize("name", weights.available())
def test_each_fits_its_module_and_says_where_it_comes_from(name):
    module, variables, facts = oscnets.pretrained(name)
    assert facts["command"].startswith(f"python -m experiments.{facts['experiment']} --config=")
    assert re.fullmatch("[0-9a-f]{40}", facts["commit"])
    assert facts["step"] > 0
    assert 0 < facts["score"]["test"]["accuracy"] < 1
    assert isinstance(facts["seed"], int)
    assert type(module).__name__ == facts["module"]
    assert all(leaf.dtype == jnp.float32 and jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))
    stored = {key: tuple(value) if isinstance(value, list) else value for key, value in facts["attributes"].items()}
    defaults = {field.name: field.default for field in dataclasses.fields(module)}
    found = export.attributes(module)
    assert found == {name: defaults[name] for name in found} | stored


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.available())
def test_the_score_of_each_is_computed_again(name):
    """On the test set of the run that it is from, whose config is among the results."""
    network = oscnets.pretrained(name)
    stored = network.facts["score"]["test"]
    folders = [path.parent for path in RESULTS.rglob("config.json") if _command(path) == network.facts["command"]]
    family = importlib.import_module(f"experiments.{network.facts['experiment']}.specs").FAMILY
    model = engine.experiment_of(family, folders[0]).models[network.facts["model"]]
    try:
        data = model.data["test"]()
    except sources.MissingDatasetError as error:
        pytest.skip(f"no data: {error}")
    config = model.config
    plan = engine.seeds.make_plan(network.facts["seed"], 1, config.train.batch_size, config.seed_strategy)
    measure = engine.evaluate.Evaluator(model.task(), plan, config.train.batch_size)
    params = jax.tree.map(lambda leaf: leaf[None], network.variables)
    found = {key: float(values.reshape(-1)[-1]) for key, values in measure("test", data, plan.split(params)).items()}
    assert {key: found[key] for key in stored} == pytest.approx(stored, abs=0.005)


def _command(path):
    return json.loads(path.read_text(encoding="utf-8"))["command"]


def test_komplexnet_synchronizes_digits_that_it_was_not_trained_on():
    module, variables, _ = oscnets.pretrained("komplexnet")
    scenes = multi_mnist.generate(sources.load("digits", "test"), seed=0, num_examples=16)
    start = random_phases(jax.random.key(0), (16, 32, 32, module.channels))
    out = jax.jit(module.apply)(variables, jnp.asarray(scenes.images), phases0=start)
    loss = [losses.cluster_synchrony(out.trajectory[t], scenes.masks, out.amplitude).mean() for t in (0, -1)]
    assert loss[0] > 0.5
    assert loss[1] < 0.1


def test_gaspnet_brings_digits_forward_that_it_was_not_trained_on():
    module, variables, _ = oscnets.pretrained("gaspnet")
    scenes = multi_mnist.generate(sources.load("digits", "test"), seed=0, num_examples=32)
    run = jax.jit(lambda images: module.apply(variables, images, rngs={"phases": jax.random.key(0)}))
    out = run(jnp.asarray(scenes.images))
    lit = scenes.masks.any(-1).reshape(-1, 16, 2, 16, 2).any((2, 4))
    groups = np.stack([lit, ~lit], -1)
    loss = [losses.cluster_synchrony(out.first_phases[t][..., None], groups).mean() for t in (1, -1)]
    assert loss[0] > 0.5
    assert loss[1] < 0.45
    found = metrics.multi_label_scores(out.logits, jnp.asarray(scenes.multi_hot()))["accuracy"].mean(1)
    assert found[-1] > found[1] > 0.2  # chance


@pytest.mark.parametrize(("name", "accuracy", "iou"), [("wave_machine", 0.9, 0.85), ("conv_lstm", 0.8, 0.7)])
def test_a_segmenter_knows_pieces_that_it_was_not_trained_on(name, accuracy, iou):
    module, variables, _ = oscnets.pretrained(name)
    scenes = tetrominoes.generate(seed=7, num_examples=8, size=32, square=3, num_pieces=(1, 5))
    logits = jax.jit(module.apply)(variables, jnp.asarray(scenes.images)).logits
    scores = metrics.foreground_scores(logits, jnp.asarray(scenes.labels))
    assert scores["accuracy"].mean() > accuracy
    assert scores["iou"].mean() > iou


def test_an_older_export_of_the_wave_machine_loads(tmp_path, monkeypatch):
    facts = json.loads((FOLDER / "wave_machine.json").read_text())
    attributes = facts["attributes"]
    former = {"memory": attributes.pop("gradient"), "stream": attributes.pop("keep") == "readout"}
    old = facts | {"module": "WaveMachine", "attributes": attributes | former | {"checkpoint_every": 5}}
    (tmp_path / "wave_machine.json").write_text(json.dumps(old))
    (tmp_path / "wave_machine.npz").write_bytes((FOLDER / "wave_machine.npz").read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert weights.load(f"~/{tmp_path.name}", "wave_machine").module == weights.load(tmp_path, "wave_machine").module
    assert weights.load(tmp_path, "wave_machine").module == oscnets.pretrained("wave_machine").module


def test_a_run_is_exported_and_loaded(tmp_path, capsys):
    arguments = [CONFIG, "--models=cnn_2", "--config.train.epochs=1"]
    assert engine.main(FAMILY, [*arguments, f"--workdir={tmp_path / 'run'}"]) == 0
    flags = [f"--workdir={tmp_path / 'run'}", f"--out={tmp_path}", "--model=cnn_2"]
    assert export.main([*flags, "--seed=1", "--name=small"]) == 0
    assert "small.npz: 0." in capsys.readouterr().out
    module, variables, facts = weights.load(tmp_path, "small")
    assert (module.depth, module.hidden, facts["seed"]) == (2, (16,), 1)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (loss,) = [e["value"] for e in lines if (e["split"], e["name"], e["seed"]) == ("test", "loss", 1)]
    np.testing.assert_allclose(facts["score"]["test"]["loss"], loss, atol=1e-5)
    assert module.apply(variables, jnp.zeros((1, 16, 16, 3))).logits.shape == (1, 16, 16, 6)
    for wrong, told in (
        (["--model=cnn_3"], "no model 'cnn_3'"),
        (["--seed=7"], "no seed 7 in"),
        ([f"--workdir={tmp_path}"], "no run in"),
    ):
        assert export.main([*flags, *wrong]) == 2
        assert told in capsys.readouterr().err
    (tmp_path / "run" / "checkpoints" / "cnn_2" / "done.json").unlink()
    assert export.main(flags) == 2
    assert "is not finished" in capsys.readouterr().err
