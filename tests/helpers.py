"""What the tests of the library share: golden files, float64, comparisons, finite differences."""

import json
import os
from pathlib import Path

import jax
import numpy as np


def golden_files(pattern):
    """Paths of golden files: those of the folder that OSCNETS_GOLDEN names, where it has such, else the suite's own.

    Raises:
        FileNotFoundError: OSCNETS_GOLDEN names no folder, or one without any golden file.
    """
    folders, named = [Path(__file__).parent / "golden"], os.environ.get("OSCNETS_GOLDEN")
    if named:
        if not any(Path(named).glob("*.npz")):
            raise FileNotFoundError(f"OSCNETS_GOLDEN={named} is no folder of .npz files")
        folders.insert(0, Path(named))
    found = (sorted(folder.glob(pattern)) for folder in folders)
    return next(filter(None, found), [])


def golden_file(name):
    """The arrays of a golden file."""
    (path,) = golden_files(name)
    with np.load(path) as stored:
        return dict(stored)


def golden_cases(pattern):
    """(file name, case) of every case in golden files: what stands before "cfg", or before "x", in the keys."""
    return [
        (path.name, key.removesuffix("cfg"))
        for path in golden_files(pattern)
        for key in golden_file(path.name)
        if key == "cfg" or key.endswith("/cfg")
    ]


def golden_case(name, case):
    """Settings and arrays of a case."""
    arrays = {key.removeprefix(case): x for key, x in golden_file(name).items() if key.startswith(case)}
    return json.loads(str(arrays.pop("cfg"))), arrays


def float64():
    """A context in which JAX computes in float64."""
    enable = getattr(jax, "enable_x64", None)
    if enable is None:
        from jax.experimental import enable_x64 as enable
    return enable(True)


def in_float64(fn, *args):
    """What a function gives when it is compiled and run in float64, as NumPy arrays."""
    with float64():
        return jax.tree.map(np.asarray, jax.jit(fn)(*args))


def assert_close(found, expected, tolerance):
    """Equal trees, shapes included: errors within `tolerance` of the largest expected number of a leaf, or of 1."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.max(np.abs(b), initial=1))


def assert_finite(tree):
    bad = [jax.tree_util.keystr(path) for path, x in jax.tree.leaves_with_path(tree) if not np.isfinite(x).all()]
    assert bad == []


def assert_gradients(fn, *args, step=1e-5, tolerance=1e-7):
    """The gradient of a scalar function in each argument against central differences along a random direction.

    To be called within `float64`, with smooth functions of size about 1.
    """
    rng = np.random.default_rng(0)
    gradients = jax.jit(jax.grad(fn, argnums=tuple(range(len(args)))))(*args)
    compiled = jax.jit(fn)
    for i, gradient in enumerate(gradients):
        assert gradient.dtype == np.float64
        direction = rng.normal(size=np.shape(args[i]))
        ahead, behind = (compiled(*args[:i], args[i] + h * direction, *args[i + 1 :]) for h in (step, -step))
        slope = (ahead - behind) / (2 * step)
        assert abs(slope) > 1e-4, f"argument {i} hardly matters: nothing would be tested"
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=tolerance, atol=tolerance)


def assert_adjoints(fn, *args):
    """The gradients of a function that is linear in each argument, exactly: <ct, fn(..., d, ...)> = <d, ct of it>.

    For random directions d and a random cotangent ct, in float64 and in one program. Returns `fn(*args)`.
    """
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=np.shape(x)) for x in args]

    def run(ct, directions, *args):
        value, pull = jax.vjp(fn, *args)
        moved = [fn(*args[:i], d, *args[i + 1 :]) for i, d in enumerate(directions)]
        return (
            value,
            [(ct * m).sum() for m in moved],
            [(d * g).sum() for d, g in zip(directions, pull(ct), strict=True)],
        )

    ct = rng.normal(size=jax.eval_shape(fn, *args).shape)
    value, along, by_gradient = in_float64(run, ct, directions, *args)
    np.testing.assert_allclose(by_gradient, along, rtol=1e-10)
    return value


def slope(xs, ys):
    """Of log y over log x: the order of convergence."""
    return np.polyfit(np.log(xs), np.log(ys), 1)[0]


def random_like(init):
    """Parameters of the shapes that `init()` makes, normal numbers of spread 0.2: drawing them compiles nothing."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: 0.2 * rng.normal(size=x.shape).astype(x.dtype), jax.eval_shape(init))


def random_variables(init):
    """`random_like` for all variables of a module; variances that it keeps are positive."""
    variables = random_like(init)
    return {**variables, "batch_stats": jax.tree.map(np.abs, variables.get("batch_stats", {}))}
