"""Products of lower precision on a CPU: rounded operands, wherever a product stands; the table."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import precision
from oscnets.dynamics import coupling, kuramoto, unroll
from tests.helpers import assert_close

rng = np.random.default_rng(0)
A, B = rng.normal(size=(3, 3, 16)).astype(np.float32), rng.normal(size=(3, 16, 3)).astype(np.float32)


def bfloat16(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def tensorfloat32(x):
    """Rounded to the nearest number of 10 bits of mantissa, by whole numbers."""
    bits = x.view(np.uint32)
    return (((bits + 0xFFF + ((bits >> 13) & 1)) >> 13) << 13).view(np.float32)


def error(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def test_products_are_rounded_as_by_hand():
    run = lambda *way: jax.jit(precision.emulated(jnp.matmul, *way))(A, B)[0]  # noqa: E731
    assert_close(run("default", "tpu"), bfloat16(A) @ bfloat16(B), 1e-6)
    assert_close(run("default", "gpu"), tensorfloat32(A) @ tensorfloat32(B), 1e-6)
    assert np.array_equal(run("high", "gpu"), run("default", "gpu"))
    turned = jax.jit(precision.emulated(jnp.matmul, "default", "tpu"))(A + 1j * A[::-1], B)[0]
    assert_close(turned, bfloat16(A) @ bfloat16(B) + 1j * bfloat16(A[::-1]) @ bfloat16(B), 1e-6)
    exact = A.astype(np.float64) @ B.astype(np.float64)
    errors = [error(np.asarray(run(*way)), exact) for way in precision.WAYS.values()]
    assert errors[0] < 1e-6 and 1e-7 < errors[1] < 2e-5 and 1e-5 < errors[2] < 2e-3 and 1e-3 < errors[3] < 2e-2


def loop(a, b):
    """Products in a scan, a while loop, a branch, a checkpoint and a call, one after the other."""
    step = lambda x: jnp.tanh(x @ b @ a / 10)  # noqa: E731
    x = unroll(step, a, 2, checkpoint_every=1)[0]
    x = jax.lax.while_loop(lambda pair: pair[0] < 2, lambda pair: (pair[0] + 1, step(pair[1])), (0, x))[1]
    return jax.lax.cond(x.sum() > 1e9, jnp.zeros_like, jax.jit(step), x)


def phases_of(phases, kernel):
    return kuramoto.conv_step(phases, jnp.ones((5, 4, 2)), kernel, rate=0.1, epsilon=0.2, method="transform").sum()


@pytest.mark.parametrize(
    ("function", "arrays", "least"),
    [
        (loop, (A, B), 6),
        (jax.grad(phases_of, (0, 1)), (rng.normal(size=(5, 4, 2)), rng.normal(size=(3, 3, 2, 2))), 12),
    ],
)
def test_no_product_is_left_out_and_all_else_is_as_it_was(function, arrays, least):
    arrays = [np.asarray(x, np.float32) for x in arrays]
    rounded = list(products(jax.make_jaxpr(precision.emulated(function, "default", "tpu"))(*arrays).jaxpr))
    assert all(rounded) and len(rounded) >= least
    exact = jax.jit(precision.emulated(function, "highest", "tpu"))(*arrays)
    assert_close(exact, jax.tree.leaves(jax.jit(function)(*arrays)), 1e-5)


def products(jaxpr):
    """Of every product in a program, whether both operands were rounded just before."""
    made = {id(x): each.primitive.name for each in jaxpr.eqns for x in each.outvars}
    for each in jaxpr.eqns:
        if each.primitive.name in ("dot_general", "conv_general_dilated"):
            yield all(made.get(id(x)) == "reduce_precision" for x in each.invars)
        for inner in precision._programs(each.params):
            yield from products(inner)


def test_products_inside_what_is_not_known_are_an_error():
    solve = partial(jax.lax.custom_linear_solve, lambda x: A[0, :, :3] @ x, solve=lambda _, b: b, symmetric=True)
    with pytest.raises(NotImplementedError, match="products inside the operation custom_linear_solve"):
        precision.emulated(solve, "default", "tpu")(A[0, :, 0])


def test_the_command_writes_the_table(tmp_path, capsys, monkeypatch):
    case = precision.dynamics.Dynamics(
        lambda x, kernel: coupling.neighbourhood_sum(x[0], coupling.prepare_kernel(kernel, (4, 4), method="direct")),
        ((2, 4, 4, 2, 3), (3, 3, 2, 2)),
        None,
    )
    monkeypatch.setitem(precision.dynamics.DYNAMICS, "graph_trajectory", lambda: case)
    assert bench.main(["precision", "--names", "graph_trajectory", f"--workdir={tmp_path}"]) == 0
    rows = json.loads((tmp_path / "precision.json").read_text())["rows"]
    assert [row["direction"] for row in rows] == ["forward", "gradient"]
    assert all(row["highest"] < row["high and default, GPU"] < row["default, TPU"] for row in rows)
    text = (tmp_path / "precision.md").read_text()
    assert text == capsys.readouterr().out
    assert text.startswith("| dynamics | direction | highest | high, TPU | high and default, GPU | default, TPU |")
    assert bench.main(["precision", "--names", "waves"]) == 2
