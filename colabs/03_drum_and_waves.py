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
# # Drums, and segmentation by waves
#
# Does the sound of a drum determine its shape? It determines at least the size: a large drum has lower frequencies, at
# every point of its membrane. The time series of one point, if it is long enough, is therefore sufficient to compute
# the size of the whole drum. Jacobs, Budzinski, Muller, Ba and Keller (2025) build a network on this principle: an
# image starts waves, and the time series of each pixel is classified into the object that the pixel belongs to.
#
# It runs in half a minute on two CPU cores.

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
import optax
from IPython.display import Image

import oscnets
from data_gen import tetrominoes
from oscnets import losses, metrics, plotting
from oscnets.dynamics import unroll, waves
from oscnets.models import NeuralWaveMachine

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # tiny sizes, for the tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Square drums
#
# A membrane follows the wave equation $\ddot u = c^2 \nabla^2 u$, and is fixed at 0 on its boundary. In theory the
# lowest frequency of a square of side $L$ is $f = c / (\sqrt 2 L)$. `waves.wave_step` updates the velocity first and
# the position second, so that the energy stays bounded in simulations of any length. One array contains several drums,
# one per channel.

# %%
sides = np.array([9, 13, 17]) if SMOKE else np.array([9, 11, 13, 17, 21, 25])
size, length, dt = sides.max() - 1, 3000 if SMOKE else 20_000, 0.1
inside = np.arange(size)[:, None] < sides - 1
mask = jnp.asarray(inside[:, None] & inside[None], jnp.float32)
centre = np.arange(size)[:, None] == sides // 2 - 1
impulse = jnp.asarray(centre[:, None] & centre[None], jnp.float32)
middle, drums = sides // 2 - 1, np.arange(len(sides))


@jax.jit
def simulate(position):
    """The position u at the centre of each drum after every step, (length, drums)."""
    step = lambda state: waves.wave_step(*state, speed=1.0, dt=dt, mask=mask)
    at_centre = lambda state: state[0][middle, middle, drums]
    return unroll(step, (position, jnp.zeros_like(position)), length, collect=at_centre)[1]


signals = np.asarray(simulate(impulse))
spectra = np.abs(np.fft.rfft(signals * np.hanning(length)[:, None], axis=0))
frequencies = np.fft.rfftfreq(length, dt)
names = [f"side {side}" for side in sides]
low = frequencies < 0.12
plotting.curve_row(
    [{
        "values": {name: spectra[None, low, i] / spectra[:, i].max() for i, name in enumerate(names)},
        "positions": dict.fromkeys(names, frequencies[low]),
        "xlabel": "frequency (Hz)", "ylabel": "amplitude at the centre",
    }],
    models=names,
    title="Larger drums have lower frequencies",
)  # fmt: skip

# %%
for i, side in enumerate(sides):
    theory = waves.drum_frequencies(side, 1.0)[0]
    near = np.abs(frequencies - theory) < 0.15 * theory
    peak = frequencies[near][spectra[near, i].argmax()]
    print(f"side {side}: simulation {1e3 * peak:.1f} mHz, theory {1e3 * theory:.1f} mHz")

# %% [markdown]
# **Exercise.** Move the impulse away from the centre: which peaks appear? Increase `dt` beyond `waves.largest_dt(1.0)`:
# what does the error message say?

# %% [markdown]
# ## Waves between coupled oscillators
#
# The *Neural Wave Machine* (equation 9) couples damped oscillators to their neighbours by a learned 3 x 3 kernel:
#
# $$v \leftarrow v + \Delta t\,(\tanh(W * u) - \omega u - \alpha v), \qquad u \leftarrow u + \Delta t\,v$$
#
# The image determines the squared frequencies $\omega$, the damping $\alpha$ and the first positions. A readout (here a
# learned linear one) summarizes the time series of each pixel, and a classifier predicts which kind of tetromino the
# pixel belongs to. In one step a pixel receives input from its neighbours only, so all information about the whole
# shape reaches it by waves.

