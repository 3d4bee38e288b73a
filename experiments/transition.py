"""Synchronization transition of Kuramoto's model: the order parameter against the coupling, with theory.

python -m experiments.transition --figure=transition.png
"""

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from oscnets import analysis, phase, plotting
from oscnets.dynamics import graphs, kuramoto

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", required=True, help="file to write, .png, .pdf or .svg")
    parser.add_argument("--units", type=int, default=400, help="oscillators")
    parser.add_argument("--steps", type=int, default=2000, help="of 0.02 units of time, a multiple of 10")
    parser.add_argument("--seeds", type=int, default=3, help="drawn sets of natural frequencies")
    options = parser.parse_args(arguments)
    sizes = {"units": options.units, "num_steps": options.steps, "seeds": options.seeds}
    strengths = np.linspace(0.5, 6, 12)
    found = np.stack([order(strength, **sizes) for strength in strengths], axis=1)
    critical = float(analysis.critical_coupling(WIDTH))
    fine = np.linspace(strengths[0], strengths[-1], 200)
    theory = np.sqrt(np.maximum(1 - critical / fine, 0))
    axes = plotting.curves(
        {"simulated": found, "theory": theory[None]},
        positions={"simulated": strengths, "theory": fine},
        xlabel="coupling K (rad per unit of time)",
        ylabel="order parameter r",
        marks={"K_c": critical},
        zero=True,
    ).axes[0]
    plotting.save(axes.figure, options.figure)


if __name__ == "__main__":
    main()
