# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # KomplexNet
#
# A small convolutional network reads scenes of two digits. Its first layer has a phase beside each activity, and these
# phases synchronize through a *learned* kernel (Muzellec, Alamia, Serre and VanRullen, TMLR 2025). What is in step
# adds up in the layers above, what is in antiphase does not: binding by synchrony, as a layer.
#
# This notebook trains one from nothing: about two minutes on two CPU cores, seconds on a GPU.

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

import oscnets
from data_gen import multi_mnist, sources
from oscnets import losses, metrics, plotting
from oscnets.models import KomplexNet, random_phases

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # a tiny size, for tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Scenes
#
# The digits come with scikit-learn, so that nothing is downloaded. Training and test scenes hold different digits.

# %%
number, size, batch = (32, 16, 8) if SMOKE else (4000, 24, 32)
scenes = multi_mnist.generate(sources.load("digits", "train"), seed=0, num_examples=number, size=size)
tests = multi_mnist.generate(sources.load("digits", "test"), seed=1, num_examples=number // 8, size=size)
train = {"images": scenes.images, "masks": scenes.masks, "targets": scenes.multi_hot()}

# %% [markdown]
# ## The model
#
# A thin Flax module. `out.logits` has a row a step of the dynamics, `out.trajectory` the phases after every step.

# %%
steps = 4 if SMOKE else 10
model = KomplexNet(kernel_size=9, rate=0.018, epsilon=0.2, num_steps=steps)
phases0 = random_phases(jax.random.key(1), (number // 8, size, size, model.channels))
init = jax.jit(lambda key: model.init({"params": key}, tests.images, phases0=phases0))
variables = initial = init(jax.random.key(0))
print({name: leaf.shape for name, leaf in variables["params"].items() if hasattr(leaf, "shape")})

look = jax.jit(lambda variables, images, phases0: model.apply(variables, images, phases0=phases0))
before = look(variables, tests.images, phases0)


def sheet(out, title, shown=2):
    """Scenes, their phases at some steps, and the phases on the circle."""
    trajectory = np.moveaxis(np.asarray(out.trajectory), 0, 1)[:shown]
    amplitude = np.asarray(out.amplitude)[:shown]
    return plotting.scene_sheet(tests.images[:shown], tests.masks[:shown], trajectory, amplitude, title=title)


sheet(before, "Before training")

# %% [markdown]
# ## Training
#
# Two terms (equation 7): the cross-entropy averaged over the steps, and the cluster synchrony loss at the last one,
# which asks for one phase a digit and opposite phases for different digits. Gradients go through all steps.


# %%
def step_entropy(shared, state, targets):
    """Cross-entropy of one step."""
    variables, context = shared
    logits = model.apply(variables, state, context, method="classify_step")
    return losses.binary_cross_entropy(logits, targets).mean()


def objective(variables, batch, key, weight):
    """Equation 7 on a batch."""
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
order = np.random.default_rng(0)
for step in range(updates):
    chosen = order.integers(0, number, batch)
    examples = {name: jnp.asarray(array[chosen]) for name, array in train.items()}
    variables, state, loss, synchrony = update(variables, state, examples, jax.random.fold_in(jax.random.key(2), step))
    log.append((float(loss), float(synchrony)))
    if (step + 1) % max(1, updates // 5) == 0:
        print(f"step {step + 1}: loss {log[-1][0]:.3f}, synchrony loss {log[-1][1]:.3f}")

# %%
after = look(variables, tests.images, phases0)
sheet(after, "After training: scenes it has not seen")

# %% [markdown]
# ## Does time help?
#
# The weights are the same at every step; only the phases move. Synchrony comes within a hundred updates; that it also
# helps to read the digits takes some thousands (`python -m experiments.komplexnet` trains that long).


# %%
def scores(out):
    """Share of digits found, and synchrony loss, at every step."""
    accuracy = metrics.multi_label_scores(out.logits, jnp.asarray(tests.multi_hot()))["accuracy"].mean(1)
    of_step = lambda phases: losses.cluster_synchrony(phases, jnp.asarray(tests.masks), out.amplitude).mean()
    return np.asarray(accuracy), np.asarray(jax.lax.map(of_step, out.trajectory))


found = {"before training": scores(before), "after training": scores(after)}
plotting.curve_row(
    [
        {"values": {name: pair[0][None] for name, pair in found.items()}, "ylabel": "share of digits found",
         "xlabel": "step of the dynamics", "chance": 0.2},
        {"values": {name: pair[1][None] for name, pair in found.items()}, "ylabel": "synchrony loss",
         "xlabel": "step of the dynamics"},
    ],
    models=list(found),
    title="Over the steps of the dynamics",
)  # fmt: skip

# %% [markdown]
# ## What was learned
#
# The coupling kernel starts as a Gaussian, the same between all channels.

# %%
kernels = [tree["params"]["coupling_kernel"] for tree in (initial, variables)]
plotting.kernel_change(*kernels, title="Coupling kernel")

# %% [markdown]
# ## One that was trained for longer
#
# `oscnets.pretrained` has the weights of a KomplexNet after 6,000 updates on MNIST scenes of 32 pixels, with the
# command that made it. Other digits than it ever saw still fall into phases of their own.

# %%
module, weights, facts = oscnets.pretrained("komplexnet")
print(f"{facts['command'].split(' --')[0]}, seed {facts['seed']}: {facts['score']['test']['accuracy']:.3f} found")
large = multi_mnist.generate(sources.load("digits", "test"), seed=2, num_examples=2, size=32)
start = random_phases(jax.random.key(3), (2, 32, 32, module.channels))
out = jax.jit(module.apply)(weights, large.images, phases0=start)
plotting.scene_sheet(
    large.images, large.masks, np.moveaxis(np.asarray(out.trajectory), 0, 1), np.asarray(out.amplitude),
    title="A KomplexNet trained on MNIST, on digits of another kind",
)  # fmt: skip

# %% [markdown]
# **Change it.**
#
# 1. Let the trained model run on: `model.apply(variables, images, phases0=phases0, num_steps=60)`. Does it stay?
# 2. Set the weight of the synchrony loss to 0 in `update`. What becomes of the phases?
# 3. `KomplexNet(feedback=("l2", "l3", "l4"), rate=0.009)`: the layers above pull the phases too.
# 4. Test on three digits: `multi_mnist.generate(..., num_digits=3)`.
