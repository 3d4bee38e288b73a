"""Whether the phases of the packaged networks part two digits."""

import json

import numpy as np

from experiments import separation
from experiments.configs import gaspnet as gaspnet_configs
from experiments.configs import komplexnet as komplexnet_configs
from oscnets import weights

SCENES = 4
SMALL = {"komplexnet": komplexnet_configs, "gaspnet": gaspnet_configs}


def test_networks_are_measured_by_the_same_scores(tmp_path, monkeypatch, capsys):
    """On scenes of the 8 x 8 digits, which need no download; with a picture of phases."""
    cases = [
        case._replace(config=SMALL[case.network].get_config("smoke"), tests={"overlap": "overlap"}, drawn=("overlap",))
        if case.network == "komplexnet"
        else case._replace(config=SMALL[case.network].get_config("smoke"), tests={"two digits": "test"})
        for case in separation.CASES
    ]
    for case in cases:
        case.config.model.num_steps = weights.pretrained(case.network).module.num_steps
        case.config.train.num_examples = 40
    monkeypatch.setattr(separation, "CASES", cases)
    assert separation.main([f"--workdir={tmp_path}", f"--scenes={SCENES}"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("separation.json", "separation.md", "phases_komplexnet_overlap.png")
    }
    content = json.loads((tmp_path / "separation.json").read_text())
    komplexnet, gaspnet = content["rows"]
    shared = {"accuracy", "synchrony", "order", "separation", "fg_ari"}
    assert komplexnet.keys() - gaspnet.keys() == {"overlap_order", "overlap_distance"}
    assert gaspnet.keys() == {"network", "scenes", *shared}
    for row in (komplexnet, gaspnet):
        assert {len(row[score]) for score in shared} == {SCENES}
        assert 0 <= np.min(row["order"]) <= np.max(row["order"]) <= 1
        assert 0 <= np.min(row["separation"]) <= np.max(row["separation"]) <= np.pi + 1e-5
    text = (tmp_path / "separation.md").read_text()
    assert text in capsys.readouterr().out
    cases[0].config.model.rate = 0.5
    assert separation.main([f"--workdir={tmp_path}"]) == 2
    assert "the packaged komplexnet has" in capsys.readouterr().err
    assert f"{np.mean(gaspnet['order']):.3f} ± {np.std(gaspnet['order'], ddof=1):.3f}" in text


def test_a_folder_without_the_data_set_is_an_error_of_one_line(tmp_path, capsys):
    assert separation.main([f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert f"MissingDatasetError: data set 'mnist' not found in {tmp_path}" in error and error.count("\n") == 1


def test_values_are_those_of_the_last_step():
    values, where = np.array([[[0.1, 0.2], [0.3, 0.4]]]), np.array([[[True, True], [True, False]]])
    assert separation._of_scenes(values) == [0.2, 0.4]
    assert separation._of_scenes(separation.engine.Measured(values, where)) == [0.2, None]
    assert separation._of_scenes(values[..., 0]) == [0.1, 0.3]
