"""Runs that are killed or stopped: the same command continues, to the same numbers."""

import contextlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

from experiments.engine.record import metrics_log as log

ROOT = Path(__file__).parents[3]
SIZE = "--config=tests/experiments/engine/toy_config.py:tiny"


@pytest.fixture(scope="module")
def fates(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    environment = dict(os.environ)
    environment |= {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def meet(workdir, fates, *arguments):
        command = [
            sys.executable,
            "-m",
            "tests.experiments.engine.killer",
            json.dumps(fates),
            SIZE,
            f"--workdir={workdir}",
        ]
        command += ["--config.cpu_devices=2", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return meet


@pytest.fixture(scope="module")
def uninterrupted(fates, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    (ended,), _ = fates(workdir, [["none"]])
    assert ended["status"] == 0
    return workdir


def outcome(workdir):
    """Everything that must be the same to the last bit: the metrics, the samples, the state after the last step."""
    with contextlib.closing(ocp.StandardCheckpointer()) as reader:
        states = [reader.restore(workdir / f"checkpoints/{model}/18/state") for model in ("plain", "deep")]
    states = [{name: np.asarray(leaf).tobytes() for name, leaf in state.items()} for state in states]
    assert "params.layer0.kernel" in states[0]
    with np.load(workdir / "samples/deep.npz") as samples:
        kept = {name: samples[name].tobytes() for name in samples}
    return (workdir / "metrics.jsonl").read_bytes(), states, kept


def test_killed_anywhere_it_continues_to_the_same_numbers(fates, uninterrupted, tmp_path):
    points = [["write", 4], ["save", 3], ["rename", 2], ["replace", 2], ["write", 9], ["save", 4], ["replace", 3]]
    moments = [["after", random.uniform(0.3, 2.0)] for _ in range(2)]  # other ones in every run of the tests
    ended, errors = fates(tmp_path, [[*fate, "SIGKILL"] for fate in points + moments] + [["none"]])
    assert [entry["status"] for entry in ended[: len(points)]] == [-9] * len(points)
    assert ended[-1]["status"] == 0
    assert len({entry["lines"] for entry in ended[: len(points)]}) > 3, "the kills came at too few different moments"
    assert outcome(tmp_path) == outcome(uninterrupted)
    assert "damaged" not in errors
    assert not [*tmp_path.glob("*tmp*"), *tmp_path.glob("checkpoints/*/*tmp*"), *tmp_path.glob("samples/*tmp*")]


def test_ctrl_c_saves_and_exits_130_and_the_command_continues(fates, uninterrupted, tmp_path):
    stops = [["write", 3, "SIGINT"], ["write", 8, "SIGTERM"], ["write", 4, "SIGINT", "SIGINT"]]
    ended, errors = fates(tmp_path, [*stops, ["none"]])
    assert [entry["status"] for entry in ended] == [130, 143, -2, 0]
    assert f"stopped by signal 2; the same command with --workdir={tmp_path} continues" in errors
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_nothing_is_trained_or_measured_twice(fates, uninterrupted):
    before = (outcome(uninterrupted), sorted((uninterrupted / "checkpoints").rglob("*")))
    (ended,), _ = fates(uninterrupted, [["write", 1, "SIGKILL"]])  # it would die if it wrote a single line
    assert ended["status"] == 0
    assert (outcome(uninterrupted), sorted((uninterrupted / "checkpoints").rglob("*"))) == before


def test_each_line_comes_once(uninterrupted):
    lines = log.read(uninterrupted / "metrics.jsonl")
    keys = [(e["model"], e["seed"], e["step"], e["split"], e["name"]) for e in lines]
    assert len(set(keys)) == len(keys)
    assert {e["split"] for e in lines} == {"train", "validation", "test", "noise"}
    assert {e["seed"] for e in lines} == {0, 1}
    assert {e["step"] for e in lines if e["split"] == "train"} == set(range(2, 19, 2))
    assert {e["step"] for e in lines if e["split"] == "validation"} == {9, 18}
