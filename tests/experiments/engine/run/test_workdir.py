"""The folder of a run: one config, one process."""

import json
import os

import pytest

from experiments import engine
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.run import workdir
from tests.experiments.engine import toy, toy_config

FAMILY = toy.FAMILY


@pytest.fixture
def config():
    return engine.complete(toy_config.get_config("tiny"), FAMILY)


def claim(place, config, **options):
    with workdir.claim(place, config, FAMILY, **options):
        pass


def content(place):
    return json.loads((place / "config.json").read_text())


def test_config_json_holds_config_versions_device_and_commit(tmp_path, config):
    place = tmp_path / "deep" / "down"
    claim(place, config, variant="tiny")
    stored = workdir.load(place, FAMILY)
    assert stored == content(place)
    assert (stored["config"]["widths"], stored["config"]["data"]) == ([4, 2], {"dir": None})
    assert list(stored["config"]["models"]) == ["plain", "deep"], "in the order of the config"
    assert engine.from_json(stored["config"], FAMILY).to_dict() == config.to_dict()
    assert (stored["experiment"], stored["variant"], stored["format"]) == ("toy", "tiny", 2)
    assert {"python", "jax", "flax", "optax", "orbax-checkpoint", "numpy"} <= set(stored["versions"])
    assert stored["device"] == {"platform": "cpu", "kind": "cpu", "count": 4}
    assert "commit" in stored


def test_a_stored_config_is_a_config_of_the_same_types(tmp_path, config):
    config.cpu_devices, config.models.deep.train.epochs = 4, 7
    restored = engine.from_json(engine.to_json(config), FAMILY)
    assert restored.is_locked and restored.to_dict() == config.to_dict()
    assert isinstance(restored.widths, tuple)
    with restored.unlocked(), pytest.raises(TypeError):
        restored.models.deep.train.epochs = "many"


@pytest.mark.parametrize(
    "stored", [{"train": {"a.b": 1}}, {"seeds": "many"}, {"train": 3}, {"models": {"deep": {"network": 3}}}]
)
def test_a_stored_config_that_cannot_be_one(stored):
    with pytest.raises((RunError, UsageError), match=r"stored config is damaged|expected a value of type str"):
        engine.from_json(stored, FAMILY)


def test_another_config_is_refused_with_the_differences(tmp_path, config):
    claim(tmp_path, config)
    before = (tmp_path / "config.json").read_bytes()
    config.update(widths=(4, 3), hidden=6)
    config.train.epochs = 4
    with pytest.raises(UsageError) as refused:
        claim(tmp_path, config, may_change=engine.MAY_CHANGE)
    message = str(refused.value)
    assert "config.train.epochs: 2 there, 4 here" in message
    assert "config.widths: [4, 2] there, [4, 3] here" in message
    assert "config.hidden: 5 there, 6 here" in message
    assert "seeds" not in message and "rate" not in message
    assert (tmp_path / "config.json").read_bytes() == before


def test_another_experiment_is_refused(tmp_path, config):
    claim(tmp_path, config)
    with (
        pytest.raises(UsageError, match="another experiment: toy, not other"),
        workdir.claim(tmp_path, config, FAMILY._replace(name="other")),
    ):
        pass


def test_the_data_may_lie_elsewhere(tmp_path, config, capsys):
    claim(tmp_path, config)
    config.data.dir = "/data"
    claim(tmp_path, config, may_change=engine.MAY_CHANGE)
    assert content(tmp_path)["config"]["data"] == {"dir": "/data"}
    assert "was started with config.data.dir None, now '/data'" in capsys.readouterr().err
    config.data.dir = "/other"
    with pytest.raises(UsageError, match=r"config\.data\.dir: /data there, /other here"):
        workdir.compare(tmp_path, config, FAMILY)


