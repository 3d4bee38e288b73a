"""Waves: the membrane of a drum, and coupled oscillators that carry waves across an image.

State is a position u and a velocity v. Steps are symplectic: the velocity moves first, the position follows with the
new velocity, so that energy stays bounded and a step can be inverted. Equation numbers are those of Jacobs, Budzinski,
Muller, Ba and Keller (2025).
"""

from oscnets.dynamics.waves.membrane import (
    drum_frequencies,
    grid_frequencies,
    laplacian,
    largest_dt,
    reverse_wave_step,
    wave_energy,
    wave_step,
    wave_vector_field,
)
from oscnets.dynamics.waves.oscillators import (
    Trajectory,
    inverse_gain,
    oscillator_step,
    oscillator_step_chwb,
    oscillator_trajectory,
    oscillator_trajectory_chwb,
    oscillator_vector_field,
    reverse_oscillator_step,
    reverse_oscillator_step_chwb,
)

__all__ = [
    "Trajectory",
    "drum_frequencies",
    "grid_frequencies",
    "inverse_gain",
    "laplacian",
    "largest_dt",
    "oscillator_step",
    "oscillator_step_chwb",
    "oscillator_trajectory",
    "oscillator_trajectory_chwb",
    "oscillator_vector_field",
    "reverse_oscillator_step",
    "reverse_oscillator_step_chwb",
    "reverse_wave_step",
    "wave_energy",
    "wave_step",
    "wave_vector_field",
]


def __dir__() -> list[str]:
    return __all__
