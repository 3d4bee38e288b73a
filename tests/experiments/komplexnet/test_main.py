"""The KomplexNet experiment from command line to pictures, at its smoke size."""

import itertools
import json

import numpy as np
import pytest
from matplotlib import image

from experiments import engine
from experiments.configs import komplexnet as configs
from experiments.komplexnet import specs
from experiments.komplexnet.specs import FAMILY
from experiments.komplexnet.task import BUILDERS, has_dynamics, has_phases
from tests.experiments.families import draw_nothing, experiment_of

CONFIG = "--config=experiments/configs/komplexnet.py:smoke"
SHOWN = ("komplexnet", "real+digits3")
LATER = ("digits3+grouped8@5", "frames")
SETS = ("test", "overlap", "noise")
SMALL = ("--config.model.channels=2", "--config.data.size=24", "--config.data.test_examples=8")


def command(*arguments):
    return engine.main(FAMILY, list(arguments))


def summary_of(workdir):
    return json.loads((workdir / "summary.json").read_text())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Trained and tested as its config says, and then evaluated on other sets: nothing is compiled for both."""
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    flags = (f"--models={','.join(SHOWN)}", "--config.data.test_videos=2")
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)  # but below, with the other sets
        assert command(CONFIG, f"--workdir={workdir}", *flags, *SMALL) == 0
    before = summary_of(workdir)
    assert command(f"--workdir={workdir}", f"--evaluate={','.join(LATER)}") == 0
    (workdir / "before.json").write_text(json.dumps(before))
    return workdir


def test_summary_has_every_model_split_and_step(workdir):
    summary = json.loads((workdir / "before.json").read_text())
    assert tuple(summary["models"]) == SHOWN
    assert summary["splits"] == [*SETS, *(f"{split} (trained on 3 digits)" for split in SETS)]
    for split, metric in itertools.product(SETS, ("accuracy", "exact_match", "synchrony")):
        (statistics,) = summary["results"][split][metric].values()
        assert np.shape(statistics["values"]) == (2, 3) and statistics["seeds"] == [0, 1]
    for split in SETS:
        three = summary["results"][f"{split} (trained on 3 digits)"]
        assert [(metric, *by_model) for metric, by_model in three.items()] == [
            ("accuracy", "real+digits3"), ("exact_match", "real+digits3"),
        ]  # fmt: skip
        assert np.shape(three["accuracy"]["real+digits3"]["values"]) == (2, 1)
    levels = [summary["chance"][split]["accuracy"] for split in ("test", "test (trained on 3 digits)")]
    assert levels == [0.2, 0.3]
    assert set(summary["best_seed"].values()) <= {0, 1}
    assert (workdir / "summary.md").read_text().count("| komplexnet |") >= 9


def test_a_trained_model_is_tested_on_other_sets(workdir):
    before, summary = json.loads((workdir / "before.json").read_text()), summary_of(workdir)
    for split in before["splits"]:
        assert summary["results"][split] == before["results"][split]
    results = {split: summary["results"][split]["accuracy"] for split in LATER}
    shapes = {split: {model: np.shape(of["values"]) for model, of in found.items()} for split, found in results.items()}
    assert shapes == {
        "digits3+grouped8@5": {"komplexnet": (2, 5), "real+digits3": (2, 1)},
        "frames": dict.fromkeys(SHOWN, (2, 29)),
    }
    again = before["results"]["test (trained on 3 digits)"]["accuracy"]["real+digits3"]["values"]
    assert summary["results"][LATER[0]]["fg_ari"].keys() == {"komplexnet"}
    assert results["digits3+grouped8@5"]["real+digits3"]["values"] == again  # the same scenes, of a model without steps


def test_seeds_differ(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    losses = {
        seed: [x["value"] for x in lines if x["seed"] == seed and x["name"] == "loss" and x["model"] == "komplexnet"]
        for seed in (0, 1)
    }
    assert len(losses[0]) == len(losses[1]) == 8
    assert all(first != second for first, second in zip(losses[0], losses[1], strict=True))


def test_samples_say_what_they_are(workdir):
    with np.load(workdir / "samples" / "komplexnet.npz") as stored:
        arrays = dict(stored)
    meaning = json.loads(str(arrays["meaning"]))
    assert meaning == {"masks": "objects", "targets": "multi_hot", "phases": "nthwc", "first_step": 1}
    assert arrays["set"].tolist() == ["test"] * 4 + ["overlap"] * 2 + ["noise"] * 2
    assert arrays["phases"].shape == (8, 3, 24, 24, 2) and arrays["masks"].shape == (8, 24, 24, 2)
    assert np.all(arrays["targets"].sum(1) == 2)
    assert not (workdir / "samples" / "real+digits3.npz").exists()  # a model without phases


def test_report_only_draws_the_same_again(workdir):
    figures = workdir / "figures"
    sections = [*SETS, *(f"{split}_trained_on_3_digits" for split in SETS), *LATER]
    expected = {f"over_time{best}_{section}" for section in sections for best in ("", "_best")}
    expected |= {f"phases_komplexnet_{split}" for split in SETS} | {f"layers_{split}" for split in SETS}
    expected |= {"learning_curves", "kernel_komplexnet", "channels_komplexnet", "moving", "moving_3_digits"}
    expected |= {"more_steps", "more_steps_3_digits"}
    assert {path.stem for path in figures.glob("*.png")} == expected
    assert [path.name for path in figures.glob("*.gif")] == ["animation_komplexnet.gif"]
    before = {path.name: image.imread(path) for path in figures.glob("*.png")}
    table = (workdir / "summary.md").read_text()
    for path in figures.glob("*.png"):
        path.unlink()
    (workdir / "summary.md").unlink()
    assert command(f"--workdir={workdir}", "--report_only") == 0
    assert (workdir / "summary.md").read_text() == table
    for name, picture in before.items():
        np.testing.assert_array_equal(image.imread(figures / name), picture)
        assert picture.std() > 0.05


@pytest.mark.parametrize("text", ["tset", "noise-1"])
def test_an_unknown_test_set_is_named(workdir, capsys, text):
    assert command(f"--workdir={workdir}", f"--evaluate=test,{text}") == 2
    assert f"no {text!r}; there are: test, overlap[LEVEL]" in capsys.readouterr().err


def test_the_tables_of_an_experiment_become_models_and_tests():
    """Of every experiment, all models on all test sets; what is not compiled here is in `test_task` and `test_data`."""
    for name in configs.EXPERIMENTS:
        experiment = experiment_of(FAMILY, f"{name},smoke")
        for model in experiment.models.values():
            assert set(model.data) == {"train", "validation", *experiment.tests}
            network = BUILDERS[model.table["network"]](model.config)
            assert has_dynamics(network) == (
                model.table["network"] not in ("random", "ideal", "real", "real_large", "vit", "vit_script")
            )
            for label in experiment.tests:
                section = experiment.statistics.section(model.label, label)
                assert section.startswith(label)
                assert 0 < experiment.statistics.chance(model.label, label)["accuracy"] < 1


# One of each kind of test set and of network; all are set up above.
CHOSEN = ("robustness", "larger_baselines", "cifar", "moving", "all")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_experiments_run(name, tmp_path):
    """The last model with dynamics and the last without, on the first and the last of its sets; of all, other ones."""
    experiment = experiment_of(FAMILY, f"{name},smoke")
    networks = {label: BUILDERS[m.table["network"]](m.config) for label, m in experiment.models.items()}
    moving = [label for label, network in networks.items() if has_dynamics(network)]
    models = (moving[-1], *[label for label in networks if label not in moving][-1:])
    first, *_, last = experiment.tests
    tests = (first, last)
    if name == "all":
        models, tests = ("real", "random+digits3", "real+background"), ("test", "digits3", "frames")
    chosen = (
        f"--models={','.join(models)}",
        f"--tests={','.join(tests)}",
        "--config.seeds=1",
        "--config.train.epochs=1",
    )
    flag = f"--config=experiments/configs/komplexnet.py:{name},smoke"
    assert command(flag, f"--workdir={tmp_path}", *chosen, *SMALL) == 0
    summary = summary_of(tmp_path)
    assert tuple(summary["models"]) == models
    assert not summary["missing"]
    for model, split in itertools.product(models, tests):
        table = experiment.tests[split]
        section = specs.section(experiment.config, experiment.models[model].table, split, table)
        mean = np.array(summary["results"][section]["accuracy"][model]["mean"])
        steps = (table["num_steps"] or 3) if has_dynamics(networks[model]) else 1
        assert len(mean) == (29 if table["kind"] in specs.VIDEOS else steps)
        assert np.all((mean >= 0) & (mean <= 1))
    for model in models:
        pictures = list((tmp_path / "figures").glob(f"phases_{model}_*.png"))
        assert bool(pictures) == has_phases(networks[model])
