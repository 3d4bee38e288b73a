"""Signals to a process whose main thread runs native code: it ends nevertheless, but not in the midst of a save."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments.engine.process import signals

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def ended():
    """(exit status, stdout, stderr) by case of tests/experiments/engine/deaf.py."""
    cases = ["stuck", "signalled_twice", "saving", "rescued", "unsaved", "beyond_rescue", "leaving"]
    command = [sys.executable, "-m", "tests.experiments.engine.deaf", *cases]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name: found for name, *found in map(json.loads, done.stdout.splitlines())}


def test_a_process_in_native_code_ends_all_the_same(ended):
    said = "\nstopped by signal 15; the same command with --workdir=/a/b continues\n"
    assert ended["stuck"] == [143, "", said]


def test_a_second_signal_ends_it_at_once(ended):
    status, _, said = ended["signalled_twice"]
    assert status == 130
    assert "stopped by signal 2" in said


def test_a_save_under_way_is_waited_for(ended):
    assert ended["saving"][:2] == [143, "saved\n"]


def test_another_thread_saves_for_a_process_in_native_code(ended):
    assert ended["rescued"][:2] == [143, "saved\n"]


def test_a_rescue_that_fails_says_so(ended):
    status, _, said = ended["unsaved"]
    assert status == 143
    assert "error: the disk is full" in said


def test_a_rescue_that_does_not_end_is_not_waited_for(ended):
    assert ended["beyond_rescue"][:2] == [143, ""]


def test_a_loop_that_leaves_in_time_is_not_ended(ended):
    assert ended["leaving"][:2] == [7, "alive True -1\n"]


def test_a_process_that_may_not_be_ended_has_no_watching_thread():
    threads = threading.active_count()
    with signals.Stop() as running:
        assert threading.active_count() == threads
        os.kill(os.getpid(), signal.SIGTERM)
        assert running.signum == signal.SIGTERM
        with pytest.raises(signals.Interrupted, match="stopped by signal 15"):
            running.check()
