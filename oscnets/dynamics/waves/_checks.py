"""Checks of the arguments of membranes and oscillators."""

import math

from jax import Array

from oscnets._inputs import concrete


def check_dt(dt: Array | float) -> None:
    """Raise ValueError unless the time step is finite and > 0, or traced."""
    values = concrete(dt)
    if values is not None and not ((values > 0) & (values < math.inf)).all():
        raise ValueError(f"dt must be finite and > 0, got {dt}")
