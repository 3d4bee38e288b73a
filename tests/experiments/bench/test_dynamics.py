"""Simulations by several packages: they agree, are measured in turns, and are left out where they cannot be."""

import json

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import dynamics

OPTIONS = {"units": 12, "degree": 4, "num_steps": 200}


@pytest.mark.parametrize("form", dynamics.FORMS)
@pytest.mark.parametrize("name", dynamics.SIDES)
def test_all_sides_solve_the_same_equation(name, form):
    if name in ("kuramoto", "jitcode"):
        pytest.importorskip(name, reason="needs the extra bench")
    phases, frequency, coupling = dynamics.system(12, form, 4)
    dense = coupling if form == "dense" else coupling.toarray()
    np.testing.assert_allclose(dense.sum(1), dynamics.STRENGTH, rtol=1e-5)
    assert not dense.diagonal().any()
    for _ in range(2000):  # steps of a tenth
        phases = phases + dynamics.DT / 10 * (frequency + (dense * np.sin(phases - phases[:, None])).sum(1))
    run, facts = dynamics.simulation(name, form=form, **OPTIONS)
    np.testing.assert_allclose(run(), phases, atol=1e-2)
    np.testing.assert_allclose(run(), phases, atol=1e-2)  # a second time from the same start
    if name == "kuramoto":
        assert 0 < facts["evaluations"] < 10


def test_the_command_writes_a_table(tmp_path, capsys):
    arguments = ["--counts", "8", "--degree=3", "--num_steps=5", "--rounds=1", f"--workdir={tmp_path}"]
    assert bench.main(["dynamics", *arguments, "--sides", "oscnets", "numpy"]) == 0
    rows = json.loads((tmp_path / "dynamics.json").read_text())["rows"]
    assert [(row["units"], row["form"]) for row in rows] == [(8, "dense"), (8, "sparse")]
    assert all(speed > 0 for row in rows for speed in row["steps_per_second"].values())
    text = (tmp_path / "dynamics.md").read_text()
    assert text == capsys.readouterr().out and len(text.splitlines()) == 4
    assert bench.main(["dynamics", "--counts", "3", "--degree=3"]) == 2


def test_what_is_too_large_or_too_slow_for_a_side_is_left_out():
    speeds = {"oscnets": 20.0, "numpy": 0.5, "kuramoto": None, "jitcode": None}
    row = {"units": 10_000, "form": "dense", "steps_per_second": speeds, "over": ["kuramoto"], "limit": 60}
    assert dynamics.table([row]).splitlines()[-1] == "| 10,000 | dense | 20 | 0.5 (40 x) | over 60 s | - |"


def test_a_side_that_is_not_built_in_time():
    options = {"forms": ["dense"], "degree": 3, "num_steps": 5, "rounds": 1, "limit": 1e-3}
    row = next(dynamics.measure([8], ["numpy"], **options))
    assert row["over"] == ["numpy"] and row["steps_per_second"] == {"numpy": None}
