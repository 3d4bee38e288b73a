"""The KomplexNet experiment from command line to pictures, at its smoke size."""

import itertools
import json
import shutil

import numpy as np
import pytest
from matplotlib import image

from data_gen import multi_mnist
from experiments import engine
from experiments.configs import komplexnet as configs
from experiments.komplexnet import main, names, settings
from experiments.komplexnet.data import Data

CONFIG = "--config=experiments/configs/komplexnet.py:smoke"
SHOWN = ("komplexnet", "ideal", "real")


def command(*arguments):
    return engine.main(main.run, name="komplexnet", validate=settings.validate, argv=list(arguments))


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
        for metric in ("accuracy", "exact_match", "synchrony"):
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
    expected = {f"over_time{best}_{split}" for split in ("test", "overlap", "noise") for best in ("", "_best")}
    expected |= {"learning_curves"}
    for model in ("komplexnet", "ideal"):
        expected |= {f"phases_{model}_{split}" for split in ("test", "overlap", "noise")} | {f"channels_{model}"}
    expected |= {f"layers_{split}" for split in ("test", "overlap", "noise")} | {"kernel_komplexnet"}
    assert {path.stem for path in figures.glob("*.png")} == expected
    assert [path.name for path in figures.glob("*.gif")] == ["film_komplexnet.gif"]
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


def splits(model, *tests):
    return {name: load() for name, load in Data(configs.get_config("smoke")).of_model(model, tests).items()}


def test_splits_are_what_they_are_called():
    data = splits("komplexnet", "test", "overlap", "noise")
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
    splits("komplexnet", "test", "overlap")
    train, validation, test, overlap = bases
    assert test == overlap
    assert len(train) + len(validation) + len(test) == 1797  # all of them, and no two alike
    assert not train & validation
    assert not (train | validation) & test


def test_scenes_of_other_models_and_sets():
    data = splits("real@3", "test", "digits2", "digits5")
    counts = {name: scenes["targets"].sum(1) for name, scenes in data.items()}
    expected = {"train": 3, "validation": 3, "test": 3, "digits2": 2, "digits5": 5}
    assert {name: set(count) for name, count in counts.items()} == {name: {n} for name, n in expected.items()}
    assert data["digits5"]["masks"].shape == (16, 32, 32, 5)


def test_pictures_lie_behind_all_scenes_of_a_model_that_is_trained_so():
    plain, pictured = splits("real", "test", "noise"), splits("real@background", "test", "noise")
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(plain[name]["masks"], pictured[name]["masks"])
        assert np.all(plain[name]["images"] <= pictured[name]["images"])
        assert np.mean(plain[name]["images"] > 0) < 0.5 < 0.9 < np.mean(pictured[name]["images"] > 0)
    assert np.std(pictured["noise"]["images"] - pictured["test"]["images"]) > 0.1


def test_any_model_on_scenes_of_any_other():
    plain, three, pictured = (
        splits(
            model, "test", "noise", "noise+digits3", "overlap0.6", "overlap0.6+digits2", "test+background", "test+plain"
        )
        for model in ("real", "real@3", "real@background")
    )
    same = [
        (plain["noise+digits3"], three["noise"]),
        (plain["overlap0.6"], three["overlap0.6+digits2"]),
        (plain["test+background"], pictured["test"]),
        (plain["test"], pictured["test+plain"]),
    ]
    for first, second in same:
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])
    assert not np.array_equal(plain["test"]["images"], plain["test+background"]["images"])


def test_levels_other_than_the_configs():
    data = splits("real", "test", "noise0", "noise", "noise0.4", "overlap0.1", "overlap0.9")
    spread = [np.abs(data[name]["images"] - data["test"]["images"]).mean() for name in ("noise0", "noise", "noise0.4")]
    assert spread[0] == 0 < 1.5 * spread[1] < spread[2]
    shares = [data[name]["overlap"].mean() for name in ("overlap0.1", "overlap0.9")]
    assert 0 < 3 * shares[0] < shares[1]


def test_videos_are_the_same_from_either_end():
    data = splits("real", "moving", "moving_backwards", "frames")
    forwards, backwards = data["moving"], data["moving_backwards"]
    assert forwards["images"].shape == (8, 29, 32, 32, 1)
    for name in ("images", "masks", "overlap"):
        np.testing.assert_array_equal(forwards[name][:, ::-1], backwards[name])
        np.testing.assert_array_equal(forwards[name], data["frames"][name])
    met = forwards["overlap"].sum((0, 2, 3))
    assert met[14] == met.max() > 0 == met[0] == met[-1]
    assert np.all(forwards["targets"].sum(1) == 2)


