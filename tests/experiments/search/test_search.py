"""A search: what is proposed, its command line, its report, and that it continues wherever it was stopped."""

import contextlib
import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import engine
from experiments.search import search
from tests.experiments.engine import toy_config
from tests.experiments.search import toy

optuna = pytest.importorskip("optuna")

ROOT = Path(__file__).parents[3]
SIZE = ["--config=tests/experiments/engine/toy_config.py:tiny", "--models=plain", "--config.train.epochs=1"]
TRIALS = 7  # in batches of 3: the last one is cut short


# Proposals


def propose(done=(), seed=0, problem=None):
    problem = problem or toy.problem(toy_config.get_config())
    return search.propose(done, problem, 4, "maximize", seed)


def finished(batch, by="decay"):
    distributions = search._distributions(toy.SPACE)
    make = optuna.trial.create_trial
    return [make(params=values, distributions=distributions, value=values[by]) for values in batch]


def test_a_batch_follows_from_the_seed_and_the_batches_before():
    assert propose() == propose() != propose(seed=1)
    done = []
    for _ in range(3):  # the first ten trials are drawn at random
        done += finished(propose(done))
    following = propose(done)
    assert following == propose(done)
    assert following != propose(finished([trial.params for trial in done], by="learning_rate"))


def test_a_batch_has_one_shape_and_lies_in_the_space():
    done, widths = [], set()
    for _ in range(8):
        batch = propose(done)
        assert len({values["width"] for values in batch}) == 1
        assert len({values["decay"] for values in batch}) == 4
        assert all(toy.SPACE.holds(values) for values in batch)
        widths.add(batch[0]["width"])
        done += finished(batch)
    assert len(widths) > 1


def test_the_first_trial_is_the_configs_own_where_that_lies_in_the_space():
    problem = toy.problem(toy_config.get_config())
    assert propose()[0] == problem.start == {"learning_rate": 0.02, "decay": 0.01, "width": 4}
    assert problem.start not in propose(finished(propose()))
    outside = {**problem.start, "width": 3}
    assert outside not in propose(problem=problem._replace(start=outside))


# Searches in processes of their own


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def search_in_forks(signals, *arguments):
        line = [sys.executable, "-m", "tests.experiments.search.toy", json.dumps(signals), *SIZE, *arguments]
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return search_in_forks


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    place = tmp_path_factory.mktemp("searches") / "whole"
    assert command([[0, ""]], f"--workdir={place}", f"--trials={TRIALS}", "--together=3")[0] == [[0, TRIALS]]
    return place


def trials(place):
    return list(csv.DictReader((place / "trials.csv").read_text().splitlines()))


def report(place):
    return {name: (place / name).read_bytes() for name in ("trials.csv", "search.md", "best.py")}


def test_killed_or_stopped_it_continues_to_the_same_trials(command, whole, tmp_path):
    signals = [[1, "SIGKILL"], [2, "SIGKILL"], [1, "SIGINT"], [3, "SIGKILL"], [0, ""]]
    ended, errors = command(signals, f"--workdir={tmp_path}", f"--trials={TRIALS}", "--together=3")
    assert ended == [[-9, 0], [-9, 1], [130, 2], [-9, 4], [0, TRIALS]]
    assert f"the same command with --workdir={tmp_path} continues" in errors
    assert report(tmp_path) == report(whole)


# Searches in this process


def run(*arguments):
    return toy.main([*SIZE, *arguments])


def test_the_report(whole, capsys):
    rows = trials(whole)
    assert [row["trial"] for row in rows] == [str(number) for number in range(TRIALS)]
    assert [[row["width"] for row in rows][start] for start in (0, 1, 2)] == ["4"] * 3
    for row in rows:
        assert float(row["value"]) == pytest.approx((float(row["seed_0"]) + float(row["seed_1"])) / 2)
    best = max(rows, key=lambda row: float(row["value"]))
    config = engine.load_config_file(str(whole / "best.py"))
    assert config.train.learning_rate == float(best["learning_rate"])
    assert config.hidden == int(best["width"])
    assert config.train.epochs == 1 and config.seeds == 2
    text = (whole / "search.md").read_text()
    assert f"Best: **{float(best['value']):.4f}**, trial {best['trial']}" in text
    assert "| learning_rate |" in text and "| 0.001 | 1 |" in text
    before = report(whole)
    (whole / "search.md").unlink()
    (whole / "slices.png").unlink()
    assert run(f"--workdir={whole}", "--together=3", "--report_only") == 0
    assert report(whole) == before
    assert all((whole / f"{name}.png").stat().st_size > 5000 for name in ("slices", "history"))
    assert not (whole / "importances.png").exists()  # too few trials


