"""Signals to a process whose main thread does not hear them: it ends nevertheless, but not in the midst of a save."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments.engine.process import signals as stop

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ended():
    """(exit status, stdout, stderr) by case of tests/experiments/engine/deaf.py."""
    cases = ["stuck", "told_twice", "saving", "rescued", "unsaved", "beyond_rescue", "leaving"]
    command = [sys.executable, "-m", "tests.experiments.engine.deaf", *cases]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name: found for name, *found in map(json.loads, done.stdout.splitlines())}


def test_a_process_that_does_not_hear_ends_all_the_same(ended):
    said = "\nstopped by signal 15; the same command with --workdir=/a/b continues\n"
    assert ended["stuck"] == [143, "", said]


def test_a_second_signal_ends_it_at_once(ended):
    status, _, said = ended["told_twice"]
    assert status == 130
    assert "stopped by signal 2" in said


def test_a_save_under_way_is_waited_for(ended):
    assert ended["saving"][:2] == [143, "saved\n"]


def test_another_thread_saves_for_a_process_that_does_not_hear(ended):
    assert ended["rescued"][:2] == [143, "saved\n"]


def test_a_rescue_that_fails_says_so(ended):
    status, _, said = ended["unsaved"]
    assert status == 143
    assert "error: the disk is full" in said


def test_a_rescue_that_does_not_end_is_not_waited_for(ended):
    assert ended["beyond_rescue"][:2] == [143, ""]


def test_who_leaves_in_time_is_let_alone(ended):
    assert ended["leaving"][:2] == [7, "alive True -1\n"]


def test_without_leave_to_end_the_process_no_thread_watches():
    threads = threading.active_count()
    with stop.Stop() as running:
        assert threading.active_count() == threads
        os.kill(os.getpid(), signal.SIGTERM)
        assert running.signum == signal.SIGTERM
        with pytest.raises(stop.Interrupted, match="stopped by signal 15"):
            running.check()
