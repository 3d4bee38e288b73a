"""Delays slow a synchronous population down, and let it jump between several frequencies."""

from typing import TYPE_CHECKING

import numpy as np

from oscnets import plotting
from oscnets.dynamics import graphs
from oscnets.plotting import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FREQUENCY, STRENGTH, DT = 1.5, 1.0, 0.02


def simulate(delay: int, *, longest: int, start: float, num_steps: int, apart: float = 0.0) -> np.ndarray:
    """Phases (num_steps, 2) of two oscillators, which turned at `start` before.

    Args:
        delay: a whole number of steps of 0.02 units of time.
        longest: the longest delay, for which a run of another delay is compiled too.
        start: radians per unit of time.
        num_steps: of the run.
        apart: difference of their phases before, radians.
    """
    pair = STRENGTH * (np.ones((2, 2)) - np.eye(2))
    past = start * DT * np.arange(-longest, 1)[:, None] + np.array([0, apart])
    options = {"rate": DT, "natural_frequency": FREQUENCY, "num_steps": num_steps}
    return np.asarray(graphs.delayed_trajectory(past.astype(np.float32), pair, delay, **options))


def speeds(delays: np.ndarray, *, start: float, num_steps: int) -> np.ndarray:
    """Frequency of two oscillators after a run, one for each delay; before it they turned in phase at `start`.

    Args:
        delays: whole numbers of steps of 0.02 units of time.
        start: radians per unit of time.
        num_steps: more than 500.
    """
    options = {"longest": int(delays.max()), "start": start, "num_steps": num_steps}
    runs = [simulate(int(delay), **options)[:, 0] for delay in delays]
    return np.array([float(run[-1] - run[-501]) / (500 * DT) for run in runs])


def branches(apart: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Delays and frequencies W of the stable states whose phases are equal, or a number pi `apart`.

    W = w - K sin(W delay - apart), stable where cos(W delay - apart) > 0.
    """
    found = []
    for turns in range(4):
        angles = np.linspace(-np.pi / 2, np.pi / 2, 400)[1:-1] + 2 * np.pi * turns
        frequencies = FREQUENCY - STRENGTH * np.sin(angles)
        delays = (angles + apart) / frequencies
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


def animation(*, small: bool = False) -> plotting.Animation:
    """Two pairs with one delay, of which one was slow and the other fast, from phases apart, and their frequencies.

    Grey lines are those that are stable with equal phases, dashed ones with opposite phases.
    """
    delay, every, count = 115, 20, 4 if small else 60
    pasts = {"slow before": FREQUENCY - 0.9 * STRENGTH, "fast before": FREQUENCY + 0.9 * STRENGTH}
    options = {"longest": delay, "num_steps": count * every, "apart": 1.0}
    runs = {name: simulate(delay, start=start, **options)[::every] for name, start in pasts.items()}
    drawn = canvas.new_figure(6.2, 2.4)
    *circles, axes = drawn.subplots(1, 3, width_ratios=[1, 1, 1.4])
    colours = dict(zip(runs, ("#0072B2", "#D55E00"), strict=True))

    def show(i: int) -> None:
        axes.clear()
        for apart, style in ((0.0, "-"), (np.pi, "--")):
            for frequency in stable(delay, apart):
                axes.axhline(frequency, color="0.7", linestyle=style, linewidth=1)
        for circle, (name, run) in zip(circles, runs.items(), strict=True):
            circle.clear()
            circle.add_patch(_circle())
            for phase in run[i]:
                circle.plot([0, np.cos(phase)], [0, np.sin(phase)], "-o", color=colours[name], markersize=5)
            circle.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal", xticks=[], yticks=[])
            circle.set_title(name, fontsize=9)
            speed = np.diff(run.mean(1))[:i] / (every * DT)
            axes.plot(every * DT * np.arange(1, len(speed) + 1), speed, color=colours[name])
        axes.set(xlim=(0, count * every * DT), ylim=(0, 3), xlabel="time", ylabel="frequency (rad / unit)")

    return plotting.Animation(drawn, show, count)


def stable(delay: int, apart: float) -> list[float]:
    """The frequencies of `branches` at one delay."""
    near = [(np.abs(times - delay * DT), frequencies) for times, frequencies in branches(apart)]
    return [float(frequencies[away.argmin()]) for away, frequencies in near if away.min() < 0.05]


def _circle():
    from matplotlib.patches import Circle

    return Circle((0, 0), 1, fill=False, color="0.8")
