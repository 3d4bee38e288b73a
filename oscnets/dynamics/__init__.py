"""Pure dynamics, (state, drive) -> state: no parameters, no framework beyond JAX."""

from oscnets.dynamics import agreement, coupling, cvrnn, filters, graphs, kuramoto, recurrent, sphere, waves
from oscnets.dynamics._ode import as_ode
from oscnets.dynamics._scan import Reduction
from oscnets.dynamics._unroll import Auto, Checkpoint, Reverse, Store, unroll

__all__ = [
    "Auto",
    "Checkpoint",
    "Reduction",
    "Reverse",
    "Store",
    "agreement",
    "as_ode",
    "coupling",
    "cvrnn",
    "filters",
    "graphs",
    "kuramoto",
    "recurrent",
    "sphere",
    "unroll",
    "waves",
]


def __dir__() -> list[str]:
    return __all__
