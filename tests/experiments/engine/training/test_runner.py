"""A whole small experiment through its command line: files, report, and what is refused."""

import collections
import json
import shutil
import signal

import jax
import numpy as np
import pytest

from experiments import engine
from experiments.engine.process.errors import Interrupted
from experiments.engine.record import metrics_log as log
from experiments.engine.run import workdir
from experiments.engine.training import runner
from experiments.engine.training.progress import Progress
from tests.experiments.engine import toy, toy_config

CONFIG = "--config=tests/experiments/engine/toy_config.py:tiny"


@pytest.fixture(scope="module")
def done(tmp_path_factory, request):
    """A finished run; its config is that of the command line `CONFIG --workdir=...`."""
    place = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(request.config.rootpath)
        assert toy.main([CONFIG, f"--workdir={place}"]) == 0
    return place


def test_a_run_leaves_all_that_is_promised(done):
    left = {str(path.relative_to(done)) for path in done.rglob("*") if "checkpoints" not in path.parts}
    assert {
        "config.json",
        "metrics.jsonl",
        "summary.json",
        "summary.md",
        "samples/plain.npz",
        "samples/deep.npz",
    } <= left
    assert any(name.startswith("figures/") and name.endswith(".png") for name in left)
    stored = workdir.load(done, toy.FAMILY)
    assert stored["models"] == ["plain", "deep"]
    assert stored["wall_seconds"] > 0
    assert stored["command"].startswith("python -m experiments.toy --config=")


def test_test_splits_are_measured_with_the_best_parameters(done):
    lines = log.read(done / "metrics.jsonl")
    for model in ("plain", "deep"):
        for seed in (0, 1):
            mine = [e for e in lines if (e["model"], e["seed"]) == (model, seed)]
            scores = {e["step"]: e["value"][-1] for e in mine if (e["split"], e["name"]) == ("validation", "accuracy")}
            best = max(scores, key=scores.get)
            assert {e["step"] for e in mine if e["split"] in ("test", "noise")} == {best}
            with np.load(done / "samples" / f"{model}.npz") as samples:
                assert samples["best_step"][seed] == best


def test_the_samples_hook_sees_the_parameters_before_and_after(done):
    with np.load(done / "samples/plain.npz") as samples:
        before, after = samples["before"], samples["after"]
    assert before.shape == after.shape == (2, toy.SIZE, toy.CLASSES)
    for seed in (0, 1):
        key = jax.random.fold_in(jax.random.key(seed), 0)
        fresh = toy.make_task((), 0.02).init(key)["layer0"]["kernel"]
        np.testing.assert_allclose(before[seed], fresh, rtol=1e-6)
    assert np.abs(before - after).max() > 0.05


@pytest.mark.parametrize("argv", [[], [CONFIG]])
def test_report_only_rebuilds_the_report_and_trains_nothing(done, argv, monkeypatch):
    before = (done / "metrics.jsonl").read_bytes()
    summary = json.loads((done / "summary.json").read_text())
    for path in [done / "summary.json", done / "summary.md", *(done / "figures").iterdir()]:
        path.unlink()
    monkeypatch.setattr(toy, "make_data", None)
    assert toy.main([*argv, f"--workdir={done}", "--report_only"]) == 0
    assert (done / "metrics.jsonl").read_bytes() == before
    assert json.loads((done / "summary.json").read_text()) == summary
    assert list((done / "figures").glob("*.png"))


def test_results_without_a_record_are_drawn_from_the_last_values(done, tmp_path, capsys):
    """Of a kept summary.json; summary and learning curves are not written again."""
    place = tmp_path / "kept"
    place.mkdir()
    for name in ("config.json", "summary.json"):
        shutil.copy(done / name, place)
    recorded, kept = engine.load_metrics(done), engine.load_metrics(place)
    assert kept.keys() == recorded.keys()
    for model, splits in recorded.items():
        assert kept[model].keys() == splits.keys()
        for split, names in splits.items():
            for name in names:
                both = [engine.last_values(metrics, model, split, name) for metrics in (recorded, kept)]
                assert both[0][0] == both[1][0]
                np.testing.assert_array_equal(both[0][1], both[1][1])
                tested = [
                    {seed: [*by_step] for seed, by_step in m[model][split][name].items()} for m in (recorded, kept)
                ]
                assert split in engine.TRAINING_SPLITS or tested[0] == tested[1]
    drawn = []
    experiment = engine.experiment_of(toy.FAMILY, place)._replace(figures=drawn.append)
    engine.report(experiment, place)
    assert drawn == [place] and {path.name for path in place.iterdir()} == {"config.json", "summary.json"}
    assert "summary and learning curves stay as they are" in capsys.readouterr().err
    (place / "summary.json").write_text("{}")
    with pytest.raises(engine.RunError, match=r"summary\.json is damaged"):
        engine.load_metrics(place)


