"""The waves of all steps at once: the run of the loop, and its gradients, by both iterations."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import parallel_waves
from tests.helpers import assert_close


@pytest.fixture(scope="module")
def params():
    return parallel_waves.network("initial", 2, 5)


@pytest.mark.parametrize("method", ["scan", "associative"])
@pytest.mark.parametrize("name", parallel_waves.SOLVERS)
def test_the_fixed_point_is_the_loop(params, name, method):
    steps = 8  # as many iterations are exact

    def value_and_gradient(run):
        return jax.jit(jax.value_and_grad(lambda params: jnp.square(run(params) + 1).sum()))(params)

    expected = value_and_gradient(lambda params: parallel_waves.sequential(params, steps))
    found = value_and_gradient(lambda params: parallel_waves.solve(name, params, steps, steps, method))
    assert_close(found, expected, 1e-5)


def test_iterations_are_fewer_where_more_error_is_allowed(params):
    few, more, never = parallel_waves.iterations("picard", params, 8, (1e-1, 1e-4, -1.0))
    assert 0 < few < more <= 8 and never is None


def test_the_command_writes_a_table(tmp_path, capsys):
    arguments = ["--sizes", "5", "--num_steps", "4", "--channels", "1", "--rounds=1", f"--workdir={tmp_path}"]
    assert bench.main(["parallel_waves", *arguments]) == 0
    trained, initial = json.loads((tmp_path / "parallel_waves.json").read_text())["rows"]
    assert (trained["channels"], initial["channels"]) == (2, 1)
    assert all(ms > 0 for part in trained["milliseconds"].values() for ms in part.values())
    text = (tmp_path / "parallel_waves.md").read_text()
    assert text == capsys.readouterr().out
    np.testing.assert_array_equal([line.count("|") for line in text.splitlines()], 13)
