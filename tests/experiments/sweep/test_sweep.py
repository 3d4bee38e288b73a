"""A sweep: its points, its shards, what it runs, what it continues, and its report."""

import csv
import json
import sys

import pytest

from experiments.engine import UsageError
from experiments.sweep import __main__ as command
from experiments.sweep import sweep

CONFIG = "swept.py:tiny"


def test_points_are_the_product_of_configs_and_grid():
    found = sweep.points(["a.py:x", "b.py"], {"train.rate": ["1e-3", "2"], "models": ["('r',)", "('s', 't')"]})
    assert [point.name for point in found[:5]] == [
        "x_train.rate=1e-3_models=_r",
        "x_train.rate=1e-3_models=_s_t",
        "x_train.rate=2_models=_r",
        "x_train.rate=2_models=_s_t",
        "b_train.rate=1e-3_models=_r",
    ]
    assert len(found) == 8
    assert found[1] == ("a.py:x", {"train.rate": "1e-3", "models": "('s', 't')"})


def test_a_point_may_not_be_there_twice():
    with pytest.raises(UsageError, match="the sweep has x twice"):
        sweep.points(["a.py:x", "b.py:x"], {})
    with pytest.raises(UsageError, match="the sweep has no points"):
        sweep.points([], {})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", ["1", "2"]),
        ("(1, 2),(3,)", ["(1, 2)", "(3,)"]),
        ("('a','b'),('c',)", ["('a','b')", "('c',)"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("1e-3", ["1e-3"]),
        ("1,", ["1", ""]),
        ("", [""]),
    ],
)
def test_values_are_cut_at_commas_outside_brackets(text, values):
    assert sweep.split_values(text) == values


@pytest.mark.parametrize("word", ["rate", "rate=", "=1", "rate=1,", "ra te=1", "rate=1,1"])
def test_a_grid_of_another_form_is_refused(word):
    with pytest.raises(UsageError, match="--grid="):
        sweep.parse_grid([word])
    with pytest.raises(UsageError, match="rate is given twice"):
        sweep.parse_grid(["rate=1", "rate=2"])


@pytest.mark.parametrize("text", ["1", "2/2", "-1/2", "0/0", "a/b", "1/2/3"])
def test_a_shard_of_another_form_is_refused(text):
    with pytest.raises(UsageError, match=r"expected I/N with I from 0 to N - 1"):
        sweep.parse_shard(text)


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_shards_share_the_points_among_them(count):
    whole = list(range(7))
    parts = [whole[sweep.parse_shard(f"{i}/{count}")[0] :: count] for i in range(count)]
    assert sorted(number for part in parts for number in part) == whole


