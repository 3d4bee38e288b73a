"""A chimera: identical oscillators on a ring, of which some synchronize and the others do not."""

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oscnets import analysis, plotting
from oscnets.dynamics import kuramoto
from oscnets.plotting import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Abrams and Strogatz, 2004: coupling (1 + A cos x) / (2 pi), phase lag pi / 2 - beta. Their beta is 0.18, at which the
# chimera of a ring as small as this one does not last.
CONTRAST, BETA, DT = 0.995, 0.1, 0.1


class Chimera(NamedTuple):
    """A run on a ring."""

    angles: np.ndarray  # (N,), places on the ring
    phases: np.ndarray  # (T, N), every `every` steps
    local_order: np.ndarray  # (T, N), over eleven neighbours


def simulate(
    *, units: int, num_steps: int, seed: int = 0, every: int = 100, start: np.ndarray | None = None
) -> Chimera:
    """A run of `num_steps`, a multiple of `every`.

    From `start`, (units,) radians; None are phases that are random about the place 0 and alike on the other side.
    """
    angles = np.linspace(-np.pi, np.pi, units, endpoint=False)
    apart = angles[:, None] - angles
    coupling = (1 + CONTRAST * np.cos(apart)) / units
    noise = np.asarray(jax.random.uniform(jax.random.key(seed), (units,), minval=-0.5, maxval=0.5))
    phases = jnp.asarray(6 * np.exp(-0.76 * angles**2) * noise if start is None else start)
    options = {"rate": DT, "phase_lag": np.pi / 2 - BETA, "num_steps": num_steps, "every": every}
    run = kuramoto.graph_trajectory(phases, jnp.asarray(coupling, phases.dtype), **options)
    near = np.abs(np.angle(np.exp(1j * apart))) < 5.5 * 2 * np.pi / units
    return Chimera(angles, np.asarray(run), np.asarray(analysis.local_order_parameter(run, near)))


def relative(phases: np.ndarray) -> np.ndarray:
    """Phases (..., N) beside that of the first place, which lies on the arc that synchronizes."""
    return np.angle(np.exp(1j * (phases - phases[..., :1])))


def figure(*, small: bool = False) -> "Figure":
    """Phases at the end, mean speed and local order, by the place on the ring."""
    run = simulate(units=20 if small else 200, num_steps=400 if small else 20_000)
    half = len(run.phases) // 2
    speed = (run.phases[-1] - run.phases[half]) / ((len(run.phases) - 1 - half) * 100 * DT)
    last = relative(run.phases[-1])
    drawn = canvas.new_figure(9.0, 2.9)
    panels = {
        "phase at the end (rad)": last,
        "mean speed (rad per unit of time)": speed,
        "local order parameter, mean over time": run.local_order[half:].mean(0),
    }
    for axes, (name, values) in zip(drawn.subplots(1, 3), panels.items(), strict=True):
        axes.plot(run.angles, values, "o", markersize=2.5, color="#0072B2")
        axes.set(xlabel="place on the ring (rad)", title=name)
        axes.title.set_size(9)
    return drawn


def animation(*, small: bool = False) -> plotting.Animation:
    """40 units of time after 1,000: phases beside those of the arc that turns as one, colours by the local order."""
    units = 20 if small else 200
    before = simulate(units=units, num_steps=100 if small else 10_000)
    run = simulate(units=units, num_steps=20 if small else 400, every=10, start=before.phases[-1])
    drawn = canvas.new_figure(4.2, 2.6)
    axes = drawn.add_subplot()

    def show(i: int) -> None:
        axes.clear()
        for chosen, colour in ((run.local_order[i] > 0.9, "#0072B2"), (run.local_order[i] <= 0.9, "#D55E00")):
            axes.plot(run.angles[chosen], relative(run.phases[i])[chosen], "o", markersize=3, color=colour)
        axes.set(xlim=(-np.pi, np.pi), ylim=(-3.3, 3.3), xlabel="place on the ring (rad)", ylabel="phase (rad)")
        axes.set_title(f"{i} units of time", fontsize=9)

    return plotting.Animation(drawn, show, len(run.phases))
