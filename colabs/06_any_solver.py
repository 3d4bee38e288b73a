# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Any solver
#
# The steps of oscnets are fixed: Euler's rule for phases, a symplectic rule for waves. Other solvers need the
# right-hand side of the differential equation alone. `as_ode` makes a function (t, y, args) of a vector field, and
# [diffrax](https://docs.kidger.site/diffrax/) integrates it: with adaptive steps, with noise, and with gradients.
#
# It runs in a quarter of a minute on two CPU cores.

# %%
# On a hosted runtime this cell installs oscnets and keeps the installed version of JAX.
import importlib.util
import subprocess
import sys

SOURCE = "oscnets"  # before the first release: "git+https://..." of the repository, or a wheel
missing = [name for name in ("oscnets", "diffrax") if importlib.util.find_spec(name) is None]
if missing:
    import jax

    packages = [SOURCE if name == "oscnets" else name for name in missing]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *packages, f"jax=={jax.__version__}"], check=True)

# %%
# %matplotlib inline
import os

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from oscnets import phase, plotting
from oscnets.dynamics import as_ode, graphs, kuramoto, waves

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # tiny sizes, for the tests
UNITS, TIME = 20 if SMOKE else 200, 20.0
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Adaptive steps
#
# A population with Gaussian natural frequencies, coupled all to all. The solver chooses its steps.

# %%
frequency = graphs.natural_frequencies(jax.random.key(0), UNITS, distribution="gaussian")
args = {"coupling": jnp.full((UNITS, UNITS), 4 / UNITS), "natural_frequency": frequency}
start, times = jnp.zeros(UNITS), jnp.linspace(0, TIME, 101)
term = diffrax.ODETerm(as_ode(kuramoto.vector_field))


def solve(args, **options):
    """The phases at all times, and how many steps it took."""
    controller = diffrax.PIDController(rtol=1e-4, atol=1e-4)
    options = {"stepsize_controller": controller, "saveat": diffrax.SaveAt(ts=times), "max_steps": 8192} | options
    solution = diffrax.diffeqsolve(term, diffrax.Tsit5(), 0.0, TIME, 0.01, start, args, **options)
    return solution.ys, solution.stats["num_steps"]


phases, count = jax.jit(solve)(args)
order = jnp.abs(phase.order_parameter(phases))
print(f"{int(count)} steps, order parameter {float(order[-1]):.2f} at the end")

# %% [markdown]
# Euler's rule tends to the same phases, with an error that is proportional to the step.

# %%
for rate in (0.04, 0.02, 0.01):
    steps = round(TIME / rate)
    run = kuramoto.graph_trajectory(start, **args, rate=rate, num_steps=steps, every=steps // 100)
    print(f"rate {rate}: largest error {float(jnp.abs(run - phases[1:]).max()):.1e} rad")

# %% [markdown]
# ## Gradients through the solver
#
# How does the final synchrony depend on each natural frequency?


# %%
@jax.jit
@jax.grad
def influence(frequency):
    """Derivative of the modulus of the order parameter at the end."""
    last = solve(args | {"natural_frequency": frequency}, saveat=diffrax.SaveAt(t1=True))[0][-1]
    return jnp.abs(phase.order_parameter(last))


derivative = influence(frequency)
ranked = np.argsort(np.asarray(frequency))
plotting.curves(
    {"dr / dw": np.asarray(derivative)[None, ranked]},
    positions={"dr / dw": np.asarray(frequency)[ranked]},
    xlabel="natural frequency (rad per unit of time)",
    ylabel="derivative of synchrony",
)

# %% [markdown]
# ## Noise
#
# A stochastic differential equation has a second term: here independent noise on every phase.

# %%
noise = diffrax.VirtualBrownianTree(0.0, TIME, 0.01, (UNITS,), jax.random.key(1))
strength = lambda t, y, args: jnp.eye(UNITS)
terms = diffrax.MultiTerm(term, diffrax.ControlTerm(strength, noise))
options = {"saveat": diffrax.SaveAt(ts=times), "max_steps": 8192}
noisy = diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, TIME, 0.02, start, args, **options).ys
plotting.curves(
    {"without noise": order[None], "with noise": jnp.abs(phase.order_parameter(noisy))[None]},
    xlabel="time, in hundredths of the run",
    ylabel="order parameter",
    zero=True,
)

# %% [markdown]
# ## Waves
#
# The state of a membrane is a pair, position and velocity; options that are no arrays go to `as_ode`.

# %%
side = 12 if SMOKE else 48
bump = jnp.zeros((side, side)).at[side // 3, side // 3].set(1.0)
membrane = diffrax.ODETerm(as_ode(waves.wave_vector_field, boundary="periodic"))
options = {"saveat": diffrax.SaveAt(ts=jnp.linspace(0, side / 4, 4)), "max_steps": 8192}
solution = diffrax.diffeqsolve(
    membrane, diffrax.Dopri5(), 0.0, side / 4, 0.1, (bump, jnp.zeros_like(bump)), {"speed": 1.0}, **options
)
position, velocity = solution.ys
energy = jax.vmap(lambda u, v: waves.wave_energy(u, v, speed=1.0, dt=1e-6, boundary="periodic"))(position, velocity)
print("energy at four times:", np.round(energy, 3))

# %% [markdown]
# **Exercises.**
#
# 1. Replace Tsit5 by an implicit solver, or the adjoint by `diffrax.BacksolveAdjoint()`. What does a gradient cost?
# 2. Force the population: `args | {"forcing": graphs.Forcing(1.0, 0.5)}`. At which strength does it follow the forcing?
# 3. Solve `kuramoto.conv_vector_field` on an image, and compare it with `kuramoto.conv_trajectory` at a small rate.
