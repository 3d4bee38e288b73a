"""Compiling for devices that are not there: what is chosen, skipped and kept; programs for this machine."""

import json
import sys
from pathlib import Path

import jax
import pytest

from experiments import engine
from experiments.bench import __main__ as bench
from experiments.bench.aot import arithmetic, kernels, programs, run, targets, worker

RESULTS = Path(bench.__file__).parents[1] / "results" / "bench"
ENTRY = {
    "compile_seconds": 98.7,
    "compile_cpu_seconds": 12.3,
    "argument_bytes": 3 * 2**20,
    "temporary_bytes": 2**30,
    "code_bytes": None,
    "output_bytes": 2**20,
    "kernels": 1234,
    "kernels_per_step": 14.9,
    "flops": 2.5e9,
    "bytes": 1e9,
    "least_seconds": {"launches": 0.0037, "memory": 0.0003, "arithmetic": 1e-5},
}


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(targets, "versions_of", lambda packages: dict.fromkeys(packages, "1"))


@pytest.fixture
def compiled(monkeypatch):
    """Programs by which a stand-in was called; a CNN fails."""
    calls = []

    def compile_one(program, name, limit):
        calls.append((program, name, limit))
        return {"error": "status 1: out of memory"} if "cnn" in program else dict(ENTRY)

    monkeypatch.setattr(run, "compile_one", compile_one)
    return calls


def test_names_parts_of_names_and_patterns():
    every = programs.names()
    assert len(every) == len(set(every)) and set(programs.MAIN) < set(every)
    assert programs.chosen(None) == every
    assert programs.chosen(["main"]) == list(programs.MAIN)
    assert programs.chosen(["gaspnet/ablations/baseline"]) == ["gaspnet/ablations/baseline"]
    assert all(name.startswith("waves/mnist/") for name in programs.chosen(["waves/mnist"]))
    assert programs.chosen(["waves/*/nwm_fft", "waves/polygons"])[-1] == "waves/polygons/nwm_fft"
    for pattern, offer in (("komplexnet/all/komplexne", "komplexnet/all/komplexnet"), ("zzz", "there are komplexnet")):
        with pytest.raises(engine.UsageError, match=offer):
            programs.chosen([pattern])


