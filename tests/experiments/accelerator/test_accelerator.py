"""The day an accelerator is at hand, on this machine: parts, what they leave, packages and data taken along."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_gen import sources
from experiments import engine
from experiments.accelerator import packages, report, roofline, run, state
from experiments.accelerator.parts import PARTS
from tests.experiments.families import FAMILIES

ROOT = Path(__file__).parents[3]


def command(*arguments):
    return [sys.executable, "-m", "experiments.accelerator", "--smoke", *map(str, arguments)]


def wait_for(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_part_that_is_killed_is_continued_and_one_that_is_done_is_not_run_again(tmp_path):
    """The whole command, ended with its part as a machine is taken away; then again; then with nothing left to do."""
    first = subprocess.Popen(command(f"--out={tmp_path}", "--only", "accuracy"), cwd=ROOT, start_new_session=True)
    try:
        wait_for(lambda: state.read(tmp_path, "accuracy")["entries"])
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    before = state.read(tmp_path, "accuracy")
    assert "attention_step forward" in before["entries"]
    before["entries"]["attention_step forward"]["device"] = 0.125  # so that a second measurement would be seen
    before = {key: value for key, value in before.items() if key != "done"}
    state.write(tmp_path, "accuracy", before)

    subprocess.run(command(f"--out={tmp_path}", "--only", "accuracy"), cwd=ROOT, check=True)
    done = state.read(tmp_path, "accuracy")
    assert done["done"] and list(done["entries"]) == ["attention_step forward", "attention_step gradient"]
    assert done["entries"]["attention_step forward"]["device"] == 0.125
    assert 0 < done["entries"]["attention_step gradient"]["device"] < 1e-3
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| attention_step | forward | 1.2e-01 |" in text and done["facts"]["device"]["kind"] in text

    assert run.main([f"--out={tmp_path}", "--smoke", "--only", "accuracy"]) == 0
    assert state.read(tmp_path, "accuracy") == done


@pytest.mark.slow
def test_parts_at_smoke_size(tmp_path):
    """All measurements but the one above, and a training run; the other runs are those of the families' tests."""
    names = [part.name for part in PARTS if part.family is None and part.name != "accuracy"] + ["polygons"]
    subprocess.run(command(f"--out={tmp_path}", "--only", *names), cwd=ROOT, check=True)
    assert all(state.read(tmp_path, name)["done"] for name in names)
    entries = [entry for name in names for entry in state.read(tmp_path, name)["entries"].values()]
    assert entries and not [entry for entry in entries if "error" in entry]
    assert len(list(tmp_path.glob("runs/*/summary.md"))) == 1
    assert (tmp_path / "report.md").read_text(encoding="utf-8").count(": done,") == len(names)


@pytest.mark.parametrize(
    ("code", "seconds", "error"),
    [
        ("import sys; print('memory is gone'); sys.exit(3)", 60, "status 3: memory is gone"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 60, "status -9: no message"),
        ("import time; time.sleep(60)", 0.5, "stopped after 0 s"),
    ],
)
def test_a_process_that_fails_ends_its_part_only(tmp_path, code, seconds, error):
    entries = {"cnn8 float32": {"errors": {"logits": 1e-6}}}
    state.write(tmp_path, "golden", {"entries": entries, "error": "of an earlier call", "seconds": 5})
    content = run.run_part(PARTS[0], tmp_path, [sys.executable, "-c", code], seconds)
    assert content == state.read(tmp_path, "golden")
    assert content["error"] == error and content["entries"] == entries and content["seconds"] >= 5
    report.write(tmp_path, "python -m experiments.accelerator")
    assert f"**{error}**" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_time_that_is_up_starts_no_part(tmp_path):
    assert run.main([f"--out={tmp_path}", "--minutes=0"]) == 0
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    "arguments",
    [["--smoke"], ["--out=x", "--from=nowhere"], ["--out=x", "--only", "everything"], ["--pack=x", "--ou=y"]],
)
def test_misuse_is_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert run.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ") and not list(tmp_path.iterdir())