CONFIG_FILE = """
from experiments import engine
from fake.experiment import specs

def get_config(variant):
    config = engine.base_config(specs.ENTRIES)
    config.models = {"deep": {"network": "deep"}}
    config.tests = {"test": {}}
    return engine.variant(config, {"tiny": {}}, variant)
"""
SPECS = """
from experiments import engine

ENTRIES = {"rate": engine.Entry(0.5, "a rate")}
NETWORK = engine.Entry(str, "the network", engine.one_of("deep", "wide"))
MODEL = {"network": NETWORK, "width": engine.Entry(3, "a width")}
NETWORKS = engine.Shorthand({name: {"network": name} for name in ("deep", "wide")})
SETS = engine.Shorthand({"test": {}})
FAMILY = engine.Family("fake", ENTRIES, MODEL, {}, NETWORKS, SETS, lambda config: None, None)
"""
# Without the engine, whose import takes seconds.
MAIN = """
import json, os, pathlib, signal, sys, time

def finish(place, rate):
    pass

flags = dict(word.removeprefix("--").partition("=")[::2] for word in sys.argv[1:])
place = pathlib.Path(flags["workdir"])
place.mkdir(parents=True, exist_ok=True)
with (place / "calls").open("a") as calls:
    calls.write(json.dumps(flags) + "\\n")
rate = float(flags.get("config.rate", 0.5))
if rate == 0.2 and (pathlib.Path(__file__).parent / "broken").exists():
    sys.exit(1)
entry = {"mean": [0.1, rate], "std": [None, 0.5], "n": [3, 3]}
summary = {"results": {"test": {"accuracy": {"deep": entry}}}, "missing": []}
(place / "summary.json").write_text(json.dumps(summary))
finish(place, rate)
"""
SIGNALLED = """
    if rate == 0.2:
        signal.signal(signal.SIGTERM, lambda *_: (place / "saved").touch() or sys.exit(143))
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a sweep of an experiment that only writes a summary; it fails for one rate while a file is there."""
    package = tmp_path / "fake" / "experiment"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("specs", SPECS), ("__main__", MAIN)):
        (package / f"{name}.py").write_text(text)
    (tmp_path / "swept.py").write_text(CONFIG_FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("fake", "fake.experiment", "fake.experiment.specs"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(*arguments, grid="rate=0.1,0.2,0.3"):
        words = ["fake.experiment", f"--config={CONFIG}", f"--workdir={tmp_path / 'sweep'}", f"--grid={grid}"]
        return command.main([*words, "--config.seeds=3", *arguments])

    return run


def rows(place):
    return {row["rate"]: row for row in csv.DictReader((place / "sweep.csv").read_text().splitlines())}


def test_shards_do_their_share_and_the_report_is_of_all(run, tmp_path, capsys):
    place = tmp_path / "sweep"
    assert run("--shard=0/2") == 0
    assert sorted(rows(place)) == ["0.1", "0.3"]
    assert "No results yet:** tiny_rate=0.2" in (place / "sweep.md").read_text()
    assert run("--shard=1/2") == 0
    found = rows(place)
    assert sorted(found) == ["0.1", "0.2", "0.3"]
    assert found["0.2"] == {
        "point": "tiny_rate=0.2", "config": CONFIG, "rate": "0.2", "split": "test", "metric": "accuracy",
        "model": "deep", "seeds": "3", "mean": "0.2", "std": "0.5",
    }  # fmt: skip
    text = (place / "sweep.md").read_text()
    assert "| rate | deep |" in text and "| 0.3 | 0.300 ± 0.500 |" in text and "No results" not in text
    for path in place.glob("runs/*/calls"):
        (flags,) = map(json.loads, path.read_text().splitlines())
        assert (flags["config"], flags["config.seeds"]) == (CONFIG, "3")
        assert f"tiny_rate={flags['config.rate']}" == path.parent.name
    before = {path: path.stat().st_mtime_ns for path in place.glob("runs/*/*")}
    (place / "sweep.md").unlink()
    assert run("--report_only") == 0
    assert (place / "sweep.md").read_text() == text
    assert {path: path.stat().st_mtime_ns for path in place.glob("runs/*/*")} == before


def test_a_point_that_fails_is_told_and_tried_again(run, tmp_path, capfd):
    (tmp_path / "fake/experiment/broken").touch()
    assert run() == 1
    assert "error: 1 runs failed: tiny_rate=0.2" in capfd.readouterr().err
    assert sorted(rows(tmp_path / "sweep")) == ["0.1", "0.3"]
    (tmp_path / "fake/experiment/broken").unlink()
    assert run() == 0
    assert sorted(rows(tmp_path / "sweep")) == ["0.1", "0.2", "0.3"]


def test_another_sweep_is_refused(run, capsys):
    assert run("--shard=0/3") == 0
    assert run("--config.seeds=4") == 2
    assert "belongs to another sweep" in capsys.readouterr().err
    assert run("--shards=0/2") == 2
    assert capsys.readouterr().err == "error: unexpected argument '--shards=0/2'\n"


def calls(place):
    return [json.loads(line) for path in sorted(place.glob("runs/*/calls")) for line in path.read_text().splitlines()]


def test_a_grid_of_models_and_of_the_entries_of_their_tables(run, tmp_path):
    assert run(grid="models=deep,(deep,wide)") == 0
    assert {flags["models"] for flags in calls(tmp_path / "sweep")} == {"deep", "deep,wide"}
    assert run(f"--workdir={tmp_path / 'widths'}", grid="models.deep.width=1,2") == 0
    assert [flags["config.models.deep.width"] for flags in calls(tmp_path / "widths")] == ["1", "2"]


def test_a_sweep_continues_elsewhere(run, tmp_path):
    assert run("--shard=0/3") == 0
    assert run("--shard=1/3", "--config.data.dir=/data", "--config.mesh=1x1") == 0
    assert run("--report_only", "--config.mesh=1x2") == 0
    assert sorted(rows(tmp_path / "sweep")) == ["0.1", "0.2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid=models=deep,shallow"], "no 'shallow'; there are: deep, wide"),
        (["--models=shallow"], "no 'shallow'; there are: deep, wide"),
        (
            ["--grid=models.deep.widht=1"],
            "there is no config.models.deep.widht; did you mean --config.models.deep.width?",
        ),
        (["fake.experimnt"], "there is no program fake.experimnt: expected NAME of python -m experiments.NAME"),
        (["nothing"], "there is no program experiments.nothing: "),
        (["engine"], "there is no program experiments.engine: "),
        (["fake..experiment"], "there is no program fake..experiment: "),
        (["--config=absent.py"], "there is no file 'absent.py'"),
        (["--config=swept.py:tinny"], "no variant 'tinny'; there are: tiny"),
        (["--grid=rtae=1,2"], "there is no config.rtae; did you mean --config.rate?"),
        (["--grid=rate=1,fast"], "config.rate=fast: expected a value of type float"),
        (["--grid=seeds=1,0"], "config.seeds=0: expected at least 1"),
        (["--config.sedes=3"], "there is no config.sedes; did you mean --config.seeds?"),
        (["--shard=3/3"], "--shard=3/3: expected I/N"),
        (["--report_only"], "is of no sweep: there is no sweep.json"),
    ],
)
def test_what_cannot_be_run_claims_no_folder(words, message, run, tmp_path, capsys):
    name = [] if words[0].startswith("--") else [words.pop()]
    config = [] if words and words[0].startswith("--config=") else [f"--config={CONFIG}"]
    assert command.main([*(name or ["fake.experiment"]), *config, f"--workdir={tmp_path / 'sweep'}", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"arguments": 3}'])
def test_a_damaged_sweep_is_refused(content, run, tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text(content)
    assert run() == 2
    assert "cannot use its sweep.json" in capsys.readouterr().err


def test_a_signal_is_passed_on_and_the_rest_waits(run, tmp_path, monkeypatch, capsys):
    """The second run gets the signal that came to the sweep; the third is not begun."""
    (tmp_path / "fake/experiment/__main__.py").write_text(MAIN.replace("    pass\n", SIGNALLED))
    assert run() == 143
    place = tmp_path / "sweep"
    assert (place / "runs/tiny_rate=0.2/saved").exists()
    assert not (place / "runs/tiny_rate=0.3").exists()
    assert sorted(rows(place)) == ["0.1", "0.2"]
    assert "stopped by signal 15; the same command continues" in capsys.readouterr().err