def test_a_finished_run_asks_for_no_data(done, monkeypatch):
    monkeypatch.setattr(toy, "make_data", None)
    assert toy.main([CONFIG, f"--workdir={done}"]) == 0


@pytest.mark.parametrize("more", [[], ["--report_only"]])
def test_a_workdir_of_another_config_is_refused_with_the_difference(done, capsys, more):
    before = sorted((path, path.stat().st_mtime_ns) for path in done.rglob("*") if path.is_file())
    assert toy.main([CONFIG, f"--workdir={done}", "--config.hidden=6", *more]) == 2
    err = capsys.readouterr().err
    assert "config.hidden: 5 there, 6 here" in err
    assert "seeds" not in err
    assert sorted((path, path.stat().st_mtime_ns) for path in done.rglob("*") if path.is_file()) == before


def test_lost_metrics_are_measured_again(done, tmp_path):
    (done / "metrics.jsonl").rename(tmp_path / "kept")
    try:
        assert Progress.read(done, "plain", 2).missing(["test", "noise"]) == ["test", "noise"]
    finally:
        (tmp_path / "kept").rename(done / "metrics.jsonl")
    assert Progress.read(done, "plain", 2).missing(["test", "noise", "other"]) == ["other"]


def test_more_test_sets_are_measured_without_training(done, tmp_path, capsys):
    place = tmp_path / "copy"
    shutil.copytree(done, place)
    before = log.read(place / "metrics.jsonl")
    assert toy.main([f"--workdir={place}", "--evaluate=noise3,noise4"]) == 0
    lines = log.read(place / "metrics.jsonl")
    assert lines[: len(before)] == before
    assert {(e["model"], e["split"]) for e in lines[len(before) :]} == {
        (model, split) for model in ("plain", "deep") for split in ("noise3", "noise4")
    }
    found = {
        split: [
            e["value"] for e in lines if (e["model"], e["seed"], e["split"], e["name"]) == ("deep", 1, split, "loss")
        ]
        for split in ("noise", "noise3", "noise4")
    }
    assert all(len(values) == 1 for values in found.values())
    assert len({values[0] for values in found.values()}) == 3
    assert "noise3" in json.loads((place / "summary.json").read_text())["splits"]
    assert toy.main([f"--workdir={place}", "--evaluate=noise4"]) == 0
    assert log.read(place / "metrics.jsonl") == lines


def test_only_trained_models_are_evaluated(done, tmp_path, capsys):
    place = tmp_path / "copy"
    shutil.copytree(done, place)
    (place / "checkpoints/deep/done.json").unlink()
    assert toy.main([f"--workdir={place}", "--evaluate=noise3"]) == 0
    assert "not trained yet, passed over: deep" in capsys.readouterr().err
    assert {e["model"] for e in log.read(place / "metrics.jsonl") if e["split"] == "noise3"} == {"plain"}
    (place / "checkpoints/plain/done.json").unlink()
    assert toy.main([f"--workdir={place}", "--evaluate=noise3"]) == 2
    assert "no model has finished its training yet" in capsys.readouterr().err


def start(tmp_path, data):
    """The toy experiment with other data."""

    def experiment(config, tests):
        made = toy.experiment(config, tests)
        return made._replace(models={label: model._replace(data=data) for label, model in made.models.items()})

    return engine.main(toy.FAMILY._replace(experiment=experiment), [CONFIG, f"--workdir={tmp_path}"])


def missing():
    raise FileNotFoundError("no data set 'mnist' under /data: expected a prepared folder")


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (
            {"train": missing, "validation": missing},
            1,
            "cannot load the data: FileNotFoundError: no data set 'mnist' under /data",
        ),
        ({"train": {"x": np.zeros(99)}}, 1, "no split 'validation'; it has train"),
        ({"train": {"x": np.zeros(99), "y": np.zeros(98)}, "validation": {"x": np.zeros(9)}}, 1, "one leading length"),
        ({"train": {"x": np.zeros(99)}, "validation": {"x": np.zeros(0)}}, 1, r"split 'validation'"),
        ({"train": {"x": np.zeros(5)}, "validation": {"x": np.zeros(9)}}, 2, "batch_size=8: expected at most the 5"),
    ],
)
def test_data_that_cannot_be_used_is_one_line(tmp_path, capsys, data, status, said):
    assert start(tmp_path, data) == status
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_a_report_without_metrics_is_refused(tmp_path, capsys):
    assert start(tmp_path, {"train": missing, "validation": missing}) == 1
    assert toy.main([f"--workdir={tmp_path}", "--report_only"]) == 2
    assert "has no metrics to report yet" in capsys.readouterr().err


def test_a_stopped_run_reports_what_it_has(tmp_path, monkeypatch, capsys):
    """A signal in the second model's training: the first is reported."""

    def stopped(*_, **__):
        (tmp_path / "metrics.jsonl").write_text(
            json.dumps(log.line("plain", 0, 4, "validation", "accuracy", 0.5)) + "\n"
        )
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(runner, "_run_models", stopped)
    assert start(tmp_path, {"train": missing, "validation": missing}) == 130
    assert "plain" in (tmp_path / "summary.md").read_text()
    assert "continues" in capsys.readouterr().err