def test_tables_may_be_added_and_left_out_and_stay_known(tmp_path, config, capsys):
    claim(tmp_path, config)
    del config.models["plain"]
    config.tests = {"noise3": {"kind": "noise", "level": 3}, **engine.tables(config, "tests")}
    engine.complete(config, FAMILY)
    claim(tmp_path, config, may_change=engine.MAY_CHANGE)
    said = capsys.readouterr().err
    assert "config.models ['plain', 'deep'], now ['deep']" in said
    assert "config.tests ['test', 'noise'], now ['noise3', 'test', 'noise']" in said
    stored = content(tmp_path)
    assert list(stored["config"]["models"]) == ["deep"] and stored["earlier"]["tests"] == {}
    assert stored["earlier"]["models"]["plain"]["network"] == "plain"
    assert list(workdir.all_tables(stored, "models")) == ["deep", "plain"]
    with pytest.raises(UsageError, match=r"config\.models: \['deep'\] there, \['plain', 'deep'\] here"):
        workdir.compare(tmp_path, engine.complete(toy_config.get_config("tiny"), FAMILY), FAMILY)
    # Back again, as it was.
    claim(tmp_path, engine.complete(toy_config.get_config("tiny"), FAMILY), may_change=engine.MAY_CHANGE)
    assert content(tmp_path)["earlier"] == {
        "models": {},
        "tests": {"noise3": workdir.all_tables(stored, "tests")["noise3"]},
    }


@pytest.mark.parametrize("earlier", [False, True])
def test_a_table_that_the_run_has_or_had_may_not_change(tmp_path, config, earlier):
    claim(tmp_path, config)
    if earlier:
        without = config.copy_and_resolve_references()
        del without.models["deep"], without.tests["noise"]
        claim(tmp_path, without, may_change=engine.MAY_CHANGE)
    config.models.deep.train.epochs, config.tests.noise.level = 9, 4
    with pytest.raises(UsageError) as refused:
        claim(tmp_path, config, may_change=engine.MAY_CHANGE)
    assert "config.models.deep.train.epochs: None there, 9 here" in str(refused.value)
    assert "config.tests.noise.level: 0 there, 4 here" in str(refused.value)


def test_test_sets_beside_the_config_are_kept_and_may_not_change_either(tmp_path, config):
    claim(tmp_path, config)
    table = {"label": "noise.3", "kind": "noise", "level": 3}
    claim(tmp_path, config, tests={"noise_3": table}, may_change=engine.MAY_CHANGE)
    assert content(tmp_path)["earlier"]["tests"] == {"noise_3": table}
    with pytest.raises(UsageError, match=r"config\.tests\.noise_3\.level: 3 there, 4 here"):
        claim(tmp_path, config, tests={"noise_3": {**table, "level": 4}}, may_change=engine.MAY_CHANGE)


def test_a_workdir_from_before_an_entry_existed_has_its_default(tmp_path, config):
    claim(tmp_path, config)
    stored = content(tmp_path)
    del stored["config"]["mesh"], stored["config"]["tests"]["noise"]["level"], stored["config"]["data"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    before = (tmp_path / "config.json").read_bytes()
    claim(tmp_path, config, may_change=engine.MAY_CHANGE)
    assert (tmp_path / "config.json").read_bytes() == before
    config.mesh = "2x2"
    with pytest.raises(UsageError, match=r"config\.mesh: auto there, 2x2 here"):
        workdir.compare(tmp_path, config, FAMILY)
    assert workdir.compare(tmp_path, config, FAMILY, engine.MAY_CHANGE) == [(".mesh", "auto", "2x2")]


def test_an_entry_that_the_family_has_no_more_is_a_difference(tmp_path, config):
    claim(tmp_path, config)
    stored = content(tmp_path)
    stored["config"]["gone"] = 3
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=r"config\.gone: 3 there, \(absent\) here"):
        workdir.compare(tmp_path, config, FAMILY, engine.MAY_CHANGE)


OLD = {
    "experiment": "toy",
    "variant": "tiny",
    "command": "python -m experiments.toy --config=toy_config.py:tiny",
    "config": {
        "seed": 0, "seeds": 2, "seed_strategy": "auto", "cpu_devices": 0, "mesh": "auto", "checkpoint_every": 3,
        "log_every": 2, "tensorboard": False, "hidden": 5, "widths": [4, 2], "models": ["plain", "deep"],
        "tests": ["test", "noise"], "data": {"dir": ""},
        "train": {"epochs": 2, "num_examples": 72, "batch_size": 8, "learning_rate": 0.02},
    },
}  # fmt: skip


