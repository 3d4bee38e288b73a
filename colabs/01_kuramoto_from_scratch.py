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
# # Kuramoto from scratch
#
# Fireflies, pacemaker cells and metronomes on one board are coupled oscillators: they influence each other, and they
# synchronize. This notebook starts with two oscillators and ends with an image that is segmented into objects by
# synchronization. It uses pure functions only: a *dynamics* maps a state to the next state, and `unroll` is the loop
# over time.
#
# Nothing is trained in this notebook. It runs in seconds on a CPU, a GPU or a TPU.

# %%
# On a hosted runtime this cell installs oscnets and keeps the installed version of JAX.
import importlib.util
import subprocess
import sys

SOURCE = "oscnets"  # before the first release: "git+https://..." of the repository, or a wheel
if importlib.util.find_spec("oscnets") is None:
    import jax

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", SOURCE, f"jax=={jax.__version__}"], check=True)

# %%
# %matplotlib inline
import os

import jax
import jax.numpy as jnp
import numpy as np
from IPython.display import Image

from data_gen import multi_mnist, sources
from oscnets import losses, phase, plotting
from oscnets.dynamics import kuramoto, unroll

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # tiny sizes, for the tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Two oscillators
#
# Each oscillator has a phase $\varphi$, an angle. The oscillators attract each other with a force that is the sine of
# their phase difference:
#
# $$\varphi_i \leftarrow \varphi_i + \eta \sum_j k_{ij} \sin(\varphi_j - \varphi_i)$$
#
# The phase difference $\delta$ of two oscillators therefore follows $\dot\delta = -2k\sin\delta$. The solution is
# $\tan(\delta/2) = \tan(\delta_0/2)\,e^{-2kt}$. The simulation and this formula agree:

# %%
coupling = jnp.array([[0.0, 1.0], [1.0, 0.0]])
rate, length = 0.02, 150
start = jnp.array([0.0, 2.8])
_, trajectory = unroll(
    lambda phases: kuramoto.graph_step(phases, coupling, rate=rate), start, length, collect=lambda phases: phases
)
time = rate * jnp.arange(1, length + 1)
formula = 2 * jnp.arctan(jnp.tan(start[1] / 2) * jnp.exp(-2 * time))
plotting.curve_row(
    [{
        "values": {"simulation": trajectory[None, :, 1] - trajectory[None, :, 0], "formula": formula[None]},
        "positions": {"simulation": time, "formula": time},
        "xlabel": "time", "ylabel": "phase difference (rad)",
    }],
    models=["simulation", "formula"],
    title="Two oscillators synchronize",
)  # fmt: skip

# %% [markdown]
# **Exercise.** Start at $\delta_0 = \pi$, exactly in antiphase. What happens, and why does this state not last in
# nature? Then make the coupling negative.

# %% [markdown]
# ## Many oscillators: the onset of synchrony
#
# Now every oscillator has its own natural frequency $\omega_i$. The *order parameter*, the length of the mean of
# $e^{i\varphi}$, measures the synchrony of the population: 0 means no synchrony, 1 means that all phases are equal.
# Weak coupling has no effect on synchrony; above a critical strength $K_c$ a part of the population synchronizes. For
# frequencies from a Lorentz distribution of width $\gamma$, Kuramoto derived $K_c = 2\gamma$ and
# $r = \sqrt{1 - K_c/K}$.
#
# The dynamics is a pure function, so a sweep over $K$ is one `vmap`.

# %%
num_oscillators, steps = (60, 200) if SMOKE else (400, 1500)
gamma = 0.5
quantiles = (jnp.arange(num_oscillators) + 0.5) / num_oscillators
frequencies = jnp.clip(gamma * jnp.tan(jnp.pi * (quantiles - 0.5)), -20, 20)
start = jax.random.uniform(jax.random.key(0), (num_oscillators,), maxval=2 * jnp.pi)


def synchrony(strength):
    """The order parameter at every step, for one coupling strength."""
    all_to_all = jnp.full((num_oscillators, num_oscillators), strength / num_oscillators)
    step = lambda phases: kuramoto.graph_step(phases, all_to_all, rate=0.02, natural_frequency=frequencies)
    return unroll(step, start, steps, collect=lambda phases: jnp.abs(phase.order_parameter(phases)))[1]


