# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Kuramoto from scratch
#
# Fireflies, pacemaker cells, metronomes on one board: things that oscillate and feel each other fall into step. This
# notebook goes from two oscillators to an image that cuts itself into objects, with nothing but pure functions: a
# *dynamics* maps a state to the next state, and `unroll` is the loop over time.
#
# Nothing here is trained. It runs in seconds on a CPU, a GPU or a TPU.

# %%
# On a hosted runtime this installs oscnets beside the JAX that is there, and never another version of JAX.
import importlib.util
import subprocess
import sys

SOURCE = "oscnets"  # before its first release: "git+https://..." of the repository, or a wheel
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

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # a tiny size, for tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Two oscillators
#
# Each has a phase $\varphi$, an angle. Each is pulled towards the other by the sine of their difference:
#
# $$\varphi_i \leftarrow \varphi_i + \eta \sum_j k_{ij} \sin(\varphi_j - \varphi_i)$$
#
# so that the difference $\delta$ of two follows $\dot\delta = -2k\sin\delta$, whose solution is
# $\tan(\delta/2) = \tan(\delta_0/2)\,e^{-2kt}$. The loop and the formula agree:

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
        "values": {"the loop": trajectory[None, :, 1] - trajectory[None, :, 0], "the formula": formula[None]},
        "positions": {"the loop": time, "the formula": time},
        "xlabel": "time", "ylabel": "difference of phase (rad)",
    }],
    models=["the loop", "the formula"],
    title="Two oscillators fall into step",
)  # fmt: skip

# %% [markdown]
# **Change it.** Start at $\delta_0 = \pi$, exactly opposite. What happens, and why does it not last in nature? Then
# make the coupling negative.

# %% [markdown]
# ## A crowd, and the moment it finds its beat
#
# Now every oscillator has a frequency $\omega_i$ of its own. How much of the crowd is in step is told by the *order
# parameter*, the length of the mean of $e^{i\varphi}$: 0 is chaos, 1 is one beat. Weak coupling does nothing at all;
# above a critical strength $K_c$ a part of the crowd locks. For frequencies from a Lorentz distribution of width
# $\gamma$, Kuramoto found $K_c = 2\gamma$ and $r = \sqrt{1 - K_c/K}$.
#
# The dynamics is a pure function, so that a sweep over $K$ is a `vmap`.

# %%
number, steps = (60, 200) if SMOKE else (400, 1500)
gamma = 0.5
shares = (jnp.arange(number) + 0.5) / number
frequencies = jnp.clip(gamma * jnp.tan(jnp.pi * (shares - 0.5)), -20, 20)
start = jax.random.uniform(jax.random.key(0), (number,), maxval=2 * jnp.pi)


def synchrony(strength):
    """The order parameter at every step, for one strength of coupling."""
    everyone = jnp.full((number, number), strength / number)
    step = lambda phases: kuramoto.graph_step(phases, everyone, rate=0.02, natural_frequency=frequencies)
    return unroll(step, start, steps, collect=lambda phases: jnp.abs(phase.order_parameter(phases)))[1]


strengths = jnp.linspace(0.0, 4.0, 9 if SMOKE else 17)
order = jax.jit(jax.vmap(synchrony))(strengths)
measured = order[:, steps // 2 :].mean(1)
theory = jnp.sqrt(jnp.maximum(0, 1 - 2 * gamma / jnp.maximum(strengths, 1e-6)))
plotting.curve_row(
    [{
        "values": {"measured": measured[None], "Kuramoto, 1975": theory[None]},
        "positions": {"measured": strengths, "Kuramoto, 1975": strengths},
        "xlabel": "coupling K", "ylabel": "order parameter r",
    }],
    models=["measured", "Kuramoto, 1975"],
    title=f"{number} oscillators: a phase transition at K = {2 * gamma:g}",
)  # fmt: skip

# %% [markdown]
# **Change it.** Make the crowd larger: the transition sharpens. Make the frequencies Gaussian
# (`jax.random.normal`): where does it move?

# %% [markdown]
# ## An image that segments itself
#
# Give every pixel an oscillator. Near pixels attract each other, through a kernel; all pixels repel each other a
# little, with strength $\epsilon$. Only bright pixels pull. This is equation 1 of KomplexNet (Muzellec, Alamia, Serre
# and VanRullen, 2025), `kuramoto.conv_step`. Two digits lie apart in this scene. Nobody tells the pixels so.

# %%
digits = sources.load("digits", "test")
scene = multi_mnist.generate(digits, seed=3, num_examples=1, size=32)
image = jnp.asarray(scene.images[0])
kernel = jnp.ones((9, 9, 1, 1))
start = jax.random.uniform(jax.random.key(1), image.shape, minval=-jnp.pi, maxval=jnp.pi)


def segment(epsilon, length=40):
    """Phases after every step, (length, H, W, 1)."""
    step = lambda phases: kuramoto.conv_step(phases, image, kernel, rate=0.02, epsilon=epsilon)
    return unroll(step, start, length, collect=lambda phases: phases)[1]


phases = jax.jit(segment)(0.3)
plotting.scene_sheet(
    scene.images, scene.masks, np.asarray(phases)[None], scene.images, steps=[1, 10, 40],
    title="Hue is phase: noise at first, then a colour an object, opposite on the circle",
)  # fmt: skip

# %%
over_time = np.asarray(phases)[None]
animation = plotting.phase_animation(scene.images, scene.masks, over_time, scene.images, title="A scene settles")
plotting.save_animation(animation, "scene.gif")
Image(filename="scene.gif")

# %% [markdown]
# ## Why both forces?
#
# Attraction alone would put the whole picture into one phase; repulsion alone never makes an object. The *cluster
# synchrony loss* (equation 2) is 0 where each object has one phase and the phases of the objects are spread evenly.

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
    title="Without repulsion the objects do not part",
)  # fmt: skip

# %% [markdown]
# **Change it.**
#
# 1. Shrink the kernel to 3 x 3. Which scenes still work? (An object larger than the kernel must pass its phase on.)
# 2. Put three digits into the scene: `num_digits=3`. Can three phases be opposite?
# 3. Differentiate: `jax.grad` of the loss in `kernel` works through all steps. Three steps of descent already help;
#    `02_komplexnet` learns it in earnest.
