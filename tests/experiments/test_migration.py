"""Runs from before models and test sets were tables can be reported: old config.json, metrics.jsonl and labels."""

import json
import shutil
from pathlib import Path

import pytest

from experiments import engine
from oscnets import plotting
from tests.experiments.families import FAMILIES

# Run -> test sets that it was also evaluated on, which its config does not name; a section and figures of its report.
RUNS = {
    "komplexnet": (("noise0.2", "test@60"), "noise0.2", {"more_steps.png", "over_time_noise0.2.png"}),
    "komplexnet/generalization": (
        ("overlap+digits3", "noise"),
        "noise (trained on 3 digits)",
        {"digits_accuracy.png", "trained_tested_accuracy.png", "over_time_noise_trained_on_3_digits.png"},
    ),
    "komplexnet/background": ((), "overlap (trained on pictures)", {"over_time_overlap_trained_on_pictures.png"}),
    "komplexnet/feedback_layers": ((), "test", {"over_time_test.png"}),
    "gaspnet/readings": (("gaussian0.15",), "gaussian0.15", {"levels_gaussian.png", "levels_salt_pepper.png"}),
    "gaspnet/multi_mnist": ((), "salt_pepper0.03", {"levels_gaussian.png"}),
    "waves/tetrominoes": ((), "test", {"learning_curves.png"}),
}


def old_lines(config, splits):
    """Accuracy of every model and split, at three steps of the dynamics as three lines each; a loss in training."""
    for model in config["models"]:
        for seed in range(config["seeds"]):
            common = {"model": model, "seed": seed, "step": 10}
            yield common | {"split": "train", "name": "loss", "value": 1.0}
            for split in ("validation", *splits):
                for time in (1, 2, 3):
                    yield common | {"split": split, "name": f"accuracy@{time}", "value": 0.5 + 0.1 * time + 0.01 * seed}


@pytest.mark.parametrize("run", RUNS)
def test_an_old_run_is_reported(run, tmp_path, monkeypatch):
    later, section, figures = RUNS[run]
    drawn = set()
    for save in ("save", "save_animation"):
        monkeypatch.setattr(plotting, save, lambda figure, path, **_: drawn.add(path.name))
    shutil.copy(Path("experiments/results") / run / "config.json", tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    lines = old_lines(stored["config"], (*stored["config"].get("tests", ["test"]), *later))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert engine.main(FAMILIES[stored["experiment"]], [f"--workdir={tmp_path}", "--report_only"]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["models"] == stored["config"]["models"] and not summary["missing"]
    values = [model["mean"] for model in summary["results"][section]["accuracy"].values()]
    assert values and all(len(mean) == 3 and mean[0] < mean[1] < mean[2] for mean in values)
    assert drawn >= figures
