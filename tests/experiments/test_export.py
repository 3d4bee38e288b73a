"""What is said of a run that cannot be exported, and of a place that cannot be written."""

import json

import numpy as np
import pytest

from experiments import export
from experiments.configs import waves
from experiments.engine.run import config as config_lib

FACTS = {"experiment": "waves", "command": "python -m experiments.waves", "commit": None}


def facts(**more):
    return FACTS | {"config": config_lib.to_json(waves.get_config("smoke")) | {"models": ["cnn_2"]}} | more


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (FACTS, "lacks config, config.models, config.seed, config.seeds"),
        (facts(config={"models": ["cnn_2"], "seed": 0}), "lacks config.seeds"),
        (facts(config={"seeds": 1, "seed": 0}), "lacks config.models"),
        ({"config": facts()["config"]}, "lacks experiment, command, commit"),
        (facts(config=["cnn_2"]), "does not hold a config"),
        ([], "does not hold a config"),
        (facts(), "model 'cnn_2' of"),
    ],
)
def test_a_workdir_that_is_not_a_whole_run_is_one_line_and_status_2(stored, said, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert export.main([f"--workdir={tmp_path}", "--model=cnn_2"]) == 2
    err = capsys.readouterr().err
    assert said in err and str(tmp_path) in err and err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/it"])
def test_a_place_that_cannot_be_written_is_one_line_and_status_2(place, tmp_path, capsys, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps(facts()))
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(export.Progress, "read", lambda *_: True)
    monkeypatch.setattr(export, "_best", lambda *_: ({"w": np.zeros(2)}, 3))
    monkeypatch.setattr(export, "scores", lambda *_: {})
    flags = [f"--workdir={tmp_path}", "--model=cnn_2"]
    assert export.main([*flags, f"--out={tmp_path / place}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --out={tmp_path / place} cannot be written: ") and err.count("\n") == 1
    assert export.main([*flags, f"--out={tmp_path / 'new/folder'}"]) == 0