SMALL = ("--config.seeds=1", "--config.train.epochs=1", "--config.data.test_examples=8", "--config.data.test_videos=2")


@pytest.mark.parametrize("experiment", configs.EXPERIMENTS)
def test_experiments_run(experiment, tmp_path):
    """The last model with dynamics and the last without, on the first and the last of its sets; of all, other ones."""
    config = configs.get_config(experiment)
    moving = [model for model in config.models if names.model(model).network in names.FEEDBACK]
    models = (moving[-1], *[model for model in config.models if model not in moving][-1:])
    tests = (config.tests[0], config.tests[-1])
    if experiment == "all":
        models, tests = ("real", "random@3", "real@background"), ("test", "digits3", "frames")
    chosen = (f"--config.models={models}", f"--config.tests={tests}")
    flag = f"--config=experiments/configs/komplexnet.py:{experiment},smoke"
    assert command(flag, f"--workdir={tmp_path}", *chosen, *SMALL) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert tuple(summary["models"]) == models
    assert not summary["missing"]
    for model, split in itertools.product(models, tests):
        found = summary["results"][names.section(model, split, 2)]["accuracy"][model]
        assert len(found["mean"]) == steps(model, split)
        assert np.all((np.array(found["mean"]) >= 0) & (np.array(found["mean"]) <= 1))
    for model in models:
        pictured = list((tmp_path / "figures").glob(f"phases_{model}_*.png"))
        assert bool(pictured) == (names.model(model).network in names.COMPLEX)


def test_only_models_that_saw_the_same_scenes_are_compared():
    models = ("real", "real@2", "real@3", "real@background")
    sections = {split: [names.section(model, split, 2) for model in models] for split in ("noise", "digits3", "frames")}
    assert sections == {
        "noise": ["noise", "noise", "noise_of_@3", "noise_of_@background"],
        "digits3": ["digits3", "digits3", "digits3", "digits3_of_@background"],
        "frames": ["frames"] * 4,
    }
    assert names.section("komplexnet@2", "test@60", 3) == "test@60_of_@2"
    assert names.section("real@3", "noise+digits3", 2) == "noise+digits3"
    assert names.section("real@3", "overlap+background", 2) == "overlap+background_of_@3"
    assert names.section("real@background", "digits5+plain", 2) == "digits5+plain"
    guessed = [
        names.digits_in(model, split, 4) for model in models[1:] for split in ("validation", "digits5", "frames@3")
    ]
    assert guessed == [2, 5, 2, 3, 5, 2, 4, 5, 2]


def test_every_scene_has_the_colours_that_the_model_was_trained_in():
    config = configs.get_config("smoke")
    config.data.colour = True
    tests = ("test", "frames", "noise+plain", "digits3+background")
    channels = {
        model: {Data(config).of_model(model, tests)[name]()["images"].shape[-1] for name in tests}
        for model in ("real@background", "real")
    }
    assert channels == {"real@background": {3}, "real": {1}}


def steps(model, split):
    test = names.test_set(split)
    if test.kind in names.VIDEOS:
        return 29
    return (test.num_steps or 3) if names.model(model).network in names.FEEDBACK else 1


def test_a_trained_model_is_tested_on_other_sets(workdir, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(workdir, place)
    assert command(f"--workdir={place}", "--evaluate=test@5,digits3") == 0
    results = json.loads((place / "summary.json").read_text())["results"]
    before = json.loads((workdir / "summary.json").read_text())["results"]
    assert results["test"] == before["test"]
    assert np.shape(results["test@5"]["accuracy"]["komplexnet"]["values"]) == (2, 5)
    assert results["test@5"]["accuracy"]["real"]["values"] == before["test"]["accuracy"]["real"]["values"]
    assert set(results["digits3"]["accuracy"]) == set(SHOWN)


def test_an_unknown_test_set_is_named(workdir, capsys):
    assert command(f"--workdir={workdir}", "--evaluate=test,tset") == 2
    assert "no test set 'tset': expected one of test, overlap" in capsys.readouterr().err