# %%
num_images, size, batch_size = (8, 16, 4) if SMOKE else (600, 24, 16)
train = tetrominoes.generate(seed=0, num_examples=num_images, num_pieces=(1, 1 if SMOKE else 2), size=size, square=3)
tests = tetrominoes.generate(seed=1, num_examples=8, num_pieces=(1, 1 if SMOKE else 2), size=size, square=3)
model = NeuralWaveMachine(num_classes=6, num_steps=10 if SMOKE else 60, hidden=(32, 32), mid_channels=8)
variables = jax.jit(model.init)(jax.random.key(0), tests.images[:1])
optimizer = optax.adam(5e-3)


def pixel_entropy(variables, features, labels):
    """Cross-entropy of each pixel."""
    logits = model.apply(variables, features, method="classify_pixels")
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def objective(variables, images, labels):
    """Mean over all pixels, including the background."""
    features = model.apply(variables, images, method="features").pixels
    return losses.mean_over_pixels(pixel_entropy, variables, features, labels)


@jax.jit
def update(variables, state, images, labels):
    """One step of training."""
    value, gradients = jax.value_and_grad(objective)(variables, images, labels)
    changes, state = optimizer.update(gradients, state)
    return optax.apply_updates(variables, changes), state, value


predict = jax.jit(model.apply)
state, updates, rng = optimizer.init(variables), 3 if SMOKE else 400, np.random.default_rng(0)
for step in range(updates):
    indices = rng.integers(0, num_images, batch_size)
    images, labels = jnp.asarray(train.images[indices]), jnp.asarray(train.labels[indices])
    variables, state, loss = update(variables, state, images, labels)
    if (step + 1) % max(1, updates // 4) == 0:
        scores = metrics.foreground_scores(predict(variables, tests.images).logits, jnp.asarray(tests.labels))
        print(f"step {step + 1}: loss {loss:.3f}, test accuracy on the foreground {scores['accuracy'].mean():.2f}")

# %%
out = predict(variables, tests.images)
plotting.label_sheet(
    tests.images[:4], tests.labels[:4], {"Neural Wave Machine": np.asarray(out.logits.argmax(-1))[:4]},
    classes=tetrominoes.NAMES, title="True and predicted class of each pixel",
)  # fmt: skip

# %% [markdown]
# After a few hundred updates the model distinguishes pieces from the background, but little else. `oscnets.pretrained`
# loads the weights of a Neural Wave Machine after 3,750 updates, and the command that trained it:

# %%
trained, weights, facts = oscnets.pretrained("wave_machine")
examples = tetrominoes.generate(seed=3, num_examples=4, num_pieces=(1, 5), size=32, square=3)
out = jax.jit(trained.apply)(weights, examples.images)
print(f"accuracy on the foreground of its test set: {facts['score']['test']['foreground_accuracy']:.3f}")
plotting.label_sheet(
    examples.images, examples.labels, {"Neural Wave Machine": np.asarray(out.logits.argmax(-1))},
    classes=tetrominoes.NAMES, title="True and predicted class of each pixel, after longer training",
)  # fmt: skip

# %%
states = np.asarray(out.states[:, :3, ..., 0])
animation = plotting.state_animation(examples.images[:3], states, title="Waves in three images")
plotting.save_animation(animation, "waves.gif", fps=12)
Image(filename="waves.gif")

# %% [markdown]
# **Exercises.**
#
# 1. Use the last step only: `NeuralWaveMachine(readout="last", ...)`. How much lower is the accuracy than with the
#    whole time series?
# 2. Use fewer steps: with `num_steps=5` a wave travels five pixels. Which pieces are confused now?
# 3. Train with `gradient="reverse", keep="readout"`. The steps are then inverted instead of stored: the gradients are
#    the same, and memory hardly grows with the number of steps.
