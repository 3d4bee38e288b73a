"""Functions whose closed-over arrays became arguments, for custom rules for derivatives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

PyTree = Any


class Hoisted:
    """A function of arrays whose closed-over arrays became arguments: (*args, consts) -> what the function returns."""

    def __init__(self, fn: Callable, *examples: PyTree):
        closed, out = jax.make_jaxpr(fn, return_shape=True)(*examples)
        self.consts, self._jaxpr, self.out = closed.consts, closed.jaxpr, out

    def __call__(self, *args: PyTree) -> PyTree:
        *args, consts = args
        out = jaxpr_as_fun(ClosedJaxpr(self._jaxpr, consts))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(self.out), out)


def split(arrays: PyTree) -> tuple[PyTree, PyTree]:
    """Those that can be differentiated, and the others, with None in the places of the other part."""
    is_float = lambda x: jnp.issubdtype(jnp.result_type(x), jnp.inexact)  # noqa: E731
    floats = jax.tree.map(lambda x: jnp.asarray(x) if is_float(x) else None, arrays)
    return floats, jax.tree.map(lambda x: None if is_float(x) else x, arrays)


def join(floats: PyTree, others: PyTree) -> PyTree:
    """What was split."""
    return jax.tree.map(lambda a, b: b if a is None else a, floats, others, is_leaf=lambda x: x is None)


def add(a: PyTree, b: PyTree) -> PyTree:
    """The sum of two pytrees of one structure."""
    return jax.tree.map(jnp.add, a, b)