def test_another_search_is_refused_with_the_differences(whole, capsys):
    same = f"--workdir={whole}"
    assert run(same, "--together=2", "--score=-loss") == 2
    told = capsys.readouterr().err
    assert "belongs to another search" in told
    assert "search.together: 3 there, 2 here" in told
    assert "search.score: accuracy there, -loss here" in told
    assert run(same, "--together=3", "--config.seed=1") == 2
    assert "config.seed: 0 there, 1 here" in capsys.readouterr().err
    assert run(same, "--together=3", "--evaluate=test") == 2
    assert "error: a search evaluates on validation data only" in capsys.readouterr().err
    assert len(trials(whole)) == TRIALS


def test_a_damaged_study_is_one_line_and_status_1(whole, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    assert run(f"--workdir={tmp_path}", "--together=3", "--report_only") == 1
    told = capsys.readouterr().err
    assert f"error: {tmp_path}/study.db: " in told and "not a database" in told
    assert told.count("\n") == 1


def is_open(connection):
    try:
        connection.total_changes  # noqa: B018
    except sqlite3.ProgrammingError:
        return False
    return True


@pytest.fixture
def connections(monkeypatch):
    """Every connection that a search in this process makes."""
    made, connect = [], search._connect
    monkeypatch.setattr(search, "_connect", lambda path: made.append(connect(path)) or made[-1])
    return made


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (["--report_only"], 0),
        (["--together=2"], 2),  # another search
        (["--trials=9", "--models=deep"], 2),  # another config
        (["--report_only", "damaged"], 1),
    ],
)
def test_no_connection_stays_open(whole, flags, status, tmp_path, connections):
    place = shutil.copytree(whole, tmp_path / "copy")
    if "damaged" in flags:
        (place / "study.db").write_bytes(b"no database" * 100)
    flags = [flag for flag in flags if flag != "damaged"]
    assert run(f"--workdir={place}", "--together=3", *flags) == status
    assert [connection for connection in connections if is_open(connection)] == []
    assert connections or "--models=deep" in flags


def test_no_connection_stays_open_when_a_trial_fails(tmp_path, connections, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(search, "Trials", fails)
    assert run(f"--workdir={tmp_path}", "--trials=1") == 1
    assert connections and not any(map(is_open, connections))


def test_a_study_lies_in_its_workdir_whatever_that_is_called(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "Trials", Diverging)
    place = tmp_path / "2026-01-31T10:00:00 #1?a=b%20&c"
    run(f"--workdir={place}", "--trials=1")
    assert (place / "study.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_a_study_needs_no_locks_of_the_file_system(tmp_path):
    """Where there are none the folder is held by a marker; here another process has SQLite's locks."""
    path = tmp_path / "study.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE kept (number)")
        other.execute("BEGIN EXCLUSIVE")
        with contextlib.closing(search._connect(path)) as own:
            own.execute("PRAGMA busy_timeout = 0")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                own.execute("SELECT * FROM kept")
        (tmp_path / engine.MARKER).write_text("")
        with contextlib.closing(search._connect(path)) as own:
            assert own.execute("SELECT * FROM kept").fetchall() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--trials=0"], "--trials=0: expected an int >= 1"),
        (["--trials"], "trials"),
        (["--together=two"], "two"),
        (["--score=speed"], "score=speed: expected accuracy or -loss"),
        (["--models=plain,deep"], "a search has one model, given by --models=NAME; the config has plain, deep"),
        (["--trails=3"], "trails"),
        (["--config.hidden=0"], "config.hidden=0: expected at least 1"),
    ],
)
def test_bad_flags_are_one_line_and_status_2(arguments, told, tmp_path, capsys):
    assert run(f"--workdir={tmp_path / 'new'}", *arguments) == 2
    err = capsys.readouterr().err.replace(f"workdir: {tmp_path / 'new'}\n", "")
    assert err.startswith("error: ") and told in err
    assert err.count("\n") == 1


def test_without_optuna_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run("--trials=1") == 2
    assert capsys.readouterr().err == 'error: a search needs Optuna: pip install -e ".[search]"\n'


def test_help(capsys):
    assert run("--help") == 0
    assert "--trials" in (told := capsys.readouterr().out) and "the objective (default: accuracy)" in told


def test_nothing_to_report_and_nothing_finite_are_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(search, "Trials", Diverging)
    place = f"--workdir={tmp_path}"
    assert run(place, "--trials=2") == 1
    assert "no trial of 2 ended with finite numbers" in capsys.readouterr().err
    assert [row["value"] for row in trials(tmp_path)] == ["", ""]


class Diverging:
    """In place of `Trials`."""

    images = 1

    def __init__(self, *_, **__):
        pass

    def run(self, batch, wanted):
        for place in wanted:
            yield place, search.np.array([0.5, float("nan")])
