"""The comparison from command line to table, at its smoke size."""

import json

import numpy as np
import pytest

from experiments import engine
from experiments.compare.specs import FAMILY
from tests.experiments.families import CONFIGS, draw_nothing

SMALL = ("--config.seeds=1", "--config.mesh=1x1", "--config.train.epochs=1")
CHOSEN = {"digits": "komplexnet,cnn_8", "tetrominoes": "gaspnet,baseline,nwm_linear"}


def run(name, workdir, *flags):
    words = [f"--config=experiments/configs/compare.py:{name},smoke", f"--models={CHOSEN[name]}"]
    assert engine.main(FAMILY, [*words, f"--workdir={workdir}", *SMALL, *flags]) == 0
    return json.loads((workdir / "summary.json").read_text())


@pytest.mark.parametrize("name", ["digits", pytest.param("tetrominoes", marks=pytest.mark.slow)])
def test_networks_are_compared_from_command_line_to_table(name, tmp_path, monkeypatch):
    tests = "test,groups_overlap" if name == "digits" else "test,groups_noise"
    summary, labels = run(name, tmp_path, f"--tests={tests}"), CHOSEN[name].split(",")
    assert summary["models"] == labels and not summary["missing"]
    clean, grouped = (summary["results"][split] for split in tests.split(","))
    assert set(clean["accuracy"]) == set(grouped["fg_ari"]) == set(labels)
    assert set(grouped["pixels_fg_ari"]) == set(labels)
    assert all(0 <= by_model["mean"][-1] <= 1 for by_model in clean["accuracy"].values())
    segmenters = {label for label in labels if label.startswith(("nwm", "cnn", "unet"))}
    assert set(clean["foreground_accuracy"]) == segmenters
    assert set(clean.get("order", {})) == set(labels) & {"komplexnet", "gaspnet"}
    with np.load(tmp_path / "samples" / f"{labels[0]}.npz") as stored:
        assert stored["images"].shape[:3] == stored["groups"].shape == stored["objects"].shape == (3, 16, 16)
    assert (tmp_path / "figures" / "groups.png").is_file()
    rows = [line.split(" | ") for line in (tmp_path / "tables.md").read_text().splitlines()]
    assert [row[0].strip("| ") for row in rows[2:]] == [*labels, "the image alone"]
    assert len({len(row) for row in rows}) == 1
    spent = json.loads((tmp_path / "speed.json").read_text())
    assert set(spent) == set(labels) and all(min(rounds) > 0 for rounds in spent.values())
    texts = {name: (tmp_path / name).read_text() for name in ("summary.json", "tables.md", "speed.json")}
    draw_nothing(monkeypatch)
    assert engine.main(FAMILY, [f"--workdir={tmp_path}", "--report_only"]) == 0
    assert {name: (tmp_path / name).read_text() for name in texts} == texts


def test_every_experiment_is_run():
    assert set(CHOSEN) == set(CONFIGS["compare"].EXPERIMENTS)
