"""Sides in processes of their own: turns, memory, noise on standard output, deaths."""

import itertools
import os
import signal
import sys

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import harness

TOY = "tests.experiments.bench.toy"


def test_sides_take_turns_after_a_warm_up(tmp_path):
    path = tmp_path / "order"
    options = [{"name": name, "path": str(path), "seconds": wait} for name, wait in (("a", 0.05), ("b", 0.0))]
    with harness.Worker(f"{TOY}:note", options[0]) as a, harness.Worker(f"{TOY}:note", options[1]) as b:
        seconds = harness.alternate({"a": a, "b": b}, rounds=3)
        facts = [worker.ask("facts") for worker in (a, b)]
    turns = [(name, len(list(runs))) for name, runs in itertools.groupby(path.read_text().split())]
    assert [name for name, _ in turns] == ["a", "b"] * 3
    assert all(runs >= 2 for _, runs in turns)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    assert all(value >= 0.05 for value in seconds["a"])
    assert all(value < 0.05 for value in seconds["b"])
    assert [fact["name"] for fact in facts] == ["a", "b"]
    assert len({os.getpid(), *(fact["process"] for fact in facts)}) == 3


def test_a_turn_is_many_runs_of_a_short_program(monkeypatch):
    """The first run does not count, and of the others the median does; a long run has one that counts."""
    now, taken = [0.0], iter([5.0, 0.07, 0.09, 0.08])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(harness, "TURN", 5.2)

    def run():
        now[0] += next(taken)

    assert harness.turn(run) == pytest.approx(0.08)
    taken = iter([9.0, 8.0])
    assert harness.turn(run) == pytest.approx(8.0)


def test_memory_where_the_system_does_not_tell_it(tmp_path, monkeypatch):
    assert harness.peak_rss_mb() > 10
    monkeypatch.setattr(harness, "Path", lambda _: tmp_path / "absent")
    assert harness.peak_rss_mb() > 10
    monkeypatch.setitem(sys.modules, "resource", None)
    assert np.isnan(harness.peak_rss_mb())


def test_a_side_that_prints_does_not_break_the_answers(capfd):
    with harness.Worker(f"{TOY}:chatter", {}) as worker:
        assert worker.ask("turn")["seconds"] >= 0
        assert worker.ask("facts")["peak_rss_mb"] > 0
    out, err = capfd.readouterr()
    assert out == ""
    first, *others = err.splitlines()
    assert first == "hello from the start"
    assert others == ["hello from a run", "and from below Python"] * (len(others) // 2)


def test_peak_memory_is_the_sides_own_and_keeps_what_was_freed():
    mine = np.ones(2**26)  # 512 MB here, which a child must not inherit
    with harness.Worker(f"{TOY}:hungry", {"megabytes": 200}) as worker:
        before = worker.ask("facts")["peak_rss_mb"]
        worker.ask("turn")
        after = worker.ask("facts")["peak_rss_mb"]
    assert mine.nbytes == 2**29
    assert before < 300
    assert 195 < after - before < 300


@pytest.mark.parametrize(
    ("when", "question", "said"), [("start", "facts", "no device"), ("run", "turn", "out of memory")]
)
def test_a_dead_side_is_an_error_and_says_why(when, question, said, capfd):
    with (
        harness.Worker(f"{TOY}:broken", {"when": when}) as worker,
        pytest.raises(harness.SideError, match=r"toy:broken ended with status 1"),
    ):
        worker.ask(question)
    assert said in capfd.readouterr().err


def test_a_side_whose_time_is_up_has_no_further_turn(tmp_path):
    options = {"name": "a", "path": str(tmp_path / "order")}
    with (
        harness.Worker(f"{TOY}:note", options) as quick,
        harness.Worker(f"{TOY}:note", options | {"seconds": 600}, limit=0.5) as slow,
    ):
        seconds = harness.alternate({"quick": quick, "slow": slow}, rounds=2)
        assert [len(seconds[name]) for name in ("quick", "slow")] == [2, 0]
        with pytest.raises(harness.SideTimeoutError, match=r"toy:note took over 0\.5 s"):
            slow.ask("facts")


def test_a_worker_ends_with_its_context(tmp_path):
    with harness.Worker(f"{TOY}:note", {"name": "a", "path": str(tmp_path / "order")}) as worker:
        process = worker.ask("facts")["process"]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_an_entry_compares_medians():
    facts = {"compile_seconds": 7.0, "peak_rss_mb": 900.0}
    entry = harness.case([0.5, 0.1, 9.0], [2.0, 1.0, 8.0], {"batch_size": 10}, facts, {})
    assert entry["images_per_second"] == pytest.approx(20)
    assert entry["peer_images_per_second"] == pytest.approx(5)
    assert entry["ratio"] == pytest.approx(4)
    assert (entry["compile_seconds"], entry["peak_rss_mb"]) == (7.0, 900.0)
    assert entry["milliseconds"] == pytest.approx([500, 100, 9000])
    alone = harness.case([0.5], None, {"batch_size": 10}, facts, {})
    assert (alone["images_per_second"], alone["peer_images_per_second"], alone["ratio"]) == (20, None, None)


def test_a_termination_ends_the_sides_first(monkeypatch):
    sides = []

    def run(_):
        with harness.Worker(f"{TOY}:chatter", {}) as worker:
            sides.append(worker._process)
            os.kill(os.getpid(), signal.SIGTERM)
            worker.ask("turn")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(bench, "run", run)
    with pytest.raises(SystemExit, match="143"):
        bench.main(["compile", "--list"])
    assert sides[0].poll() is not None
    assert signal.getsignal(signal.SIGTERM) is before
