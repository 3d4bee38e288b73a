"""A LinOSS layer by several codes: they agree, and are measured in turns."""

import json

import jax
import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import filters
from tests.helpers import assert_close


def test_all_sides_are_the_same_layer():
    params = filters.layer_parameters(channels=3, units=4)
    inputs = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    expected, *others = (filters.layer(name, params)(params, inputs) for name in ("scan", "oscnets", "published"))
    for found in others:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_discretax_is_the_same_layer():
    pytest.importorskip("discretax", reason="needs the extra bench")
    params = filters.layer_parameters(channels=3, units=4)
    inputs = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)

    def gradient(name):
        run = filters.layer(name, params)
        return jax.grad(lambda *x: (run(*x) ** 2).sum(), (0, 1))(params, inputs)

    assert_close(gradient("discretax"), gradient("oscnets"), 1e-4)


def test_the_command_writes_a_table(tmp_path, capsys):
    arguments = ["--lengths", "8", "--batch_size=1", "--channels=2", "--rounds=1", f"--workdir={tmp_path}"]
    assert bench.main(["filters", *arguments, "--sides", "oscnets", "scan"]) == 0
    rows = json.loads((tmp_path / "filters.json").read_text())["rows"]
    assert [row["gradient"] for row in rows] == [False, True]
    assert all(seconds > 0 for row in rows for seconds in row["seconds"].values())
    assert (tmp_path / "filters.md").read_text() == capsys.readouterr().out


def test_how_a_row_reads():
    row = {"length": 1024, "gradient": True, "limit": 9, "seconds": {"oscnets": 0.02, "published": 0.1, "fft": None}}
    row["facts"] = {"oscnets": {"temporary_mb": 1234.0}, "published": {}, "fft": {}}
    line = "| 1,024 | gradient | 20 ms, 1,234 MiB | 100 ms (5 x) | over 9 s |"
    assert filters.table([row]).splitlines()[-1] == line