@pytest.mark.parametrize("smoke", [True, False])
@pytest.mark.parametrize("part", [part for part in PARTS if part.family], ids=lambda part: part.name)
def test_training_runs_are_commands_that_exist(part, smoke, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    _, _, module, *arguments = part.command(tmp_path, smoke, None if smoke else tmp_path)
    request = engine.parse(arguments, FAMILIES[module.removeprefix("experiments.")])
    assert {engine.label(*pair) for pair in engine.tables(request.config, "models").items()} == set(
        part.models.split(",")
    )
    assert request.config.data.dir == (None if smoke else str(tmp_path))


def test_a_file_that_is_not_whole_counts_as_none(tmp_path):
    (tmp_path / "golden.json").write_text('{"entries": {"a"')
    assert state.read(tmp_path, "golden") == {"entries": {}}


def test_tables_show_figures_and_errors(tmp_path):
    case = {"milliseconds": [1.0, 3.0, 2.0], "peer_milliseconds": [], "sizes": {"batch_size": 8}}
    case["compiled"] = {"milliseconds": [7.0]}
    peaks = {f"product {kind}": {"flops": 2e12} for kind in ("highest", "default")} | {"copy": {"bytes": 1e12}}
    found = {
        "golden": {"komplexnet float32": {"errors": {"logits": 1.5e-6}}},
        "accuracy": {"wave_step forward": {"device": 1e-6, "cpu": 2e-6}},
        "speed": {"gaspnet": {"cases": {"gaspnet": case}}},
        "seeds": {"4 vmap": {"seconds": 0.5, "seeds_per_second": 8.0, "program_mb": 12.0}},
        "roofline": peaks | {"a/b/c": {"seconds": 4e-3, "flops": 4e9, "highest": 4e9, "bytes": 1e9}},
    }
    for name, entries in found.items():
        state.write(
            tmp_path,
            name,
            {"entries": {**entries, "x/y failed": {"error": "ValueError: no"}}, "done": True, "seconds": 1},
        )
    report.write(tmp_path, "python -m experiments.accelerator --out=here")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for line in (
        "| komplexnet | float32 | logits 1.5e-06 |",
        "| wave_step | forward | 1.0e-06 | - | - | 2.0e-06 |",
        "| gaspnet | 8 | 2 | - | - | 7 |  |",
        "| 4 | vmap | 500 | 8 | 12.0 |",
        "| a/b/c | 4 | 2 | 1 | 50% |",
    ):
        assert line in text
    assert text.count("ValueError: no") == len(found) and "--out=here" in text


def test_times_are_of_one_call():
    calls = []
    seconds = roofline.timed(lambda x: calls.append(x) or time.sleep(0.002), 3, at_least=0.01)
    assert 0.002 <= seconds < 0.1 and set(calls) == {3}


def test_packages_fill_what_is_missing_and_nothing_else(tmp_path, monkeypatch):
    """Collected as they are installed, without compiled parts; used where no module of theirs can be found."""
    monkeypatch.setattr(packages, "_needed", lambda: {"ml-collections", "numpy", "pyyaml"})
    assert packages.collect(tmp_path) == ["ml-collections", "pyyaml"]
    assert (tmp_path / "packages/ml-collections/ml_collections/__init__.py").is_file()
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".so", ".pyc")]
    assert 10_000 < packages.size(tmp_path) < packages.LIMIT

    index = json.loads((tmp_path / "packages.json").read_text(encoding="utf-8"))
    nowhere = index | {"of-nobody": ["module_of_nobody"]}
    (tmp_path / "packages.json").write_text(json.dumps(nowhere), encoding="utf-8")
    place = tmp_path / "packages" / "of-nobody"
    place.mkdir()
    (place / "module_of_nobody.py").write_text("ANSWER = 42\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    packages.use_of(["--out=x", f"--from={tmp_path}"])
    assert sys.path[-1] == str(place) and os.environ["PYTHONPATH"] == os.pathsep.join([str(ROOT), str(place)])
    found = subprocess.run(
        [sys.executable, "-c", "import module_of_nobody as m; print(m.ANSWER)"], capture_output=True, check=True
    )
    assert found.stdout.split() == [b"42"]
    packages.use_of(["--from", str(tmp_path / "nothing")])
    assert packages.use(tmp_path) == []


def test_what_the_families_import_is_needed():
    needed = packages._needed()
    assert {"ml-collections", "absl-py", "platformdirs", "flax"} <= needed
    assert not needed & {"jax", "oscnets", "tensorflow-datasets"}


def test_packed_data_is_read_without_tfds(tmp_path, monkeypatch):
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    bases = {split: sources.Base(images + i, np.array([3, i], np.int32)) for i, split in enumerate(sources.SPLITS)}
    with monkeypatch.context() as patch:
        patch.setattr(sources, "load", lambda name, split, data_dir: bases[split])
        patch.setattr(packages, "collect", lambda folder: ["a"])
        run.pack(tmp_path / "all", ["mnist"], None)
        monkeypatch.setattr(packages, "LIMIT", 10)
        with pytest.raises(engine.RunError, match="more than 0"):
            run.pack(tmp_path / "all", ["mnist"], None)
    monkeypatch.setattr(sources, "_builder", None)  # TFDS would be an error
    for split, base in bases.items():
        found = sources.load("mnist", split, data_dir=tmp_path / "all" / "data")
        np.testing.assert_array_equal(found.images, base.images)
        np.testing.assert_array_equal(found.labels, base.labels)
    with pytest.raises(engine.RunError, match="must be one of"):
        run.pack(tmp_path / "all", ["letters"], None)
