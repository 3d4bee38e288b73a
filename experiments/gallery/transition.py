"""Synchronization transition of Kuramoto's model: the order parameter against the coupling, with theory."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from oscnets import analysis, phase, plotting
from oscnets.dynamics import graphs, kuramoto
from oscnets.plotting import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, DT = 1.0, 0.02


def order(strength: float, *, units: int, num_steps: int, seeds: int) -> np.ndarray:
    """Mean modulus of the order parameter over the second half of runs with drawn Lorentzian frequencies, (seeds,)."""
    coupling = jnp.full((units, units), strength / units)

    def of_seed(key: jax.Array) -> jax.Array:
        frequency = graphs.natural_frequencies(key, units, width=WIDTH)
        options = {"rate": DT, "natural_frequency": frequency, "num_steps": num_steps, "every": 10}
        run = kuramoto.graph_trajectory(jnp.zeros(units), coupling, **options)
        return jnp.abs(phase.order_parameter(run[len(run) // 2 :])).mean()

    return np.stack([of_seed(jax.random.key(seed)) for seed in range(seeds)])


def theory(strengths: np.ndarray) -> tuple[float, np.ndarray]:
    """The critical coupling, and the order parameter of a large population at each coupling."""
    critical = float(analysis.critical_coupling(WIDTH))
    return critical, np.sqrt(np.maximum(1 - critical / strengths, 0))


def figure(*, small: bool = False) -> "Figure":
    """Simulate and draw."""
    sizes = {"units": 10, "num_steps": 20, "seeds": 1} if small else {"units": 400, "num_steps": 2000, "seeds": 3}
    strengths = np.linspace(0.5, 6, 3 if small else 12)
    found = np.stack([order(strength, **sizes) for strength in strengths], axis=1)
    fine = np.linspace(strengths[0], strengths[-1], 200)
    critical, curve = theory(fine)
    return plotting.curves(
        {"simulated": found, "theory": curve[None]},
        positions={"simulated": strengths, "theory": fine},
        xlabel="coupling K (rad per unit of time)",
        ylabel="order parameter r",
        marks={"K_c": critical},
        zero=True,
    )


def ramp(strengths: np.ndarray, *, units: int, num_steps: int) -> np.ndarray:
    """Phases (len(strengths), units) of one population after so many steps at each coupling, from random ones on."""
    frequency = graphs.natural_frequencies(None, units, width=WIDTH)
    phases, states = jax.random.uniform(jax.random.key(0), (units,), maxval=2 * np.pi), []
    options = {"rate": DT, "natural_frequency": frequency, "num_steps": num_steps, "every": num_steps}
    for strength in strengths:
        coupling = jnp.full((units, units), strength / units, phases.dtype)
        phases = kuramoto.graph_trajectory(phases, coupling, **options)[0]
        states.append(phases)
    return np.stack(states)


def animation(*, small: bool = False) -> plotting.Animation:
    """Phases on the circle while the coupling grows, and the order parameter beside the curve of theory."""
    strengths = np.linspace(0.2, 6, 3 if small else 30)
    states = ramp(strengths, units=20 if small else 400, num_steps=20 if small else 400)
    mean = np.exp(1j * states).mean(1)
    drawn = canvas.new_figure(5.4, 2.6)
    circle, axes = drawn.subplots(1, 2, width_ratios=[1, 1.3])
    fine = np.linspace(0, 6, 200)
    critical, curve = theory(np.maximum(fine, 1e-6))

    def show(i: int) -> None:
        for cell in (circle, axes):
            cell.clear()
        circle.plot(np.cos(states[i]), np.sin(states[i]), "o", markersize=4, alpha=0.25, color="#0072B2", mew=0)
        circle.plot([0, mean[i].real], [0, mean[i].imag], color="#D55E00", linewidth=2)
        circle.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal", xticks=[], yticks=[])
        circle.set_title(f"phases at K = {strengths[i]:.1f}", fontsize=9)
        axes.plot(fine, curve, color="0.6", linewidth=1, label="theory")
        axes.axvline(critical, color="0.6", linestyle=":", linewidth=1)
        axes.plot(strengths[: i + 1], np.abs(mean[: i + 1]), "o", markersize=3, color="#D55E00", label="simulated")
        axes.set(xlim=(0, 6.2), ylim=(0, 1), xlabel="coupling K", ylabel="order parameter r")
        axes.legend(fontsize=8, loc="upper left")

    return plotting.Animation(drawn, show, len(strengths))