def test_a_stopped_run_with_nothing_to_report_still_exits_130(tmp_path, monkeypatch, capsys):
    def stopped(*_, **__):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(runner, "_run_models", stopped)
    assert start(tmp_path, {"train": missing, "validation": missing}) == 130
    assert "no report of the unfinished run" in capsys.readouterr().err


def test_what_was_evaluated_before_is_reported_as_what_it_is(done, tmp_path):
    """Chance levels and sections are made of tables, which config.json keeps also of other calls."""
    place = tmp_path / "copy"
    shutil.copytree(done, place)
    assert toy.main([f"--workdir={place}", "--evaluate=noise3", "--config.models.deep.label=x"]) == 2
    assert toy.main([f"--workdir={place}", "--evaluate=noise3,test"]) == 0
    assert toy.main([CONFIG, "--models=deep", "--tests=test", f"--workdir={place}"]) == 0
    experiment = engine.experiment_of(toy.FAMILY, place)
    assert list(experiment.models) == ["deep", "plain"] and list(experiment.tests) == ["test", "noise", "noise3"]
    assert experiment.tests["noise3"] == {"label": None, "kind": "noise", "level": 3}
    assert engine.load_config(place)["models"] == ["deep"]


def test_test_sets_of_a_run_without_tables_are_understood_from_their_labels(done, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(done, place)
    stored = workdir.load(place)
    stored["config"] |= {"models": ["plain"], "tests": ["test"], "cpu_devices": 0}
    del stored["format"]
    (place / "config.json").write_text(json.dumps(stored))
    with open(place / "metrics.jsonl", "a") as file:
        for split in ("noise7", "elsewhere"):
            file.write(json.dumps(log.line("plain", 0, 9, split, "accuracy", 0.5)) + "\n")
    experiment = engine.experiment_of(toy.FAMILY, place)
    assert list(experiment.models) == ["plain", "deep"] and list(experiment.tests) == ["test", "noise", "noise7"]
    assert experiment.tests["noise7"]["level"] == 7
    assert toy.main([f"--workdir={place}", "--report_only"]) == 0
    assert json.loads((place / "summary.json").read_text())["splits"] == ["test", "noise", "noise7", "elsewhere"]


def test_an_older_run_continues_with_lines_of_both_forms(done, tmp_path, monkeypatch):
    """Its metrics have one line per step of the dynamics, which its done.json counts; nothing is measured again."""
    place = tmp_path / "copy"
    shutil.copytree(done, place)
    lines = [old for line in log.read(place / "metrics.jsonl") for old in by_step(line)]
    (place / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for model in ("plain", "deep"):
        path = place / "checkpoints" / model / "done.json"
        counts = collections.Counter(
            e["split"] for e in lines if e["model"] == model and e["split"] in ("test", "noise")
        )
        path.write_text(json.dumps(json.loads(path.read_text()) | {"lines": counts}))
    assert toy.main([f"--workdir={place}", "--evaluate=noise3"]) == 0
    after = log.read(place / "metrics.jsonl")
    assert after[: len(lines)] == lines and {e["split"] for e in after[len(lines) :]} == {"noise3"}
    results = json.loads((place / "summary.json").read_text())["results"]
    assert results["test"] == json.loads((done / "summary.json").read_text())["results"]["test"]
    assert results["noise3"]["accuracy"]["deep"]["steps"] == [1, 2]


def by_step(line):
    timed = enumerate(line["value"], 1) if isinstance(line["value"], list) else ()
    return [{**line, "name": f"{line['name']}@{t}", "value": value} for t, value in timed] or [line]


def test_a_trained_model_is_loaded(done):
    experiment = engine.experiment_of(toy.FAMILY, done)
    trained = engine.load_trained(experiment, done, "deep")
    with np.load(done / "samples/deep.npz") as samples:
        np.testing.assert_array_equal(trained.params["layer0"]["kernel"], samples["after"])
        np.testing.assert_array_equal(trained.best_step, samples["best_step"])
    assert trained.model.table["network"] == "deep" and trained.seeds.tolist() == [0, 1]


def test_without_a_command_line(tmp_path, monkeypatch):
    """As in a notebook: no config file, no lock."""
    monkeypatch.setattr(runner, "report", lambda *_: None)
    config = engine.complete(toy_config.get_config("tiny"), toy.FAMILY)
    engine.run(
        toy.experiment(config, engine.tables(config, "tests")), tmp_path / "run", models=["plain"], tests=["test"]
    )
    lines = log.read(tmp_path / "run/metrics.jsonl")
    assert {(e["model"], e["split"]) for e in lines} == {("plain", split) for split in ("train", "validation", "test")}
