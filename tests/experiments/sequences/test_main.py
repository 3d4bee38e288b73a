"""The experiments from command line to pictures, at their smoke size."""

import json

import numpy as np
import pytest

from experiments import engine
from experiments.sequences.specs import FAMILY
from tests.experiments.families import CONFIGS

ONE_SEED = ("--config.seeds=1", "--config.mesh=1x1")
CHOSEN = {"copy": "wrnn,gru", "adding": "cornn", "digits": "linoss", "permuted_digits": "irnn"}
SLOW = ("digits", "permuted_digits")


def run(name, models, workdir):
    config = f"--config=experiments/configs/sequences.py:{name},smoke"
    assert engine.main(FAMILY, [config, f"--models={models}", f"--workdir={workdir}", *ONE_SEED]) == 0
    return json.loads((workdir / "summary.json").read_text())


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CHOSEN])
def test_a_run_from_command_line_to_pictures(name, tmp_path):
    labels = CHOSEN[name].split(",")
    summary = run(name, CHOSEN[name], tmp_path)
    assert summary["models"] == labels and not summary["missing"]
    score = "solved" if name == "adding" else "accuracy"
    results = summary["results"]["test"]
    assert set(results) == {score, "loss"} == set(summary["chance"]["test"])
    for label in labels:
        assert 0 <= results[score][label]["mean"][0] <= 1 and results["loss"][label]["mean"][0] > 0
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    shown = {label for label in labels if label in ("wrnn", "cornn")}
    assert drawn == {"learning_curves.png", *(f"states_{label}.png" for label in shown)}
    for label in shown:
        with np.load(tmp_path / "samples" / f"{label}.npz") as stored:
            length = 25 if name == "copy" else 5
            assert stored["states"].shape == (length, 4) and len(stored["inputs"]) == length


def test_every_experiment_is_run_or_is_of_the_same_size():
    """Without a download, those of MNIST are of the scans at this size."""
    get_config = CONFIGS["sequences"].get_config
    for name in CONFIGS["sequences"].EXPERIMENTS:
        twin = name.replace("mnist", "digits")
        assert twin in CHOSEN and get_config(f"{name},smoke").data.set == get_config(f"{twin},smoke").data.set
