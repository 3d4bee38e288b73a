"""Dynamics in the form that solvers of differential equations take."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jax import Array

PyTree = Any


def as_ode(field: Callable[..., PyTree], **options: Any) -> Callable[[Array, PyTree, Mapping[str, Any] | None], PyTree]:
    """A plain function (t, y, args) -> dy / dt, as diffrax, SciPy and others integrate it.

    For `kuramoto.vector_field`, `kuramoto.conv_vector_field`, `kuramoto.agreement_vector_field`,
    `waves.wave_vector_field`, `waves.oscillator_vector_field`, or a function of one's own of the same kind.

    Args:
        field: from the state, and further arguments by name, to its velocity. It receives the time where it has an
            argument `time`.
        options: arguments that are no arrays, such as `method` or `boundary`.

    Returns:
        The function. Its state is one array, or a tuple such as (position, velocity) for solvers of pytrees such as
        diffrax; SciPy's take one flat vector. Its `args` are a dict of the other arguments of `field`, arrays that
        solvers differentiate; None without any.
    """
    timed = "time" in inspect.signature(field).parameters

    def derivative(t: Array, y: PyTree, args: Mapping[str, Any] | None = None) -> PyTree:
        state = y if isinstance(y, tuple) else (y,)
        return field(*state, **(args or {}), **options, **({"time": t} if timed else {}))

    return derivative
