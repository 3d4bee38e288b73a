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
# # Oscillations in your own model
#
# The dynamics of oscnets are functions of arrays and do not depend on a module, a config or a framework. Any JAX code
# can call them. This notebook uses the same small layer of oscillators in four models: plain JAX, Flax Linen, Flax NNX
# and Equinox.
#
# The task requires grouping. Each image contains two bars and two dots: are the dots on the **same** bar? Local
# features cannot answer this question; oscillators that synchronize along a bar can.
#
# All four are trained in half a minute on two CPU cores.

# %%
# On a hosted runtime this cell installs oscnets and keeps the installed version of JAX.
import importlib.util
import subprocess
import sys

SOURCE = "oscnets"  # before the first release: "git+https://..." of the repository, or a wheel
missing = [name for name in ("oscnets", "equinox") if importlib.util.find_spec(name) is None]
if missing:
    import jax

    packages = [SOURCE if name == "oscnets" else name for name in missing]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *packages, f"jax=={jax.__version__}"], check=True)

# %%
# %matplotlib inline
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

from oscnets import plotting
from oscnets.dynamics import kuramoto

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # tiny sizes, for the tests
SIZE, STEPS = 12, 4 if SMOKE else 12
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Images
#
# The first channel contains two horizontal bars, the second channel the two dots.


# %%
def make_images(seed, num_images):
    """Images (num_images, SIZE, SIZE, 2), and labels: 1 if both dots are on the same bar, else 0."""
    rng = np.random.default_rng(seed)
    images, same = np.zeros((num_images, SIZE, SIZE, 2), np.float32), rng.integers(0, 2, num_images)
    for image, label in zip(images, same, strict=True):
        bar_rows = rng.choice([2, 4, 7, 9], 2, replace=False)
        image[bar_rows, 1:-1, 0] = 1
        dot_rows = [bar_rows[0], bar_rows[0] if label else bar_rows[1]]
        image[dot_rows, rng.choice(np.arange(1, SIZE - 1), 2, replace=False), 1] = 1
    return jnp.asarray(images), jnp.asarray(same)


images, same = make_images(0, 64 if SMOKE else 512)
test_images, test_same = make_images(1, 64 if SMOKE else 256)

# %% [markdown]
# ## The layer, as a function
#
# Every pixel of a bar has an oscillator. These oscillators attract each other through a kernel (a parameter), and all
# of them repel each other. The output of the layer depends on the two phases at the dots: the squared length of the sum
# of their unit vectors is 4 if the phases agree and 0 if they are in antiphase. The next layer receives this number.
# `conv_trajectory` runs all steps, faster than a loop of `conv_step`. Everything is differentiable, so the range of the
# kernel is learned.


# %%
def agreement_at(images, kernel, phases):
    """Agreement of the phases at the dots after the last step (B,), and the phases of every step (T, B, H, W, 1)."""
    bars, dots = images[..., :1], images[..., 1:]
    trajectory = kuramoto.conv_trajectory(phases, bars, kernel, rate=0.05, epsilon=0.3, num_steps=STEPS)
    real, imag = (jnp.sum(dots * part(trajectory[-1]), (1, 2, 3)) for part in (jnp.cos, jnp.sin))
    return real**2 + imag**2, trajectory


start = jax.random.uniform(jax.random.key(0), (1, SIZE, SIZE, 1), minval=-jnp.pi, maxval=jnp.pi)
first_kernel = 0.1 * jnp.ones((3, 7, 1, 1))

# %% [markdown]
# ## One training loop for all four models
#
# The loop takes parameters (any pytree of arrays) and a function (parameters, images) -> logits.


# %%
def train(predict, params, updates=3 if SMOKE else 150):
    """Trained parameters, and the accuracy on the test images before and after training."""
    optimizer = optax.adam(2e-2)
    accuracy = jax.jit(lambda params: jnp.mean((predict(params, test_images) > 0) == test_same))
    loss = lambda params: optax.sigmoid_binary_cross_entropy(predict(params, images), same).mean()

    @jax.jit
    def update(params, state):
        changes, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, changes), state

    before, state = float(accuracy(params)), optimizer.init(params)
    for _ in range(updates):
        params, state = update(params, state)
    return params, (before, float(accuracy(params)))


