"""Delays slow a synchronous population down, and let it jump between several frequencies."""

from typing import TYPE_CHECKING

import numpy as np

from oscnets.dynamics import graphs
from oscnets.plotting import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FREQUENCY, STRENGTH, DT = 1.5, 1.0, 0.02


def speeds(delays: np.ndarray, *, start: float, num_steps: int) -> np.ndarray:
    """Frequency of two oscillators after a run, one for each delay; before it they turned in phase at `start`.

    Args:
        delays: whole numbers of steps of 0.02 units of time.
        start: radians per unit of time.
        num_steps: more than 500.
    """
    pair, longest = np.ones((2, 2)) - np.eye(2), int(delays.max())
    past = np.broadcast_to(start * DT * np.arange(-longest, 1)[:, None], (longest + 1, 2)).astype(np.float32)
    options = {"rate": DT, "natural_frequency": FREQUENCY, "num_steps": num_steps}
    runs = [graphs.delayed_trajectory(past, STRENGTH * pair, int(delay), **options)[:, 0] for delay in delays]
    return np.array([float(run[-1] - run[-501]) / (500 * DT) for run in runs])


def branches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Delays and frequencies W = w - K sin(W delay) of the stable states in phase, where cos(W delay) > 0."""
    found = []
    for turns in range(4):
        angles = np.linspace(-np.pi / 2, np.pi / 2, 400)[1:-1] + 2 * np.pi * turns
        frequencies = FREQUENCY - STRENGTH * np.sin(angles)
        delays = angles / frequencies
        found.append((delays[delays >= 0], frequencies[delays >= 0]))
    return found


def figure(*, small: bool = False) -> "Figure":
    """Simulate and draw."""
    delays = np.arange(0, 401, 200 if small else 20)
    drawn = canvas.new_figure(5.0, 3.6)
    axes = drawn.add_subplot()
    for i, (times, frequencies) in enumerate(branches()):
        axes.plot(times, frequencies, color="#0072B2", linewidth=1, label=None if i else "theory: stable, in phase")
    for start, marker in ((FREQUENCY - 0.9 * STRENGTH, "v"), (FREQUENCY + 0.9 * STRENGTH, "^")):
        found = speeds(delays, start=start, num_steps=600 if small else 4000)
        label = f"simulated, from {start:.1f}"
        axes.plot(delays * DT, found, marker, color="#D55E00", markersize=4, fillstyle="none", label=label)
    axes.set(xlabel="delay (units of time)", ylabel="frequency (rad per unit of time)", xlim=(0, 8.2))
    axes.legend(fontsize=8)
    return drawn