def test_a_workdir_of_the_first_format_is_todays_run(tmp_path, config, capsys):
    """Lists of names became tables, 0 and "" became null."""
    (tmp_path / "config.json").write_text(json.dumps(OLD))
    stored = workdir.load(tmp_path, FAMILY)
    assert stored["config"] == engine.to_json(config) | {"cpu_devices": None}
    assert workdir.load(tmp_path) == OLD
    claim(tmp_path, config)
    assert content(tmp_path) == OLD, "nothing was changed"
    workdir.record(tmp_path, wall_seconds=3)
    assert workdir.load(tmp_path, FAMILY)["config"] == stored["config"]
    config.seeds = 3
    claim(tmp_path, config, may_change=engine.MAY_CHANGE)
    assert (content(tmp_path)["format"], content(tmp_path)["config"]) == (2, engine.to_json(config))
    assert content(tmp_path)["command"] == OLD["command"]


@pytest.mark.parametrize(("key", "value"), [("models", 3), ("models", ["unknown"]), ("tests", [["a"]])])
def test_a_config_of_the_first_format_that_cannot_be_read(key, value, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**OLD, "config": {**OLD["config"], key: value}}))
    with pytest.raises(UsageError, match="the config of an earlier version of toy cannot be read"):
        workdir.load(tmp_path, FAMILY)


def test_other_versions_are_a_warning_only(tmp_path, config, capsys):
    claim(tmp_path, config)
    stored = workdir.load(tmp_path)
    stored["versions"]["jax"] = "0.0.1"
    workdir.record(tmp_path, versions=stored["versions"])
    capsys.readouterr()
    claim(tmp_path, config)
    assert "WARNING" in capsys.readouterr().err.split("versions.jax 0.0.1")[0]


def test_a_second_run_is_refused_while_the_first_lasts(tmp_path, config):
    refused = pytest.raises(UsageError, match="another run is using it")
    with workdir.claim(tmp_path, config, FAMILY), refused:
        claim(tmp_path, config)
    claim(tmp_path, config)


@pytest.mark.parametrize("place", ["file/below", "file", "/proc/nowhere"])
def test_an_unwritable_workdir_is_one_line_and_status_2(place, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    status = toy.main(["--config=tests/experiments/engine/toy_config.py", f"--workdir={tmp_path / place}"])
    err = capsys.readouterr().err
    assert status == 2
    assert f"error: workdir {tmp_path / place} cannot be written" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("content", ["", "{", "[1"])
def test_a_damaged_config_json_is_refused(tmp_path, config, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"cannot read config\.json"):
        claim(tmp_path, config)


def test_remains_of_a_run_without_its_config_are_refused(tmp_path, config):
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"holds metrics\.jsonl"):
        claim(tmp_path, config)
    assert not (tmp_path / "config.json").exists()


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"old": 1}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workdir.os, "replace", full)
    with pytest.raises(RunError, match=r"cannot write .*config\.json: No space left"):
        workdir.record(tmp_path, new=2)
    assert workdir.load(tmp_path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("shared", [True, False])
def test_a_file_that_another_process_writes_meanwhile(shared, tmp_path, monkeypatch):
    """Just before the file takes its place, another process writes it from beginning to end."""
    path, replace, others = tmp_path / "sweep.json", os.replace, iter([12345])

    def meanwhile(source, target):
        if pid := next(others, None):
            with monkeypatch.context() as patch:
                patch.setattr(os, "getpid", lambda: pid)
                workdir.write_atomically(path, b"theirs", shared=shared)
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    if shared:
        workdir.write_atomically(path, b"ours", shared=True)
        assert path.read_bytes() == b"ours" and list(tmp_path.iterdir()) == [path]
    else:
        with pytest.raises(RunError, match="cannot write"):
            workdir.write_atomically(path, b"ours")
