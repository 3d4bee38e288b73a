"""Lengths of calls: about a second each, never longer than asked for, and never a leap."""

import itertools
from types import SimpleNamespace

import pytest

from experiments.engine import pace


def lengths(monkeypatch, seconds_a_step, limit=64, at_most=10**6, calls=12):
    """Of calls one after the other, on a clock that only these move."""
    clock = [0.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    chosen, found = pace.Pace(limit), []
    for _ in range(calls):
        found.append(chosen.next(at_most))
        clock[0] += seconds_a_step * found[-1]
        chosen.settled(found[-1])
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
