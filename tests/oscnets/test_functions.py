"""What holds for every public function: types, NaN, batches, promotion, and what eager calls cost."""

from contextlib import contextmanager
from functools import cache
from types import ModuleType

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.oscnets import functions, sequence_functions

CASES = functions.CASES | sequence_functions.CASES
MODULES = functions.MODULES + sequence_functions.MODULES
NOT_OF_ARRAYS = functions.NOT_OF_ARRAYS | sequence_functions.NOT_OF_ARRAYS
SMOOTH = [name for name, case in CASES.items() if case.smooth]
TYPED = [name for name, case in CASES.items() if case.typed]
BATCHED = [name for name, case in CASES.items() if any(axis is not None for axis in case.batched)]
# Of each row every function gets one, in turn: each type is compiled for.
TYPES = (("bool", "uint8", "int32"), ("float16", "bfloat16"), ("float64", "list"))


def leaves(out):
    return [np.asarray(x) for x in jax.tree.leaves(out)]


def scalar(case):
    """A function of the arrays to one number: its outputs times constants, through sines so that it is no sum."""

    def fn(*arrays):
        out = jax.tree.leaves(case.fn(*arrays))
        return sum(
            (jnp.sin(x) * np.random.default_rng(i).normal(size=x.shape).astype(x.dtype)).sum()
            for i, x in enumerate(out)
            if jnp.issubdtype(x.dtype, jnp.floating)
        )

    return fn


@cache
def program(name):
    return jax.jit(CASES[name].fn)


@cache
def values_and_gradient(name):
    """What a function gives and, where it is smooth, the gradient of `scalar` in all arrays, as one program."""
    case = CASES[name]
    gradient = jax.grad(scalar(case), range(len(case.arrays))) if case.smooth else lambda *_: ()
    return jax.jit(lambda *arrays: (case.fn(*arrays), gradient(*arrays)))


def test_every_public_function_is_in_the_table():
    covered = {name.split("[")[0] for key in CASES for name in key.split(", ")}
    missing = [
        full
        for module in MODULES
        for name in module.__all__
        if name not in NOT_OF_ARRAYS.get(short := module.__name__.removeprefix("oscnets."), ())
        and not isinstance(getattr(module, name), ModuleType)
        and (full := f"{short}.{name}") not in covered
    ]
    assert missing == []


def cast(x, kind):
    return (
        x.astype(np.float32).tolist()
        if kind == "list"
        else x.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    )


@pytest.mark.parametrize("name", TYPED)
def test_arrays_of_any_type_are_computed_in_a_floating_type(name):
    case, number = CASES[name], TYPED.index(name)
    kept = len(case.arrays) - case.positive
    for kind in (row[number % len(row)] for row in TYPES):
        given = [cast(x, kind) if i < kept else x.astype(np.float32) for i, x in enumerate(case.arrays)]
        found = leaves((case.fn if kind == "list" else program(name))(*given))
        expected = leaves(program(name)(*(np.asarray(x).astype(np.float32) for x in given)))
        half = kind in ("float16", "bfloat16")
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape
            assert jnp.issubdtype(a.dtype, jnp.floating) or a.dtype == b.dtype
            assert half or a.dtype == b.dtype
            finite = np.isfinite(b)
            tolerance = 0.1 * max(1.0, np.abs(b[finite]).max(initial=0)) if half else 1e-5
            np.testing.assert_allclose(a.astype(np.float32)[finite], b[finite], atol=tolerance, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].keeps_nan])
def test_nan_in_is_nan_out(name):
    case = CASES[name]
    floating = lambda out: [x for x in leaves(out) if x.dtype.kind == "f"]  # noqa: E731
    for i, x in enumerate(case.arrays[: len(case.arrays) - case.positive]):
        spoilt = [np.array(y, np.float32) for y in case.arrays]
        spoilt[i][...] = np.nan
        assert any(np.isnan(y).any() for y in floating(program(name)(*spoilt))), f"argument {i}"
        if case.batched[i] is not None and x.shape[case.batched[i]] > 1 and not case.reduces:
            spoilt[i] = np.array(x, np.float32)
            np.moveaxis(spoilt[i], case.batched[i], 0)[1] = np.nan
            out = floating(program(name)(*spoilt))
            assert any(np.isnan(y).any() for y in out), f"one image of argument {i}"
            assert all(np.isfinite(y).any() for y in out), f"other images than the one of argument {i}"


@pytest.mark.parametrize("name", CASES)
def test_promotion_may_be_strict(name):
    case, arrays = CASES[name], [jnp.asarray(x, jnp.float32) for x in CASES[name].arrays]
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(case.fn, *arrays)
        if case.smooth:
            jax.eval_shape(jax.grad(lambda *arrays: jax.tree.leaves(case.fn(*arrays))[0].sum()), *arrays)


@pytest.mark.parametrize("name", [name for name in BATCHED if not CASES[name].reduces])
def test_batches_are_of_any_number_of_images(name):
    case = CASES[name]
    arrays = [np.asarray(x, np.float32) for x in case.arrays]
    pairs = zip(arrays, case.batched, strict=True)
    empty = [x if axis is None else np.take(x, [], axis) for x, axis in pairs]
    whole, none = leaves(program(name)(*arrays)), leaves(program(name)(*empty))
    assert [x.ndim for x in none] == [x.ndim for x in whole]
    assert any(x.size == 0 for x in none)
    if case.smooth:
        assert jax.eval_shape(jax.grad(scalar(case)), *empty).size == 0


@contextmanager
def compilations():
    found = []
    listen = lambda event, *_, **__: found.append(event) if "backend_compile" in event else None  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", TYPED)
def test_eager_calls_compile_once(name):
    case = CASES[name]
    arrays = [jnp.asarray(x, jnp.float32) for x in case.arrays]
    jax.block_until_ready(case.fn(*arrays))
    with compilations() as found:
        jax.block_until_ready(case.fn(*arrays))
    assert found == []
