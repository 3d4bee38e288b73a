"""The waves' experiment from command line to pictures, at its smoke size."""

import json
import re

import numpy as np
import pytest

from experiments import engine
from experiments.waves import task
from experiments.waves.figures import tables, wavelengths
from experiments.waves.specs import FAMILY
from tests.experiments.families import CONFIGS, draw_nothing, experiment_of
from tests.helpers import assert_finite

MODELS = ("nwm_linear", "lstm_fft", "cnn_2")


def command(*arguments):
    return engine.main(FAMILY, list(arguments))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    flags = (f"--models={','.join(MODELS)}", "--config.train.epochs=3")
    assert command("--config=experiments/configs/waves.py:smoke", f"--workdir={workdir}", *flags) == 0
    return workdir


def test_a_run_scores_every_model(workdir):
    summary = json.loads((workdir / "summary.json").read_text())
    assert tuple(summary["models"]) == MODELS
    assert not summary["missing"]
    assert set(summary["best_seed"].values()) <= {0, 1}
    assert summary["chance"]["test"]["foreground_accuracy"] == pytest.approx(1 / 6)
    found = summary["results"]["test"]
    assert set(found) == {f"{part}{score}" for part in ("", "foreground_") for score in tables.SCORES}
    for name, by_model in found.items():
        for model in MODELS:
            values = np.array(by_model[model]["values"])
            assert values.shape == (2, 1) and np.isfinite(values).all()
            assert (values >= 0).all() and (name.endswith("loss") or (values <= 1).all())
    for model, entry in summary["training"].items():
        for kind in task.DIFFERENCES:
            measured = f"long_waves_{kind}" in entry["metrics"]["validation"]
            assert measured == model.startswith(("nwm", "lstm"))


def test_tables_are_the_papers(workdir):
    text = (workdir / "tables.md").read_text()
    assert re.search(r"\| cnn_2 \| [\d,]+ \|( \d\.\d+ ± \d\.\d+ \|){3} 0.24 ± 0.08 \| 0.14 ± 0.05", text)
    assert text.count("| cnn_2 |") == 4
    assert text.count("| lstm_fft |") == 4 + 2 * len(task.REPORTED)  # those of the waves too
    assert "nan" not in text


def test_pictures(workdir):
    drawn = {path.name for path in (workdir / "figures").iterdir()}
    expected = {"masks.png", "fields.png", "learning_curves.png", "scores.png"}
    for model in MODELS[:2]:
        expected |= {f"{kind}_{model}.png" for kind in ("states", "features", "kernel", "spectra", "waves")}
        expected.add(f"animation_{model}.gif")
    assert drawn == expected


def test_courses_are_those_logged(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    courses = wavelengths.courses(engine.load_metrics(workdir), MODELS)["lstm_fft"]
    stored = json.loads((workdir / "waves.json").read_text())["lstm_fft"]
    for kind, course in courses.items():
        assert course.steps.tolist() == [0, 1, 2, 4, 6]
        chosen = [x for x in lines if x["model"] == "lstm_fft" and x["name"] == f"long_waves_{kind}"]
        assert len(chosen) == 2 * 5
        for line in chosen:
            at = course.steps.tolist().index(line["step"])
            assert course.shares[line["seed"], at] == pytest.approx(line["value"])
        of_limit = stored[kind]["1.5"]
        assert of_limit["first"] == pytest.approx(course.shares[:, 0, -1])
        assert (of_limit["steps"], of_limit["validations"]) == ([0, 6], 5)
        if None not in of_limit["correlation"]:
            assert of_limit["low"] <= np.mean(of_limit["correlation"]) <= of_limit["high"]


def test_samples_of_a_wave_machine(workdir):
    with np.load(workdir / "samples" / "nwm_linear.npz") as stored:
        arrays = dict(stored)
    assert arrays["states"].shape == (6, 4, 16, 16, 2) and arrays["steps"].tolist() == list(range(1, 7))
    assert arrays["features"].shape == (16, 16, 4, 2)
    assert arrays["spectra"].shape == (6, 4, 2) and arrays["pixels"].sum() == 6 * 16 * 16
    for kind in task.DIFFERENCES:
        assert arrays[f"wavelengths_{kind}/before"].sum() == pytest.approx(1, abs=1e-5)
    assert arrays["labels"][0][tuple(arrays["place"])] > 0
    assert arrays["field"].shape == (16, 16) and arrays["field"].min() >= 0
    assert np.abs(arrays["kernel/after"] - arrays["kernel/before"]).max() > 1e-4
    meaning = json.loads(str(arrays.pop("meaning")))
    assert meaning == {"labels": "nhw", "predictions": "nhw", "targets": "labels", "states": "tnhwc"}
    assert_finite(arrays)


def test_what_is_trained_can_be_measured_again(workdir, monkeypatch, capsys):
    draw_nothing(monkeypatch)
    assert command(f"--workdir={workdir}", "--evaluate=test") == 0
    assert command(f"--workdir={workdir}", "--evaluate=overlap") == 2
    assert "no 'overlap'; there are: test" in capsys.readouterr().err


SMALL = ("--config.seeds=1", "--config.train.epochs=1", "--config.train.batch_size=4")
CHOSEN = {"mnist": "cnn_2", "multi_mnist": "unet_2", "polygons": "nwm_fft"}


def test_every_smoke_size_is_run():
    """By `workdir`, or by the test below."""
    get_config = CONFIGS["waves"].get_config
    ran = [get_config(variant) for variant in ("smoke", *(f"{name},smoke" for name in CHOSEN))]
    assert all(get_config(f"{name},smoke") in ran for name in CONFIGS["waves"].EXPERIMENTS)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in CHOSEN if name != "mnist"]


@pytest.mark.parametrize("name", ["mnist", *SLOW])
def test_experiments_run(name, tmp_path):
    """One of its models, two updates."""
    experiment, model = experiment_of(FAMILY, f"{name},smoke"), CHOSEN[name]
    table = experiment.models[model].table
    flag = f"--config=experiments/configs/waves.py:{name},smoke"
    assert command(flag, f"--workdir={tmp_path}", f"--models={model}", *SMALL) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["models"] == [model] and not summary["missing"]
    means = {metric: by_model[model]["mean"][0] for metric, by_model in summary["results"]["test"].items()}
    assert set(means) == {f"{part}{score}" for part in ("", "foreground_") for score in tables.SCORES}
    assert all(np.isfinite(mean) and 0 <= mean <= (np.inf if "loss" in metric else 1) for metric, mean in means.items())
    assert f"| {model} |" in (tmp_path / "tables.md").read_text()
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn >= {"masks.png", "fields.png", "learning_curves.png"}
    assert (f"spectra_{model}.png" in drawn) == (table["readout"] is not None)
