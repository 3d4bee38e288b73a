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
# # A drum, and waves that see
#
# Can one hear the shape of a drum? At least its size: a large one sounds lower, everywhere on its skin. So a point that
# listens long enough knows how large the drum around it is, without anybody telling it. Jacobs, Budzinski, Muller, Ba
# and Keller (2025) make a network of it: an image sets off waves, every pixel listens to its own time series, and names
# the object it belongs to.

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
import optax
from IPython.display import Image

import oscnets
from data_gen import tetrominoes
from oscnets import losses, metrics, plotting
from oscnets.dynamics import unroll, waves
from oscnets.models import NeuralWaveMachine

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # a tiny size, for tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Square drums
#
# A membrane obeys the wave equation $\ddot u = c^2 \nabla^2 u$, and is held at 0 on its rim. Theory says that a square
# of side $L$ rings at $f = c / (\sqrt 2 L)$. `waves.wave_step` moves velocity first, position second, so that energy
# stays bounded however long the drum rings. Several drums lie in the channels of one array.

# %%
sides = np.array([9, 13, 17]) if SMOKE else np.array([9, 11, 13, 17, 21, 25])
size, length, dt = sides.max() - 1, 3000 if SMOKE else 20_000, 0.1
inside = np.arange(size)[:, None] < sides - 1
mask = jnp.asarray(inside[:, None] & inside[None], jnp.float32)
centre = np.arange(size)[:, None] == sides // 2 - 1
struck = jnp.asarray(centre[:, None] & centre[None], jnp.float32)
middle, drums = sides // 2 - 1, np.arange(len(sides))


@jax.jit
def ring(position):
    """The centres' positions after every step, (length, drums)."""
    step = lambda state: waves.wave_step(*state, speed=1.0, dt=dt, mask=mask)
    listen = lambda state: state[0][middle, middle, drums]
    return unroll(step, (position, jnp.zeros_like(position)), length, collect=listen)[1]


sound = np.asarray(ring(struck))
spectra = np.abs(np.fft.rfft(sound * np.hanning(length)[:, None], axis=0))
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
    title="Larger drums sound lower",
)  # fmt: skip

# %%
for i, side in enumerate(sides):
    theory = waves.drum_frequencies(side, 1.0)[0]
    near = np.abs(frequencies - theory) < 0.15 * theory
    heard = frequencies[near][spectra[near, i].argmax()]
    print(f"side {side}: heard {1e3 * heard:.1f} mHz, theory {1e3 * theory:.1f} mHz")

# %% [markdown]
# **Change it.** Strike the drum off its centre: which peaks appear? Raise `dt` beyond `waves.largest_dt(1.0)`: what
# does the error tell?

# %% [markdown]
# ## Oscillators that carry waves across an image
#
# The *Neural Wave Machine* (equation 9) couples damped oscillators to their neighbours by a learned 3 x 3 kernel:
#
# $$v \leftarrow v + \Delta t\,(\tanh(W * u) - \omega u - \alpha v), \qquad u \leftarrow u + \Delta t\,v$$
#
# The image sets frequencies $\omega$, damping $\alpha$ and the first positions. Each pixel's time series is summed up
# by a readout (here a learned linear one) and classified: which kind of tetromino am I part of? No pixel sees more
# than its neighbours at a step, so what it knows of the whole came by waves.

# %%
number, size, batch = (8, 16, 4) if SMOKE else (600, 24, 16)
pieces = tetrominoes.generate(seed=0, num_examples=number, num_pieces=(1, 1 if SMOKE else 2), size=size, square=3)
tests = tetrominoes.generate(seed=1, num_examples=8, num_pieces=(1, 1 if SMOKE else 2), size=size, square=3)
model = NeuralWaveMachine(num_classes=6, num_steps=10 if SMOKE else 60, hidden=(32, 32), mid_channels=8)
variables = jax.jit(model.init)(jax.random.key(0), tests.images[:1])
optimizer = optax.adam(5e-3)


def pixel_entropy(variables, features, labels):
    """Cross-entropy of some pixels."""
    logits = model.apply(variables, features, method="classify_pixels")
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def objective(variables, images, labels):
    """Mean over all pixels, those of the background too."""
    features = model.apply(variables, images, method="features").pixels
    return losses.mean_over_pixels(pixel_entropy, variables, features, labels)


@jax.jit
def update(variables, state, images, labels):
    """One step of training."""
    value, gradients = jax.value_and_grad(objective)(variables, images, labels)
    changes, state = optimizer.update(gradients, state)
    return optax.apply_updates(variables, changes), state, value


look = jax.jit(model.apply)
state, updates, order = optimizer.init(variables), 3 if SMOKE else 400, np.random.default_rng(0)
for step in range(updates):
    chosen = order.integers(0, number, batch)
    pair = jnp.asarray(pieces.images[chosen]), jnp.asarray(pieces.labels[chosen])
    variables, state, loss = update(variables, state, *pair)
    if (step + 1) % max(1, updates // 4) == 0:
        scores = metrics.foreground_scores(look(variables, tests.images).logits, jnp.asarray(tests.labels))
        print(f"step {step + 1}: loss {loss:.3f}, test foreground named rightly {scores['accuracy'].mean():.2f}")

# %%
out = look(variables, tests.images)
plotting.label_sheet(
    tests.images[:4], tests.labels[:4], {"wave machine": np.asarray(out.logits.argmax(-1))[:4]},
    classes=tetrominoes.NAMES, title="Classes of pixels",
)  # fmt: skip

# %% [markdown]
# A few hundred updates tell pieces from the background, and little more. `oscnets.pretrained` has the weights of a wave
# machine after 3,750, with the command that made it:

# %%
trained, weights, facts = oscnets.pretrained("wave_machine")
shown = tetrominoes.generate(seed=3, num_examples=4, num_pieces=(1, 5), size=32, square=3)
out = jax.jit(trained.apply)(weights, shown.images)
print(f"foreground named rightly in its test: {facts['score']['test']['foreground_accuracy']:.3f}")
plotting.label_sheet(
    shown.images, shown.labels, {"wave machine": np.asarray(out.logits.argmax(-1))},
    classes=tetrominoes.NAMES, title="Classes of pixels, after longer training",
)  # fmt: skip

# %%
states = np.asarray(out.states[:, :3, ..., 0])
animation = plotting.state_animation(shown.images[:3], states, title="Waves in three pictures")
plotting.save_animation(animation, "waves.gif", fps=12)
Image(filename="waves.gif")

# %% [markdown]
# **Change it.**
#
# 1. Read the last step only: `NeuralWaveMachine(readout="last", ...)`. How much more does the whole time series hold?
# 2. Fewer steps: with `num_steps=5` a wave travels five pixels. Which pieces are confused now?
# 3. `gradient="reverse", keep="readout"` inverts the steps instead of storing them: the same gradients in memory that
#    hardly grows.
