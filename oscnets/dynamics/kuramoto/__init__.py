"""Kuramoto synchronization: phases coupled through kernels, graphs, or signed agreement.

State is the phase alone, in radians, never wrapped. In float32 a phase of 1e4 rad is known to 1e-3 only: a loop over
many turns keeps its frequencies where it wraps the state at every step (`oscnets.phase.wrap`), as the trajectories here
do.
"""

from oscnets.dynamics.kuramoto.graph import (
    agreement_step,
    agreement_vector_field,
    energy,
    graph_step,
    graph_trajectory,
    vector_field,
)
from oscnets.dynamics.kuramoto.kernel import (
    conv_step,
    conv_step_hwcb,
    conv_trajectory,
    conv_trajectory_hwcb,
    conv_vector_field,
    coupling_force,
)

__all__ = [
    "agreement_step",
    "agreement_vector_field",
    "conv_step",
    "conv_step_hwcb",
    "conv_trajectory",
    "conv_trajectory_hwcb",
    "conv_vector_field",
    "coupling_force",
    "energy",
    "graph_step",
    "graph_trajectory",
    "vector_field",
]


def __dir__() -> list[str]:
    return __all__
