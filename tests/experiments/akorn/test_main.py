"""The experiments from command line to pictures, at their smoke size."""

import json

import jax
import numpy as np
import pytest

from experiments import engine, export
from experiments.akorn.specs import FAMILY
from oscnets import metrics, weights
from tests.experiments.families import CONFIGS, draw_nothing
from tests.helpers import assert_close

SMALL = ("--config.seeds=1", "--config.mesh=1x1")


def run(name, models, workdir, *flags):
    config = f"--config=experiments/configs/akorn.py:{name},smoke"
    assert engine.main(FAMILY, [config, f"--models={models}", f"--workdir={workdir}", *SMALL, *flags]) == 0
    return json.loads((workdir / "summary.json").read_text())


def test_a_sudoku_is_solved_from_command_line_to_film(tmp_path, monkeypatch):
    summary = run("sudoku", "akorn,itrsa", tmp_path)
    assert summary["models"] == ["akorn", "itrsa"]
    assert summary["missing"] == ["Model itrsa has not been measured on sparse+votes2+last@3."]  # it draws no noise
    for split in ("test", "sparse+votes2+last@3"):
        results = summary["results"][split]
        assert set(results) == {"boards", "cells", "loss"}
        assert 0 <= results["cells"]["akorn"]["mean"][0] <= 1
    assert summary["chance"]["test"] == {"cells": 1 / 9}
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["akorn.npz"]  # the other has no states to show
    with np.load(tmp_path / "samples" / "akorn.npz") as stored:
        arrays = dict(stored)
    assert arrays["answers"].shape == (6, 2, 9, 9) and arrays["energies"].shape == (6, 2)
    assert arrays["colours"].shape == (6, 2, 9, 9, 3) and 0 <= arrays["colours"].min() <= arrays["colours"].max() <= 1
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn >= {"boards_akorn.gif", "steps_test.png", "steps_sparse.png"}
    assert_export_holds_the_average(tmp_path)
    texts = {name: (tmp_path / name).read_text() for name in ("summary.json", "summary.md")}
    draw_nothing(monkeypatch)
    assert engine.main(FAMILY, [f"--workdir={tmp_path}", "--report_only"]) == 0
    assert {name: (tmp_path / name).read_text() for name in texts} == texts


def assert_export_holds_the_average(workdir):
    export.export(workdir, "akorn", None, workdir / "weights")
    loaded = weights.load(workdir / "weights", "akorn")
    trained = engine.load_trained(engine.experiment_of(FAMILY, workdir), workdir, "akorn")
    average = jax.tree.map(lambda x: x[0], engine.averaged_params(trained.params))
    assert_close(loaded.variables, average, 0)
    out = loaded.module.apply(loaded.variables, np.zeros((1, 9, 9), int), noise=np.ones((1, 9, 9, 8), np.float32))
    assert out.logits.shape == (1, 9, 9, 9)


CHOSEN = {"shapes": "complex_autoencoder", "discovery": "itrconv,akorn+conv"}  # the first draws no noise


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_objects_are_found_from_command_line_to_pictures(name, tmp_path):
    summary, labels = run(name, CHOSEN[name], tmp_path, "--config.train.epochs=1"), CHOSEN[name].split(",")
    assert summary["models"] == labels and not summary["missing"]
    scores = {"fg_ari", "ari", "mbo"} | ({"loss"} if name == "shapes" else set())
    assert {split: set(results) for split, results in summary["results"].items()} == dict.fromkeys(
        summary["splits"], scores
    )
    for label in labels:
        assert (tmp_path / "figures" / f"groups_{label}.png").is_file()
        with np.load(tmp_path / "samples" / f"{label}.npz") as stored:
            assert stored["groups"].shape == stored["labels"].shape == (6, 32, 32)
            saved = np.mean(metrics.foreground_ari(stored["labels"].astype(int), stored["groups"].astype(int)))
        if label == labels[0]:  # all pictures of the last test set are saved
            last = summary["results"][summary["splits"][-1]]["fg_ari"][label]["mean"][0]
            np.testing.assert_allclose(last, saved, atol=0.02)


def test_every_experiment_is_run():
    assert set(CHOSEN) | {"sudoku"} == set(CONFIGS["akorn"].EXPERIMENTS)