strengths = jnp.linspace(0.0, 4.0, 9 if SMOKE else 17)
order = jax.jit(jax.vmap(synchrony))(strengths)
measured = order[:, steps // 2 :].mean(1)
theory = jnp.sqrt(jnp.maximum(0, 1 - 2 * gamma / jnp.maximum(strengths, 1e-6)))
plotting.curve_row(
    [{
        "values": {"simulation": measured[None], "Kuramoto, 1975": theory[None]},
        "positions": {"simulation": strengths, "Kuramoto, 1975": strengths},
        "xlabel": "coupling K", "ylabel": "order parameter r",
    }],
    models=["simulation", "Kuramoto, 1975"],
    title=f"{num_oscillators} oscillators: a phase transition at K = {2 * gamma:g}",
)  # fmt: skip

# %% [markdown]
# **Exercise.** Increase the number of oscillators: the transition becomes sharper. Draw the frequencies from a Gaussian
# distribution (`jax.random.normal`): at which coupling strength is the transition now?

# %% [markdown]
# ## Segmentation of an image by synchronization
#
# Every pixel now has one oscillator. Nearby pixels attract each other, through a kernel; all pixels repel each other
# weakly, with strength $\epsilon$. Only bright pixels act on other pixels. This is equation 1 of KomplexNet (Muzellec,
# Alamia, Serre and VanRullen, 2025), `kuramoto.conv_step`; `conv_trajectory` runs all steps, faster than a loop of it.
# The scene has two separate digits. The dynamics receives the image only, not the positions of the digits.

# %%
digits = sources.load("digits", "test")
scene = multi_mnist.generate(digits, seed=3, num_examples=1, size=32)
image = jnp.asarray(scene.images[0])
kernel = jnp.ones((9, 9, 1, 1))
start = jax.random.uniform(jax.random.key(1), image.shape, minval=-jnp.pi, maxval=jnp.pi)


def segment(epsilon, length=40):
    """Phases after every step, (length, H, W, 1)."""
    return kuramoto.conv_trajectory(start, image, kernel, rate=0.02, epsilon=epsilon, num_steps=length)


phases = jax.jit(segment)(0.3)
plotting.scene_sheet(
    scene.images, scene.masks, np.asarray(phases)[None], scene.images, steps=[1, 10, 40],
    title="Hue is phase: random at first, then one colour per object, in antiphase",
)  # fmt: skip

# %%
over_time = np.asarray(phases)[None]
animation = plotting.phase_animation(scene.images, scene.masks, over_time, scene.images, title="The phases of a scene")
plotting.save_animation(animation, "scene.gif")
Image(filename="scene.gif")

# %% [markdown]
# ## Why attraction and repulsion are both necessary
#
# With attraction alone, all pixels of the image reach the same phase; with repulsion alone, the pixels of an object
# never synchronize. The *cluster synchrony loss* (equation 2) is 0 if each object has one phase and the phases of the
# objects are equally spaced on the circle.

# %%
epsilons = jnp.array([0.0, 0.1, 0.3, 1.0])
runs = jax.jit(jax.vmap(segment))(epsilons)
loss = losses.cluster_synchrony(runs, jnp.asarray(scene.masks[0]), image)
names = [f"epsilon = {epsilon:g}" for epsilon in np.asarray(epsilons)]
plotting.curve_row(
    [{
        "values": {name: row[None] for name, row in zip(names, loss, strict=True)},
        "xlabel": "step", "ylabel": "cluster synchrony loss (0: perfect)",
    }],
    models=names,
    title="Without repulsion the objects are not separated",
)  # fmt: skip

# %% [markdown]
# **Exercises.**
#
# 1. Reduce the kernel to 3 x 3. Which scenes are still segmented? (In an object larger than the kernel, synchrony must
#    spread from pixel to pixel.)
# 2. Place three digits in the scene: `num_digits=3`. Can three phases all be in antiphase?
# 3. Differentiate: `jax.grad` of the loss with respect to `kernel` works through all steps. Three steps of gradient
#    descent already reduce the loss; `02_komplexnet` trains the kernel fully.
