"""The GASPnet experiment from command line to pictures, at its smoke size."""

import json

import numpy as np
import pytest

from experiments import engine
from experiments.gaspnet.specs import FAMILY
from tests.experiments.families import CONFIGS, draw_nothing, experiment_of

CONFIG = "--config=experiments/configs/gaspnet.py:smoke"
TINY = ("--config.model.channels=(2,3,2)", "--config.model.hidden=3", "--config.model.dim=2")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    assert engine.main(FAMILY, [CONFIG, *TINY, "--tests=test,salt_pepper0.1", f"--workdir={workdir}"]) == 0
    return workdir


def test_a_run_reports_every_step(workdir):
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["models"] == ["gaspnet", "baseline"]
    assert not summary["missing"]
    for split in ("test", "salt_pepper0.1"):
        by_model = summary["results"][split]["accuracy"]
        assert {model: np.shape(by_model[model]["values"]) for model in by_model} == {
            "gaspnet": (2, 2), "baseline": (2, 1),
        }  # fmt: skip
        scores = {"accuracy", "exact_match", "plain_accuracy", "plain_exact_match", "synchrony", "order", "separation"}
        assert set(summary["results"][split]) == scores
    drawn = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert drawn >= {"levels_salt_pepper", "phases_gaspnet_test", "over_time_test", "over_time_best_test"}
    assert [path.name for path in (workdir / "figures").glob("*.gif")] == ["animation_gaspnet.gif"]
    assert set(summary["best_seed"].values()) <= {0, 1} and summary["chance"]["test"] == {"accuracy": 0.2}


def test_every_step_is_compared_with_the_baseline(workdir):
    tests = json.loads((workdir / "steps.json").read_text())
    assert [(t["split"], t["metric"], t["step"]) for t in tests] == [
        (split, metric, step) for split in ("test", "salt_pepper0.1") for metric in ("accuracy",) for step in (1, 2)
    ]
    assert (workdir / "steps.md").read_text().count("| gaspnet |") == 2


def test_samples_say_what_they_are(workdir):
    with np.load(workdir / "samples" / "gaspnet.npz") as stored:
        arrays = dict(stored)
    meaning = json.loads(str(arrays["meaning"]))
    assert meaning == {"masks": "background+objects", "targets": "multi_hot", "phases": "nthw", "first_step": 0}
    assert arrays["set"].tolist() == ["test"] * 4 + ["salt_pepper0.1"] * 4
    assert arrays["phases"].shape == (8, 3, 16, 16) and arrays["masks"].shape == (8, 16, 16, 3)
    assert np.all(arrays["targets"].sum(1) == 2)


def test_report_only_writes_the_same_again(workdir, monkeypatch):
    texts = {name: (workdir / name).read_text() for name in ("summary.json", "summary.md", "steps.json", "steps.md")}
    for name in texts:
        (workdir / name).unlink()
    draw_nothing(monkeypatch)
    assert engine.main(FAMILY, [f"--workdir={workdir}", "--report_only"]) == 0
    assert {name: (workdir / name).read_text() for name in texts} == texts


SMALL = ("--config.seeds=1", "--config.train.epochs=1", "--config.train.num_examples=8")
CHOSEN = {"cifar_mnist": "gaspnet", "ablations": "gaspnet+no_location", "readings": "baseline"}


def test_every_smoke_size_is_run():
    """By `workdir`, or by the test below: without data to download some experiments are the same."""
    get_config = CONFIGS["gaspnet"].get_config
    ran = [get_config(variant) for variant in ("smoke", *(f"{name},smoke" for name in CHOSEN))]
    assert all(get_config(f"{name},smoke") in ran for name in CONFIGS["gaspnet"].EXPERIMENTS)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in CHOSEN if name != "cifar_mnist"]


@pytest.mark.parametrize("name", ["cifar_mnist", *SLOW])
def test_experiments_run(name, tmp_path):
    """One of its models, one update, the last of its test sets."""
    experiment, model = experiment_of(FAMILY, f"{name},smoke"), CHOSEN[name]
    *_, split = experiment.tests
    overlaid = experiment.config.data.scenes == "overlay"
    flags = (f"--models={model}", f"--tests={split}", f"--workdir={tmp_path}", *SMALL, *TINY)
    assert engine.main(FAMILY, [f"--config=experiments/configs/gaspnet.py:{name},smoke", *flags]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["models"] == [model] and not summary["missing"]
    results = summary["results"][split]
    for metric in ("accuracy", "item", "picture") if overlaid else ("accuracy", "exact_match"):
        mean = results[metric][model]["mean"]
        assert len(mean) == (1 if model == "baseline" else 2) and all(0 <= value <= 1 for value in mean)
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert f"levels_{'item' if overlaid else 'salt_pepper'}" in drawn
    assert (f"phases_{model}_{split}" in drawn) == (model != "baseline")
