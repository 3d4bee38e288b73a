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
# # KomplexNet
#
# A small convolutional network classifies scenes of two digits. In its first layer every activity has a phase, and
# these phases synchronize through a *learned* kernel (Muzellec, Alamia, Serre and VanRullen, TMLR 2025). In the layers
# above, the inputs of synchronized units add up, and those of units in antiphase do not. The layer thus implements
# binding by synchrony.
#
# This notebook trains a KomplexNet from scratch: about two minutes on two CPU cores, seconds on a GPU.

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

import oscnets
from data_gen import multi_mnist, sources
from oscnets import losses, metrics, plotting
from oscnets.models import KomplexNet, random_phases

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # tiny sizes, for the tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Scenes
#
# The digits are part of scikit-learn, so nothing is downloaded. Training and test scenes use different digits.

# %%
num_scenes, size, batch_size = (32, 16, 8) if SMOKE else (4000, 24, 32)
scenes = multi_mnist.generate(sources.load("digits", "train"), seed=0, num_examples=num_scenes, size=size)
tests = multi_mnist.generate(sources.load("digits", "test"), seed=1, num_examples=num_scenes // 8, size=size)
train = {"images": scenes.images, "masks": scenes.masks, "targets": scenes.multi_hot()}

# %% [markdown]
# ## The model
#
# `KomplexNet` is a thin Flax module. `out.logits` has one row per step of the dynamics; `out.trajectory` contains the
# phases after every step.

# %%
steps = 4 if SMOKE else 10
model = KomplexNet(kernel_size=9, rate=0.018, epsilon=0.2, num_steps=steps)
phases0 = random_phases(jax.random.key(1), (num_scenes // 8, size, size, model.channels))
init = jax.jit(lambda key: model.init({"params": key}, tests.images, phases0=phases0))
variables = initial = init(jax.random.key(0))
print({name: leaf.shape for name, leaf in variables["params"].items() if hasattr(leaf, "shape")})

evaluate = jax.jit(lambda variables, images, phases0: model.apply(variables, images, phases0=phases0))
before = evaluate(variables, tests.images, phases0)


def plot_phases(out, title, count=2):
    """Scenes, their phases at some steps, and the phases on the circle."""
    trajectory = np.moveaxis(np.asarray(out.trajectory), 0, 1)[:count]
    amplitude = np.asarray(out.amplitude)[:count]
    return plotting.scene_sheet(tests.images[:count], tests.masks[:count], trajectory, amplitude, title=title)


plot_phases(before, "Before training")

# %% [markdown]
# ## Training
#
# The objective has two terms (equation 7): the cross-entropy, averaged over the steps, and the cluster synchrony loss
# at the last step. The second term is smallest with one phase per digit and different digits in antiphase. Gradients go
# through all steps.


# %%
def step_entropy(shared, state, targets):
    """Cross-entropy of one step."""
    variables, context = shared
    logits = model.apply(variables, state, context, method="classify_step")
    return losses.binary_cross_entropy(logits, targets).mean()


def objective(variables, batch, key, weight):
    """Equation 7 for one batch."""
    start = random_phases(key, (*batch["images"].shape[:3], model.channels))
    run = model.apply(variables, batch["images"], phases0=start, method="synchronize")
    entropy = losses.mean_over_time(step_entropy, (variables, run.context), run.states, batch["targets"])
    synchrony = losses.cluster_synchrony(run.phases, batch["masks"], run.amplitude).mean()
    return entropy + weight * synchrony, synchrony


optimizer = optax.chain(optax.clip_by_global_norm(2.0), optax.adam(6e-3))


@jax.jit
def update(variables, state, batch, key):
    """One step of training."""
    (loss, synchrony), gradients = jax.value_and_grad(objective, has_aux=True)(variables, batch, key, 1.0)
    changes, state = optimizer.update(gradients, state)
    return optax.apply_updates(variables, changes), state, loss, synchrony


state, log = optimizer.init(variables), []
updates = 4 if SMOKE else 500
rng = np.random.default_rng(0)
for step in range(updates):
    indices = rng.integers(0, num_scenes, batch_size)
    examples = {name: jnp.asarray(array[indices]) for name, array in train.items()}
    variables, state, loss, synchrony = update(variables, state, examples, jax.random.fold_in(jax.random.key(2), step))
    log.append((float(loss), float(synchrony)))
    if (step + 1) % max(1, updates // 5) == 0:
        print(f"step {step + 1}: loss {log[-1][0]:.3f}, synchrony loss {log[-1][1]:.3f}")

# %%
after = evaluate(variables, tests.images, phases0)
plot_phases(after, "After training: test scenes")

# %% [markdown]
# ## Does accuracy improve over time?
#
# The weights are the same at every step; only the phases change. The phases learn to synchronize within a hundred
# updates. Some thousands of updates are necessary until synchrony also improves the accuracy
# (`python -m experiments.komplexnet` trains that long).


# %%
def scores(out):
    """Share of digits found, and synchrony loss, at every step."""
    accuracy = metrics.multi_label_scores(out.logits, jnp.asarray(tests.multi_hot()))["accuracy"].mean(1)
    step_loss = lambda phases: losses.cluster_synchrony(phases, jnp.asarray(tests.masks), out.amplitude).mean()
    return np.asarray(accuracy), np.asarray(jax.lax.map(step_loss, out.trajectory))


results = {"before training": scores(before), "after training": scores(after)}
plotting.curve_row(
    [
        {"values": {name: pair[0][None] for name, pair in results.items()}, "ylabel": "share of digits found",
         "xlabel": "step of the dynamics", "chance": 0.2},
        {"values": {name: pair[1][None] for name, pair in results.items()}, "ylabel": "synchrony loss",
         "xlabel": "step of the dynamics"},
    ],
    models=list(results),
    title="Accuracy and synchrony loss over the steps of the dynamics",
)  # fmt: skip

# %% [markdown]
# ## The learned coupling kernel
#
# The coupling kernel is initialized to a Gaussian, the same for all pairs of channels.

# %%
kernels = [tree["params"]["coupling_kernel"] for tree in (initial, variables)]
plotting.kernel_change(*kernels, title="Coupling kernel")

# %% [markdown]
# ## A KomplexNet after longer training
#
# `oscnets.pretrained` loads the weights of a KomplexNet after 6,000 updates on MNIST scenes of 32 pixels, and the
# command that trained it. It also separates the phases of digits from another data set, which were not in its training.

# %%
module, weights, facts = oscnets.pretrained("komplexnet")
accuracy = facts["score"]["test"]["accuracy"]
print(f"{facts['command'].split(' --')[0]}, seed {facts['seed']}: share of digits found {accuracy:.3f}")
large = multi_mnist.generate(sources.load("digits", "test"), seed=2, num_examples=2, size=32)
start = random_phases(jax.random.key(3), (2, 32, 32, module.channels))
out = jax.jit(module.apply)(weights, large.images, phases0=start)
plotting.scene_sheet(
    large.images, large.masks, np.moveaxis(np.asarray(out.trajectory), 0, 1), np.asarray(out.amplitude),
    title="A KomplexNet trained on MNIST, tested on another data set",
)  # fmt: skip

# %% [markdown]
# **Exercises.**
#
# 1. Run the trained model for more steps: `model.apply(variables, images, phases0=phases0, num_steps=60)`. Are the
#    phases stable?
# 2. Set the weight of the synchrony loss to 0 in `update`. How do the phases change?
# 3. Train `KomplexNet(feedback=("l2", "l3", "l4"), rate=0.009)`: the layers above act on the phases too.
# 4. Test on three digits: `multi_mnist.generate(..., num_digits=3)`.