def test_without_a_compiler_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(targets, "versions_of", lambda packages: {"libtpu": "1"} if "libtpu" in packages else {})
    with pytest.raises(engine.UsageError, match=r"oscnets\[aot-cuda\]"):
        run.usable(["h100"])
    assert run.usable(["h100", "v5e"]) == ["v5e"]
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(engine.UsageError, match="expected some of v5e"):
        run.usable(["v6e"])
    monkeypatch.setattr(targets, "versions_of", lambda packages: {})
    assert bench.main(["compile", "--target=v5e,t4", "--only=waves/polygons"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "aot-tpu" in line and "aot-cuda" in line


@pytest.mark.usefixtures("installed")
def test_entries_are_written_as_they_come_and_failures_tried_again(compiled, tmp_path, capsys):
    path = tmp_path / "found.json"
    arguments = ["compile", "--target=t4", "--only=waves/mnist/cnn_2,waves/polygons", f"--json={path}", "--limit=7"]
    assert bench.main(arguments) == 1
    out, err = capsys.readouterr()
    assert "not compiled: waves/mnist/cnn_2/t4" in err and "out of memory" in out
    assert compiled == [("waves/mnist/cnn_2", "t4", 7), ("waves/polygons/nwm_fft", "t4", 7)]
    written = json.loads(path.read_text())
    assert list(written) == ["waves/mnist/cnn_2/t4", "waves/polygons/nwm_fft/t4"]
    assert {"commit", "processor", "load", "kernels"} <= set(written["waves/polygons/nwm_fft/t4"])
    compiled.clear()
    assert bench.main(arguments) == 1
    assert compiled == [("waves/mnist/cnn_2", "t4", 7)]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("text", ["[1]", "{", '{"a/b": 3}'])
def test_a_file_that_is_none_of_ours(tmp_path, text, capsys):
    path = tmp_path / "other.json"
    path.write_text(text)
    assert bench.main(["compile", "--target=t4", "--only=waves/polygons", f"--json={path}"]) == 2
    assert f"--json={path}" in capsys.readouterr().err
    assert path.read_text() == text


def test_the_names_are_listed(capsys):
    assert bench.main(["compile", "--list", "--only=main"]) == 0
    assert capsys.readouterr().out.split() == list(programs.MAIN)


def test_the_table():
    entries = {"waves/mnist/nwm_fft/h100": ENTRY, "a/b/c/v5e": {"error": "took more than 7 s"}}
    lines = run.table(entries | {"a/b/c/t4": ENTRY | {"temporary_bytes": 17e9}}).splitlines()
    assert lines[2] == (
        "| waves/mnist/nwm_fft | h100 | 12 | 3 | 1,024 | - | 1% | 1,234 | 15 | 2.5 | 1 | **3.7** | 0.3 | 0.01 | - |"
    )
    assert lines[3].startswith("| a/b/c | v5e | took more than 7 s |")
    assert "| **106%** |" in lines[4]
    found = {"all-reduce": {"count": 2, "bytes": 3 * 2**19}}
    rows = run.table({f"a/b/c/{name}": ENTRY | {"collectives": found} for name in ("v5e-2x2", "v5e")}).splitlines()
    assert rows[2].endswith("| 2 all-reduce, 1.5 MiB |")
    assert rows[3].endswith("| - |")
    assert {line.count("|") for line in lines} == {len(run.HEAD) + 1}


@pytest.mark.parametrize(
    ("code", "limit", "error"),
    [
        ("import time; time.sleep(60)", 0.2, "took more than 0.2 s"),
        ("import os; os.kill(os.getpid(), 11)", 60, "status -11: no message"),
        ("raise ValueError('no such device')", 60, "status 1: ValueError: no such device"),
        (
            "import sys; sys.exit('F1 emitter.cc:6] Check failed: a == b\\nE2 dumping core')",
            60,
            "status 1: F1 emitter.cc:6] Check failed: a == b",
        ),
        ("print('hello')", 60, "printed no figures: hello"),
    ],
)
def test_a_process_that_hangs_crashes_or_fails_is_reported(monkeypatch, tmp_path, code, limit, error):
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert run.compile_one("waves/polygons/nwm_fft", "t4", limit) == {"error": error}


def test_the_least_times():
    found, operations = kernels.Count(1000, 3.35e9, ()), arithmetic.Flops(67e9 + 494.5e9, 67e9)
    times = worker.least_seconds(found, operations, targets.TARGETS["h100"])
    assert times == pytest.approx({"launches": 3e-3, "memory": 1e-3, "arithmetic": 2e-3})
    assert worker.least_seconds(found, operations, targets.TARGETS["v5e"])["launches"] is None


def test_figures_of_a_training_step_and_of_a_trajectory_on_this_machine(monkeypatch):
    devices = jax.devices()[:1]
    for name in ("komplexnet/all/real", "dynamics/attention_step/gradient"):
        found = worker.figures(name, targets.TARGETS["t4"], devices)
        assert found["flops"] > 0 and found["bytes"] > found["kernels"] > 0
        assert found["temporary_bytes"] > 0 and found["compile_seconds"] >= 0
    assert found["num_steps"] == 6 and found["kernels_per_step"] > 1
    # The training set of 48,000 scenes is on the device: an image, two masks, their overlap, the order.
    program, _ = next(programs.builds("komplexnet/all/real", devices))
    assert program.arguments[4]["images"].shape == (48_000, 32, 32, 1)
    assert program.sizes == {"batch_size": 128, "slice_size": 32, "mesh": "1x1"}
    (four, _), (smaller, _), *_ = programs.builds("waves/mnist/nwm_linear", jax.devices()[:4])
    assert smaller.sizes["slice_size"] == 8
    assert four.sizes == {"batch_size": 64, "slice_size": 16, "mesh": "1x4"} and four.num_steps == 100
    assert four.arguments[4]["images"].shape == (51_000, 56, 56, 1)
    # Pixels of MNIST one by one, without MNIST; sums that are drawn by their numbers.
    for name, key, shape, num_steps in (
        ("sequences/mnist/cornn", "inputs", (57_000, 784, 1), 784),
        ("sequences/adding/wrnn", "number", (128_000,), 100),
    ):
        program, _ = next(programs.builds(name, devices))
        assert program.arguments[4][key].shape == shape and program.num_steps == num_steps


def test_the_committed_entries():
    """The table is that of the file, the page shows lines of it, and what was compiled for a T4 fits it."""
    entries, lines = json.loads((RESULTS / "compiled.json").read_text()), (RESULTS / "compiled.md").read_text()
    assert lines == run.table(entries) + "\n"
    page = (RESULTS.parents[2] / "docs" / "accelerators.md").read_text().splitlines()
    shown = [line for line in page if line.startswith(tuple(f"| {name}" for name in programs.MAIN))]
    assert len(shown) > len(programs.MAIN) and set(shown) <= set(lines.splitlines())
    sizes = {key: entry for key, entry in entries.items() if key.endswith("/t4") and "error" not in entry}
    parts = ("argument_bytes", "output_bytes", "temporary_bytes")
    assert max(sum(entry[part] for part in parts) for entry in sizes.values()) <= targets.TARGETS["t4"].usable


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_program_is_compiled_where_the_compiler_is_installed(name):
    if extra := targets.missing_extra(targets.TARGETS[name].platform):
        pytest.skip(f"the extra {extra} is not installed")
    found = run.compile_one("dynamics/attention_step/forward", name, 300)
    assert "error" not in found, found
    assert found["kernels_per_step"] > 1 and found["temporary_bytes"] > 0 and found["flops"] > 1e8
