"""Two processes on one machine make one run: same numbers, one signal for both, and the death of one is no loss."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.engine.process import hosts
from experiments.engine.process.errors import CheckpointError, UsageError
from experiments.engine.record import metrics_log as log

ROOT = Path(__file__).parents[3]
TIMEOUT = 240  # seconds


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    quick = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return os.environ | quick | {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PLATFORMS": "cpu"}


def start(environment, workdir, *arguments, size="tiny"):
    command = [
        sys.executable,
        "-m",
        "tests.experiments.multihost.quiet",
        f"--config=tests/experiments/engine/toy_config.py:{size}",
    ]
    command += [f"--workdir={workdir}", "--models=deep", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)


def start_two(environment, workdir, *arguments, size="tiny"):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    own = [f"--coordinator=localhost:{port}", "--num_processes=2", "--config.cpu_devices=2"]
    return [start(environment, workdir, *own, f"--process_id={i}", *arguments, size=size) for i in range(2)]


def finish(processes):
    """Exit statuses, and what was said on stderr."""
    try:
        said = [process.communicate(timeout=TIMEOUT)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def await_lines(workdir, count, processes):
    deadline = time.monotonic() + TIMEOUT
    while len(log.read(workdir / "metrics.jsonl")) < count:
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes), finish(processes)
        time.sleep(0.05)


def metrics(workdir):
    lines = log.read(workdir / "metrics.jsonl")
    assert len({json.dumps({**entry, "value": 0}) for entry in lines}) == len(lines)
    return {
        (e["model"], e["seed"], e["step"], e["split"], e["name"], time): value
        for e in lines
        for time, value in enumerate(np.atleast_1d(e["value"]))
    }


@pytest.fixture(scope="module")
def alone(environment, tmp_path_factory):
    """Metrics of one process on one device, given the size."""
    found = {}

    def train(size, *arguments):
        if size not in found:
            workdir = tmp_path_factory.mktemp("alone")
            statuses, said = finish([start(environment, workdir, "--config.cpu_devices=1", *arguments, size=size)])
            assert statuses == [0], said
            found[size] = metrics(workdir)
        return found[size]

    return train


def test_two_processes_give_the_numbers_of_one_device(environment, alone, tmp_path):
    statuses, said = finish(start_two(environment, tmp_path, "--config.mesh=2x2"))
    assert statuses == [0, 0], said
    assert metrics(tmp_path) == pytest.approx(alone("tiny"), rel=1e-4, abs=1e-5)
    assert json.loads((tmp_path / "config.json").read_text())["device"]["count"] == 4
    assert (tmp_path / "samples/deep.npz").exists()


@pytest.mark.endurance
@pytest.mark.parametrize(("how", "together"), [(signal.SIGTERM, True), (signal.SIGKILL, False)])
def test_what_befalls_one_process_is_no_loss(environment, alone, tmp_path, how, together):
    """The rest is done by two processes again, or by one on one device."""
    every = "--config.checkpoint_every=20"
    processes = start_two(environment, tmp_path, every, size="long")
    await_lines(tmp_path, 100, processes)
    processes[1].send_signal(how)
    statuses, said = finish(processes)
    assert statuses == [143, 143] if together else 0 not in statuses, said
    if together:
        statuses, said = finish(start_two(environment, tmp_path, every, size="long"))
    else:
        statuses, said = finish([start(environment, tmp_path, every, "--config.cpu_devices=1", size="long")])
        assert "config.cpu_devices 2, now 1" in said[0]
    assert not any(statuses), said
    assert metrics(tmp_path) == pytest.approx(alone("long", every), rel=1e-3, abs=1e-4)


@pytest.mark.endurance
def test_a_refused_workdir_ends_both(environment, tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    statuses, said = finish(start_two(environment, tmp_path))
    assert statuses[0] == 2 and statuses[1] != 0
    assert "error: workdir" in said[0] and "holds metrics.jsonl" in said[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("here", 2, 0), "coordinator=here: expected HOST:PORT or auto"),
        (("here:0", 2, 0), "expected HOST:PORT or auto"),
        (("here:99", 2, None), "needs --num_processes and --process_id"),
        (("here:99", 0, 0), "num_processes=0: expected an int >= 1"),
        (("here:99", 2, 2), "process_id=2: expected 0 to 1"),
        ((None, 2, None), "need --coordinator"),
    ],
)
def test_flags_that_make_no_sense(given, said):
    with pytest.raises(UsageError, match=said):
        hosts.start(*given)


def test_one_process_is_the_first_and_agrees_with_itself():
    hosts.start(None, None, None)
    assert (hosts.count(), hosts.is_first()) == (1, True)
    assert hosts.agree([3, 4]).tolist() == [[3, 4]]
    assert hosts.on_first(divmod, 7, 2) == (3, 1)
    hosts.leave(3)  # returns


def test_results_and_errors_of_the_first_process_reach_the_others(monkeypatch):
    """The other process's side, with the messages of the first one."""
    sent = []
    monkeypatch.setattr(hosts, "count", lambda: 2)
    monkeypatch.setattr(hosts, "_from_first", lambda content: sent.append(content) or sent[0])
    assert hosts.on_first(lambda: {"step": 3}) == {"step": 3}
    assert json.loads(sent[0]) == {"value": {"step": 3}}
    monkeypatch.setattr(hosts, "is_first", lambda: False)
    assert hosts.on_first(lambda: 1 / 0) == {"step": 3}
    sent[0] = json.dumps({"error": "CheckpointError", "text": "all damaged"}).encode()
    with pytest.raises(CheckpointError, match="all damaged"):
        hosts.on_first(lambda: 1 / 0)
