"""Lengths of calls: about a second each, never longer than asked for, and never a leap."""

import itertools
from types import SimpleNamespace

import pytest

from experiments.engine.training import pace


def lengths(monkeypatch, seconds_a_step, limit=64, at_most=10**6, calls=12, between=0.0):
    """Of calls one after the other, on a clock that only these move, and what is done between them."""
    clock = [0.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    chosen, found = pace.Pace(limit), []
    for _ in range(calls):
        began = clock[0]
        found.append(chosen.next(at_most))
        clock[0] += seconds_a_step * found[-1]
        assert chosen.settled(found[-1], began) == pytest.approx(seconds_a_step * found[-1])
        clock[0] += between
    return found


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 10), (0.3, 3), (1.0, 1), (40.0, 1), (1e-6, 64), (0.0, 64)])
def test_a_call_takes_about_a_second(monkeypatch, seconds, expected):
    found = lengths(monkeypatch, seconds)
    assert found[0] == found[1] == 1, "the first call compiles, and says nothing of the pace"
    assert all(later <= 2 * earlier for earlier, later in itertools.pairwise(found))
    assert abs(found[-1] - expected) <= 1


def test_no_call_is_longer_than_asked_for(monkeypatch):
    assert max(lengths(monkeypatch, 1e-6, at_most=5)) == 5
    assert max(lengths(monkeypatch, 1e-6, limit=7)) == 7


def test_what_is_done_between_calls_does_not_count(monkeypatch):
    assert lengths(monkeypatch, 0.125, between=64.0) == lengths(monkeypatch, 0.125)


def test_a_call_that_waits_for_the_one_before_begins_when_that_ends(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    chosen = pace.Pace(64)
    taken = []
    for ended in (3.0, 4.0, 6.0):  # the next one is started a second before
        clock[0] = ended
        taken.append(chosen.settled(1, ended - 3.0))
    assert taken == [3.0, 1.0, 2.0]
