"""Synchronization transition of Kuramoto's model: the order parameter against the coupling, with theory."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from oscnets import analysis, phase, plotting
from oscnets.dynamics import graphs, kuramoto

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


def figure(*, small: bool = False) -> "Figure":
    """Simulate and draw."""
    sizes = {"units": 10, "num_steps": 20, "seeds": 1} if small else {"units": 400, "num_steps": 2000, "seeds": 3}
    strengths = np.linspace(0.5, 6, 12)
    found = np.stack([order(strength, **sizes) for strength in strengths], axis=1)
    critical = float(analysis.critical_coupling(WIDTH))
    fine = np.linspace(strengths[0], strengths[-1], 200)
    theory = np.sqrt(np.maximum(1 - critical / fine, 0))
    return plotting.curves(
        {"simulated": found, "theory": theory[None]},
        positions={"simulated": strengths, "theory": fine},
        xlabel="coupling K (rad per unit of time)",
        ylabel="order parameter r",
        marks={"K_c": critical},
        zero=True,
    )
