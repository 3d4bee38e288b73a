"""A wave that travels over a graph like a connectome: areas on a sheet, links that grow rare with distance, delays."""

from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
import scipy.sparse

from oscnets import plotting
from oscnets.dynamics import graphs
from oscnets.plotting import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DT = 1e-3  # seconds
SPEED = 3.0  # of conduction, mm per ms
STRENGTH = 40.0  # sum of the couplings that a unit receives, rad / s
REACH, DEGREE = 15.0, 20.0  # mm over which links grow rarer by e; links of a unit
CENTRE, PATCH = (-60.0, 0.0), 15.0  # of the faster units, mm


class Wave(NamedTuple):
    """A run on a sheet."""

    places: np.ndarray  # (N, 2) mm
    phases: np.ndarray  # (T, N), every millisecond
    away: np.ndarray  # (N,) mm, distance from the middle of the faster patch


def graph(units: int, seed: int) -> tuple[np.ndarray, np.ndarray, scipy.sparse.coo_array]:
    """Places on an ellipse of 180 by 120 mm, their distances, and couplings, of which each unit receives 1 in all."""
    rng = np.random.default_rng(seed)
    radius, angle = np.sqrt(rng.uniform(size=units)), rng.uniform(0, 2 * np.pi, units)
    places = np.stack([90 * radius * np.cos(angle), 60 * radius * np.sin(angle)], axis=1)
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    chance = np.exp(-distances / REACH) * ~np.eye(units, dtype=bool)
    chance *= min(DEGREE, units / 2) * units / chance.sum()
    linked = np.triu(rng.uniform(size=chance.shape) < chance, 1)
    weights = (linked | linked.T) * rng.lognormal(0, 0.5, chance.shape)
    return places, distances, scipy.sparse.coo_array(weights / np.maximum(weights.sum(1, keepdims=True), 1e-9))


def simulate(*, units: int, num_steps: int, seed: int = 0) -> Wave:
    """Oscillators of 10 Hz, in a patch up to 12 Hz, which hear each other as late as their distance takes."""
    places, distances, links = graph(units, seed)
    delays = np.round(distances[links.row, links.col] / SPEED).astype(int)  # steps of a millisecond
    away = np.linalg.norm(places - CENTRE, axis=1)
    frequency = 2 * np.pi * (10 + 2 * np.exp(-((away / PATCH) ** 2)))
    start = np.asarray(jax.random.uniform(jax.random.key(seed), (units,), maxval=0.5))
    history = start + 2 * np.pi * 10 * DT * np.arange(-delays.max(), 1)[:, None]
    options = {"rate": DT, "natural_frequency": frequency, "num_steps": num_steps}
    run = graphs.delayed_trajectory(np.float32(history), np.float32(STRENGTH) * links, delays, **options)
    return Wave(places, np.asarray(run), away)


def figure(*, small: bool = False) -> "Figure":
    """The sheet at four times, 30 ms apart, and the phase against the distance from the faster patch."""
    run = simulate(units=30 if small else 400, num_steps=200 if small else 4000)
    drawn = canvas.new_figure(11.0, 2.2)
    cells = drawn.subplots(1, 5, width_ratios=[1, 1, 1, 1, 0.8])
    for i, axes in enumerate(cells[:4]):
        _draw(axes, run.places, run.phases[-91 + 30 * i], f"{30 * i} ms")
    cells[4].plot(run.away, run.phases[-1] - run.phases[-1, run.away.argmin()], "o", markersize=2, color="#0072B2")
    cells[4].set(xlabel="distance (mm)", ylabel="phase (rad)")
    return drawn


def _draw(axes, places: np.ndarray, phases: np.ndarray, title: str) -> None:
    axes.scatter(*places.T, c=plotting.phase_colours(phases), s=14)
    axes.plot(*CENTRE, "x", color="black")
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


def animation(*, small: bool = False) -> plotting.Animation:
    """One second of the wave, a hundredth of the speed."""
    run = simulate(units=30 if small else 400, num_steps=200 if small else 4000)
    frames = run.phases[-150::10]
    drawn = canvas.new_figure(4.0, 2.9)
    axes = drawn.add_subplot()

    def show(i: int) -> None:
        axes.clear()
        _draw(axes, run.places, frames[i], f"{10 * i} ms")

    return plotting.Animation(drawn, show, len(frames))
