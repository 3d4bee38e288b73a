"""Pure dynamics, (state, drive) -> state: no parameters, no framework beyond JAX."""

from oscnets.dynamics import agreement, coupling, kuramoto, waves
from oscnets.dynamics._unroll import sum_over, unroll

__all__ = ["agreement", "coupling", "kuramoto", "sum_over", "unroll", "waves"]
