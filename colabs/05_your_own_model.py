# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Oscillations in your own model
#
# The dynamics of oscnets are functions of arrays: they know no module, no config and no framework. So they go wherever
# JAX goes. Here one small layer of oscillators is put into four models: plain JAX, Flax Linen, Flax NNX and Equinox.
#
# The task needs grouping. Two dots lie in a picture with two bars: are the dots on the **same** bar? Local features
# cannot tell; oscillators that synchronize along a bar can.

# %%
# On a hosted runtime this installs oscnets beside the JAX that is there, and never another version of JAX.
import importlib.util
import subprocess
import sys

SOURCE = "oscnets"  # before its first release: "git+https://..." of the repository, or a wheel
missing = [name for name in ("oscnets", "equinox") if importlib.util.find_spec(name) is None]
if missing:
    import jax

    wanted = [SOURCE if name == "oscnets" else name for name in missing]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *wanted, f"jax=={jax.__version__}"], check=True)

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

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # a tiny size, for tests
SIZE, STEPS = 12, 4 if SMOKE else 12
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Pictures
#
# Channel 1 has two horizontal bars, channel 2 the two dots.


# %%
def make_pictures(seed, number):
    """Images (number, SIZE, SIZE, 2), and 1 where both dots lie on one bar."""
    random = np.random.default_rng(seed)
    images, same = np.zeros((number, SIZE, SIZE, 2), np.float32), random.integers(0, 2, number)
    for image, answer in zip(images, same, strict=True):
        rows = random.choice([2, 4, 7, 9], 2, replace=False)
        image[rows, 1:-1, 0] = 1
        on = [rows[0], rows[0] if answer else rows[1]]
        image[on, random.choice(np.arange(1, SIZE - 1), 2, replace=False), 1] = 1
    return jnp.asarray(images), jnp.asarray(same)


images, same = make_pictures(0, 64 if SMOKE else 512)
test_images, test_same = make_pictures(1, 64 if SMOKE else 256)

# %% [markdown]
# ## The layer, as a function
#
# Pixels of the bars oscillate: they attract through a kernel (a parameter), and all repel. Then the phases are read at
# the dots: the squared length of the sum of their unit vectors is 4 where they agree, 0 where they are opposite. It
# goes into whatever comes next. `conv_trajectory` runs all steps, faster than a loop of `conv_step`, and everything is
# differentiable: the kernel learns how far to reach.


# %%
def agreement_at(images, kernel, phases):
    """How much phases agree at the dots after the dynamics, (B,), and all the phases (T, B, H, W, 1)."""
    bars, dots = images[..., :1], images[..., 1:]
    trajectory = kuramoto.conv_trajectory(phases, bars, kernel, rate=0.05, epsilon=0.3, num_steps=STEPS)
    real, imag = (jnp.sum(dots * part(trajectory[-1]), (1, 2, 3)) for part in (jnp.cos, jnp.sin))
    return real**2 + imag**2, trajectory


start = jax.random.uniform(jax.random.key(0), (1, SIZE, SIZE, 1), minval=-jnp.pi, maxval=jnp.pi)
first_kernel = 0.1 * jnp.ones((3, 7, 1, 1))

# %% [markdown]
# ## One loop of training for all four
#
# It wants parameters (any pytree of arrays) and a function (parameters, images) -> logits.


# %%
def train(predict, params, updates=3 if SMOKE else 150):
    """Trained parameters, and the accuracy on test pictures before and after."""
    optimizer = optax.adam(2e-2)
    right = jax.jit(lambda params: jnp.mean((predict(params, test_images) > 0) == test_same))
    loss = lambda params: optax.sigmoid_binary_cross_entropy(predict(params, images), same).mean()

    @jax.jit
    def update(params, state):
        changes, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, changes), state

    before, state = float(right(params)), optimizer.init(params)
    for _ in range(updates):
        params, state = update(params, state)
    return params, (before, float(right(params)))


results = {}

# %% [markdown]
# ## Plain JAX
#
# Parameters are a dictionary.


# %%
def plain(params, images):
    """A logit a picture."""
    heard, _ = agreement_at(images, params["kernel"], start)
    return params["scale"] * heard + params["shift"]


params = {"kernel": first_kernel, "scale": jnp.ones(()), "shift": jnp.zeros(())}
trained, results["plain JAX"] = train(plain, params)

# %% [markdown]
# ## Flax Linen


# %%
class Linen(nn.Module):
    """The same layer as a Linen module, with a dense layer behind it."""

    @nn.compact
    def __call__(self, images):
        """A logit a picture."""
        kernel = self.param("kernel", lambda _: first_kernel)
        heard, _ = agreement_at(images, kernel, start)
        return nn.Dense(1, kernel_init=nn.initializers.ones)(heard[:, None])[:, 0]


linen = Linen()
_, results["Linen"] = train(linen.apply, linen.init(jax.random.key(0), images[:1]))

# %% [markdown]
# ## Flax NNX
#
# A module holds its arrays; `split` takes them out, `merge` puts them back.


# %%
class Nnx(nnx.Module):
    """The same layer as an NNX module."""

    def __init__(self, rngs):
        self.kernel = nnx.Param(first_kernel)
        self.dense = nnx.Linear(1, 1, kernel_init=nnx.initializers.ones, rngs=rngs)

    def __call__(self, images):
        """A logit a picture."""
        heard, _ = agreement_at(images, self.kernel[...], start)
        return self.dense(heard[:, None])[:, 0]


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
        """A logit a picture."""
        heard, _ = agreement_at(images, self.kernel, start)
        return jax.vmap(self.dense)(heard[:, None])[:, 0]


params, static = eqx.partition(Equinox(jax.random.key(0)), eqx.is_array)
_, results["Equinox"] = train(lambda params, images: eqx.combine(params, static)(images), params)

# %% [markdown]
# ## What came of it

# %%
for name, (before, after) in results.items():
    print(f"{name}: {before:.2f} of the test pictures right before training, {after:.2f} after")
print(f"the kernel's row reaches along the bar: {np.round(np.asarray(trained['kernel'])[1, :, 0, 0], 2)}")

# %%
shown = test_images[:3]
_, trajectory = agreement_at(shown, trained["kernel"], start)
bars = np.asarray(shown[..., :1])
rows = np.arange(SIZE)[None, :, None, None]
# Each of the two bars of a picture as an object of its own.
upper = np.array([np.flatnonzero(bar[:, 1, 0])[0] for bar in bars])[:, None, None, None]
masks = np.concatenate([(bars > 0) & (rows == upper), (bars > 0) & (rows != upper)], -1)
moved = np.moveaxis(np.asarray(trajectory), 0, 1)
plotting.scene_sheet(bars, masks, moved, bars, title="A phase a bar")

# %% [markdown]
# **Change it.**
#
# 1. Take the dynamics away (`STEPS = 0` is not allowed: use `rate=0.0`). What is left to chance?
# 2. Other dynamics fit the same place: `kuramoto.graph_step` on a graph of yours, `waves.wave_step` with a readout
#    from `oscnets.ops.readout`, or a function of your own from state to state: `unroll` runs it.
# 3. Make the bars slanted, or longer than the kernel can reach in `STEPS` steps.
