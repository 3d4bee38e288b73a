"""The main programs of the notebooks in `colabs`, at their own sizes, for `programs`.

What stands before a program in its notebook runs, here on the CPU; the program itself is caught when it is called.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

FOLDER = Path(__file__).parents[3] / "colabs"
# Functions under `jax.jit` that take most of a notebook's time, by notebook.
FUNCTIONS = {
    "01_kuramoto_from_scratch": ("segment",),
    "02_komplexnet": ("update",),
    "03_drum_and_waves": ("simulate", "update"),
    "04_gaspnet": ("update",),
    "05_your_own_model": ("update",),
    "06_any_solver": ("solve", "influence"),
    "07_spheres_and_objects": ("update", "update_autoencoder"),
}


class _Called(Exception):
    """The program that was looked for: function, options of `jax.jit`, arguments."""


def names() -> list[str]:
    """NOTEBOOK/FUNCTION; none in an installation without the notebooks."""
    return [f"{name}/{each}" for name, functions in FUNCTIONS.items() for each in functions if _script(name).is_file()]


def program(notebook: str, function: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function of a notebook and the arguments of its first call.

    Other functions of `FUNCTIONS` give zeros, so that no training is waited for.

    Raises:
        LookupError: the notebook never calls it under `jax.jit`.
    """
    import matplotlib as mpl

    jit = jax.jit

    def recording(fn: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
        if fn is None:
            return functools.partial(recording, **options)
        name = getattr(fn, "__name__", "")
        if name not in FUNCTIONS[notebook]:
            return jit(fn, **options)

        @functools.wraps(fn)
        def call(*args: Any) -> Any:
            if name == function:
                raise _Called(fn, options, args)
            return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(fn, *args))

        return call

    jax.jit = recording
    try:
        with mpl.rc_context({"backend": "agg"}):
            source = compile(_script(notebook).read_text(), str(_script(notebook)), "exec")
            exec(source, {"__name__": notebook})
    except _Called as call:
        fn, options, args = call.args
    else:
        raise LookupError(f"colabs/{notebook}.py calls no {function} under jax.jit")
    finally:
        jax.jit = jit
    return jax.jit(fn, **options), args


def _script(notebook: str) -> Path:
    return FOLDER / f"{notebook}.py"
