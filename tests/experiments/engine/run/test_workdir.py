"""The folder of a run: one config, one process."""

import json
import os

import pytest
from ml_collections import ConfigDict

from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.run import config as config_lib
from experiments.engine.run import workdir
from tests.experiments.engine import toy

CONFIG = ConfigDict({"seeds": 2, "widths": (1, 2), "train": {"epochs": 3, "rate": 0.1}})


def test_config_json_tells_config_versions_device_and_commit(tmp_path):
    place = tmp_path / "deep" / "down"
    with workdir.claim(place, CONFIG, "toy", variant="tiny"):
        pass
    stored = workdir.load(place)
    assert stored["config"] == {"seeds": 2, "widths": [1, 2], "train": {"epochs": 3, "rate": 0.1}}
    assert config_lib.from_json(stored["config"]).to_dict() == CONFIG.to_dict()
    assert stored["experiment"] == "toy"
    assert stored["variant"] == "tiny"
    assert {"python", "jax", "flax", "optax", "orbax-checkpoint", "numpy"} <= set(stored["versions"])
    assert stored["device"] == {"platform": "cpu", "kind": "cpu", "count": 4}
    assert "commit" in stored


def test_another_config_is_refused_with_the_differences(tmp_path):
    with workdir.claim(tmp_path, CONFIG, "toy"):
        pass
    other = ConfigDict({"seeds": 2, "widths": (1, 3), "train": {"epochs": 4, "rate": 0.1}, "new": True})
    with pytest.raises(UsageError) as refused, workdir.claim(tmp_path, other, "toy"):
        pass
    said = str(refused.value)
    assert "config.train.epochs: 3 there, 4 here" in said
    assert "config.widths: [1, 2] there, [1, 3] here" in said
    assert "config.new: (absent) there, True here" in said
    assert "seeds" not in said
    assert "rate" not in said


def test_another_experiment_is_refused(tmp_path):
    with workdir.claim(tmp_path, CONFIG, "toy"):
        pass
    with pytest.raises(UsageError, match="another experiment"), workdir.claim(tmp_path, CONFIG, "other"):
        pass


def test_the_data_may_lie_elsewhere(tmp_path, capsys):
    config = ConfigDict({"seeds": 2, "data": {"dir": "", "source": "mnist"}})
    with workdir.claim(tmp_path, config, "toy"):
        pass
    config.data.dir = "/data"
    with workdir.claim(tmp_path, config, "toy", may_change=config_lib.MAY_CHANGE):
        assert workdir.load(tmp_path)["config"]["data"] == {"dir": "/data", "source": "mnist"}
    assert "was started with config.data.dir '', now '/data'" in capsys.readouterr().err
    config.data.source = "digits"
    with pytest.raises(UsageError, match=r"config\.data\.source: mnist there, digits here"):
        workdir.compare(tmp_path, config, "toy", config_lib.MAY_CHANGE)


def test_other_versions_are_a_warning_only(tmp_path, capsys):
    with workdir.claim(tmp_path, CONFIG, "toy"):
        pass
    stored = workdir.load(tmp_path)
    stored["versions"]["jax"] = "0.0.1"
    workdir.note(tmp_path, versions=stored["versions"])
    capsys.readouterr()
    with workdir.claim(tmp_path, CONFIG, "toy"):
        pass
    assert "WARNING" in capsys.readouterr().err.split("versions.jax 0.0.1")[0]


def test_a_second_run_is_refused_while_the_first_lasts(tmp_path):
    refused = pytest.raises(UsageError, match="another run is using it")
    with workdir.claim(tmp_path, CONFIG, "toy"), refused, workdir.claim(tmp_path, CONFIG, "toy"):
        pass
    with workdir.claim(tmp_path, CONFIG, "toy"):
        pass


@pytest.mark.parametrize("place", ["file/below", "file", "/proc/nowhere"])
def test_an_unwritable_workdir_is_one_line_and_status_2(place, tmp_path, capsys, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    (tmp_path / "file").write_text("not a folder")
    status = toy.main(["--config=tests/experiments/engine/toy_config.py", f"--workdir={tmp_path / place}"])
    err = capsys.readouterr().err
    assert status == 2
    assert f"error: workdir {tmp_path / place} cannot be written" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("content", ["", "{", "[1"])
def test_a_damaged_config_json_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"cannot read config\.json"), workdir.claim(tmp_path, CONFIG, "toy"):
        pass


def test_remains_of_a_run_without_its_config_are_refused(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"holds metrics\.jsonl"), workdir.claim(tmp_path, CONFIG, "toy"):
        pass
    assert not (tmp_path / "config.json").exists()


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"old": 1}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workdir.os, "replace", full)
    with pytest.raises(RunError, match=r"cannot write .*config\.json: No space left"):
        workdir.note(tmp_path, new=2)
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
