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

ROOT = Path(__file__).parents[4]
SIZE = "--config=tests/experiments/engine/toy_config.py:tiny,scheduled"


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
    """A run, and a second one of the same command that would die if it wrote a single line."""
    workdir = tmp_path_factory.mktemp("whole")
    ended, errors = fates(workdir, [["none"], ["write", 1, "SIGKILL"]])
    assert [entry["status"] for entry in ended] == [0, 0], errors
    assert ended[0]["lines"] == ended[1]["lines"]
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


# (fate, exit status): kills at ten different points, two stops by signal that save, and an abort by a second signal.
FATES = [
    (["write", 3, "SIGINT"], 130),
    (["write", 4, "SIGKILL"], -9),
    (["save", 3, "SIGKILL"], -9),
    (["rename", 2, "SIGKILL"], -9),
    (["write", 4, "SIGINT", "SIGINT"], -2),
    (["replace", 2, "SIGKILL"], -9),
    (["write", 6, "SIGTERM"], 143),
    (["write", 5, "SIGKILL"], -9),
    (["save", 2, "SIGKILL"], -9),
    (["replace", 2, "SIGKILL"], -9),
    (["none"], 0),
]


def test_killed_or_stopped_anywhere_it_continues_to_the_same_numbers(fates, uninterrupted, tmp_path):
    ended, errors = fates(tmp_path, [fate for fate, _ in FATES])
    assert [(entry["fate"], entry["status"]) for entry in ended] == FATES, errors
    assert len({entry["lines"] for entry in ended}) > 6, "the ends came at too few different moments"
    assert outcome(tmp_path) == outcome(uninterrupted)
    assert f"stopped by signal 2; the same command with --workdir={tmp_path} continues" in errors
    assert f"stopped by signal 15; the same command with --workdir={tmp_path} continues" in errors
    assert "damaged" not in errors
    assert not [*tmp_path.glob("*tmp*"), *tmp_path.glob("checkpoints/*/*tmp*"), *tmp_path.glob("samples/*tmp*")]


@pytest.mark.slow
def test_killed_at_any_moment_it_continues_to_the_same_numbers(fates, uninterrupted, tmp_path):
    moments = [["after", random.uniform(0.3, 2.0), "SIGKILL"] for _ in range(3)]  # other ones in every run of the tests
    ended, errors = fates(tmp_path, [*moments, ["none"]])
    assert ended[-1]["status"] == 0, (moments, errors)
    assert outcome(tmp_path) == outcome(uninterrupted), moments


def test_each_line_comes_once(uninterrupted):
    lines = log.read(uninterrupted / "metrics.jsonl")
    keys = [(e["model"], e["seed"], e["step"], e["split"], e["name"]) for e in lines]
    assert len(set(keys)) == len(keys)
    assert {e["split"] for e in lines} == {"train", "validation", "test", "noise"}
    assert {e["seed"] for e in lines} == {0, 1}
    assert {e["step"] for e in lines if e["split"] == "train"} == set(range(2, 19, 2))
    assert {e["step"] for e in lines if e["split"] == "validation"} == {0, 4, 9, 13, 18}
