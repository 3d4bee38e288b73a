"""The KomplexNet experiment from command line to pictures, at its smoke size."""

import json

import numpy as np
import pytest
from matplotlib import image

from data_gen import multi_mnist
from experiments import engine, komplexnet
from experiments.configs import komplexnet as configs

CONFIG = "--config=experiments/configs/komplexnet.py:smoke"
SHOWN = ("komplexnet", "ideal", "real")


def command(*arguments):
    return engine.main(komplexnet.run, name="komplexnet", validate=komplexnet.validate, argv=list(arguments))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    assert command(CONFIG, f"--workdir={workdir}", f"--config.models={SHOWN}") == 0
    return workdir


def test_summary_has_every_model_split_and_step(workdir):
    summary = json.loads((workdir / "summary.json").read_text())
    assert tuple(summary["models"]) == SHOWN
    assert not summary["missing"]
    for split in ("test", "overlap", "noise"):
        for metric in ("accuracy", "exact", "synchrony"):
            by_model = summary["results"][split][metric]
            assert set(by_model) == set(SHOWN) - ({"real"} if metric == "synchrony" else set())
            for model, statistics in by_model.items():
                assert np.shape(statistics["values"]) == ((2, 3) if model == "komplexnet" else (2, 1))
                assert statistics["seeds"] == [0, 1]
    np.testing.assert_allclose(summary["results"]["test"]["synchrony"]["ideal"]["mean"], 0, atol=1e-6)
    assert (workdir / "summary.md").read_text().count("| komplexnet |") >= 9


def test_seeds_differ(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    losses = {
        seed: [x["value"] for x in lines if x["seed"] == seed and x["name"] == "loss" and x["model"] == "komplexnet"]
        for seed in (0, 1)
    }
    assert len(losses[0]) == len(losses[1]) == 8
    assert all(first != second for first, second in zip(losses[0], losses[1], strict=True))


def test_report_only_draws_the_same_again(workdir):
    figures = workdir / "figures"
    expected = {f"over_time_{split}" for split in ("test", "overlap", "noise")} | {"learning_curves"}
    for model in ("komplexnet", "ideal"):
        expected |= {f"phases_{model}_{split}" for split in ("test", "overlap", "noise")} | {f"channels_{model}"}
    expected.add("kernel_komplexnet")
    assert {path.stem for path in figures.glob("*.png")} == expected
    before = {path.name: image.imread(path) for path in figures.glob("*.png")}
    table = (workdir / "summary.md").read_text()
    for path in figures.glob("*.png"):
        path.unlink()
    (workdir / "summary.md").unlink()
    assert command(CONFIG, f"--workdir={workdir}", f"--config.models={SHOWN}", "--report_only") == 0
    assert (workdir / "summary.md").read_text() == table
    for name, picture in before.items():
        np.testing.assert_array_equal(image.imread(figures / name), picture)
        assert picture.std() > 0.05


def test_splits_are_what_they_are_called():
    data = komplexnet.load_data(configs.get_config("smoke"))
    assert [len(data[split]["images"]) for split in ("train", "validation", "test")] == [32, 8, 16]
    assert not np.any(data["train"]["overlap"])
    assert np.all(np.any(data["overlap"]["overlap"], axis=(1, 2)))
    np.testing.assert_array_equal(data["noise"]["targets"], data["test"]["targets"])
    assert 0.1 < np.abs(data["noise"]["images"] - data["test"]["images"]).mean() < 0.3
    assert np.all(data["train"]["targets"].sum(1) == 2)


def test_splits_share_no_digit(monkeypatch):
    bases = []

    def record(base, **settings):
        bases.append({image.tobytes() for image in base.images})
        return generate(base, **settings)

    generate = multi_mnist.generate
    monkeypatch.setattr(multi_mnist, "generate", record)
    komplexnet.load_data(configs.get_config("smoke"))
    train, validation, test, overlap = bases
    assert test == overlap
    assert len(train) + len(validation) + len(test) == 1797  # all of them, and no two alike
    assert not train & validation
    assert not (train | validation) & test