results = {}

# %% [markdown]
# ## Plain JAX
#
# The parameters are a dictionary.


# %%
def plain(params, images):
    """One logit per image."""
    agreement, _ = agreement_at(images, params["kernel"], start)
    return params["scale"] * agreement + params["shift"]


params = {"kernel": first_kernel, "scale": jnp.ones(()), "shift": jnp.zeros(())}
trained, results["plain JAX"] = train(plain, params)

# %% [markdown]
# ## Flax Linen


# %%
class Linen(nn.Module):
    """The same layer as a Linen module, followed by a dense layer."""

    @nn.compact
    def __call__(self, images):
        """One logit per image."""
        kernel = self.param("kernel", lambda _: first_kernel)
        agreement, _ = agreement_at(images, kernel, start)
        return nn.Dense(1, kernel_init=nn.initializers.ones)(agreement[:, None])[:, 0]


linen = Linen()
_, results["Linen"] = train(linen.apply, linen.init(jax.random.key(0), images[:1]))

# %% [markdown]
# ## Flax NNX
#
# A module contains its arrays; `split` extracts them, and `merge` puts them back.


# %%
class Nnx(nnx.Module):
    """The same layer as an NNX module."""

    def __init__(self, rngs):
        self.kernel = nnx.Param(first_kernel)
        self.dense = nnx.Linear(1, 1, kernel_init=nnx.initializers.ones, rngs=rngs)

    def __call__(self, images):
        """One logit per image."""
        agreement, _ = agreement_at(images, self.kernel[...], start)
        return self.dense(agreement[:, None])[:, 0]


graph, params = nnx.split(Nnx(nnx.Rngs(0)), nnx.Param)
_, results["NNX"] = train(lambda params, images: nnx.merge(graph, params)(images), params)

# %% [markdown]
# ## Equinox
#
# A module *is* a pytree.


# %%
class Equinox(eqx.Module):
    """The same layer as an Equinox module."""

    kernel: jax.Array
    dense: eqx.nn.Linear

    def __init__(self, key):
        self.kernel = first_kernel
        self.dense = eqx.nn.Linear(1, 1, key=key)

    def __call__(self, images):
        """One logit per image."""
        agreement, _ = agreement_at(images, self.kernel, start)
        return jax.vmap(self.dense)(agreement[:, None])[:, 0]


params, static = eqx.partition(Equinox(jax.random.key(0)), eqx.is_array)
_, results["Equinox"] = train(lambda params, images: eqx.combine(params, static)(images), params)

# %% [markdown]
# ## Results

# %%
for name, (before, after) in results.items():
    print(f"{name}: test accuracy {before:.2f} before training, {after:.2f} after")
print(f"middle row of the learned kernel, along the bar: {np.round(np.asarray(trained['kernel'])[1, :, 0, 0], 2)}")

# %%
examples = test_images[:3]
_, trajectory = agreement_at(examples, trained["kernel"], start)
bars = np.asarray(examples[..., :1])
rows = np.arange(SIZE)[None, :, None, None]
# Masks of the objects: the two bars of each image.
upper = np.array([np.flatnonzero(bar[:, 1, 0])[0] for bar in bars])[:, None, None, None]
masks = np.concatenate([(bars > 0) & (rows == upper), (bars > 0) & (rows != upper)], -1)
phases = np.moveaxis(np.asarray(trajectory), 0, 1)
plotting.scene_sheet(bars, masks, phases, bars, title="One phase per bar")

# %% [markdown]
# **Exercises.**
#
# 1. Remove the dynamics (`STEPS = 0` is not allowed: use `rate=0.0`). Is the accuracy still better than chance?
# 2. Replace the dynamics: by `kuramoto.graph_step` on your own graph, by `waves.wave_step` with a readout from
#    `oscnets.ops.readout`, or by your own function from state to state, which `unroll` runs.
# 3. Make the bars oblique, or so long that synchrony cannot spread along them in `STEPS` steps.
