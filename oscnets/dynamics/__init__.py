"""Pure dynamics, (state, drive) -> state: no parameters, no framework beyond JAX."""

from oscnets.dynamics import coupling, kuramoto
from oscnets.dynamics.unroll import sum_over, unroll

__all__ = ["coupling", "kuramoto", "sum_over", "unroll"]
