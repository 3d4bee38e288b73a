"""Errors of runs that cannot be exported, and of folders that cannot be written."""

import json

import numpy as np
import pytest

from experiments import engine, export
from experiments.configs import waves
from experiments.waves.specs import FAMILY

FACTS = {"experiment": "waves", "command": "python -m experiments.waves", "commit": None}


def facts(**more):
    config = waves.get_config("smoke")
    config.models = {"cnn_2": {"network": "cnn", "depth": 2}}
    return FACTS | {"format": 2, "config": engine.to_json(engine.complete(config, FAMILY))} | more


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (FACTS, "lacks config, config.models, config.seed, config.seeds"),
        (facts(config={"models": {}, "seed": 0}), "lacks config.seeds"),
        (facts(config={"seeds": 1, "seed": 0}), "lacks config.models"),
        ({"config": facts()["config"]}, "lacks experiment, command, commit"),
        (facts(config=["cnn_2"]), "does not hold a config"),
        ([], "does not hold a config"),
        (facts(), "the training of model cnn_2 is not finished"),
        (facts(experiment="drum"), "belongs to no experiment with an export: drum"),
    ],
)
def test_a_workdir_that_is_not_a_whole_run_is_one_line_and_status_2(stored, message, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert export.main([f"--workdir={tmp_path}", "--model=cnn_2"]) == 2
    err = capsys.readouterr().err
    assert message in err and str(tmp_path) in err and err.startswith("error: ") and err.count("\n") == 1


def trained(experiment, workdir, label):
    number = np.zeros(1, np.int32)
    return engine.Trained(experiment.models[label], None, {"w": np.zeros((1, 2))}, None, number, number)


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/it"])
def test_a_place_that_cannot_be_written_is_one_line_and_status_2(place, tmp_path, capsys, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps(facts()))
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(engine, "load_trained", trained)
    monkeypatch.setattr(export, "scores", lambda *_: {})
    flags = [f"--workdir={tmp_path}", "--model=cnn_2"]
    assert export.main([*flags, f"--out={tmp_path / place}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --out={tmp_path / place} cannot be written: ") and err.count("\n") == 1
    assert export.main([*flags, f"--out={tmp_path / 'new/folder'}"]) == 0
