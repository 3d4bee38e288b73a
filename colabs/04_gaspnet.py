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
# # GASPnet
#
# *Global agreement to synchronize phases* (Alamia, Muzellec, Serre and VanRullen, 2025). Every position of a
# convolutional network, in every layer, has a phase. Queries and keys, as in a transformer, say who agrees with whom;
# who agrees falls into step; and who is in step talks louder to each other.

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
from oscnets import losses, metrics, ops, phase, plotting
from oscnets.dynamics import kuramoto, unroll
from oscnets.models import GASPnet

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # a tiny size, for tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Agreement makes groups
#
# Twelve oscillators hold one of three opinions, a vector each. Their couplings are the inner products of the opinions,
# less an offset, so that strangers repel; the pull is normalized by all that an oscillator hears (equation 3):
#
# $$\varphi_i \leftarrow \varphi_i + \lambda\,\frac{\sum_j r_{ij}\sin(\varphi_j-\varphi_i)}{\sum_j |r_{ij}|}$$

# %%
opinions = jnp.repeat(jnp.eye(3), 4, axis=0)
coupling = opinions @ opinions.T - 0.3
start = jax.random.uniform(jax.random.key(0), (12,), maxval=2 * jnp.pi)
step = lambda phases: kuramoto.agreement_step(phases, coupling, rate=0.5)
last, trajectory = unroll(step, start, 40, collect=lambda phases: phases)
together = jnp.abs(phase.order_parameter(trajectory.reshape(40, 3, 4)))
plotting.curve_row(
    [{
        "values": {f"group {i + 1}": together[None, :, i] for i in range(3)},
        "xlabel": "step", "ylabel": "synchrony within the group",
    }],
    models=[f"group {i + 1}" for i in range(3)],
    title="Those of one opinion fall into step",
)  # fmt: skip

# %%
means = np.sort(np.asarray(phase.circular_mean(last.reshape(3, 4))))
print("mean phases of the groups, turns apart:", np.round(np.diff(means, append=means[0] + 2 * np.pi) / (2 * np.pi), 2))

# %% [markdown]
# **Change it.** An offset of 0: strangers ignore each other. A negative one: they attract. What happens to the three
# groups?

# %% [markdown]
# ## Phases modulate weights
#
# Each connection is scaled by $1 + \alpha\cos(\varphi_{out} - \varphi_{in})$: doubled in phase, silenced in antiphase
# (equations 1 and 2). By the addition theorem this is three plain convolutions, `ops.phase_conv`.

# %%
image = jnp.ones((8, 8, 1))
left_right = jnp.where(jnp.arange(8) < 4, 0.0, jnp.pi) * jnp.ones((8, 1))  # two halves in antiphase
kernel = jnp.ones((3, 3, 1, 1)) / 9
heard = {
    f"alpha = {strength:g}": ops.phase_conv(image, kernel, left_right, left_right, strength=strength)[4, :, 0]
    for strength in (0.0, 0.5, 1.0)
}
plotting.curve_row(
    [{
        "values": {name: row[None] for name, row in heard.items()}, "xlabel": "column", "ylabel": "response",
    }],
    models=list(heard),
    title="Across the border between two phases, neighbours stop adding up",
)  # fmt: skip

# %% [markdown]
# ## The network
#
# A plain pass gives activities. Then, a few times: activities give queries and keys, the phases take a step towards
# agreement, and a pass modulated by the phases gives new activities. `out.logits[0]` is the plain pass.

# %%
number, batch = (16, 8) if SMOKE else (3000, 32)
scenes = multi_mnist.generate(sources.load("digits", "train"), seed=0, num_examples=number)
tests = multi_mnist.generate(sources.load("digits", "test"), seed=1, num_examples=8 if SMOKE else 200)


def at_first_block(groups):
    """Masks of background and digits at half the resolution, where the first block's phases live."""
    count, height, width, n = groups.shape
    objects = groups[..., 1:].reshape(count, height // 2, 2, width // 2, 2, n - 1).any((2, 4))
    return np.concatenate([~objects.any(-1, keepdims=True), objects], -1)


model = GASPnet(channels=(8, 8, 8), dim=8, num_steps=2) if SMOKE else GASPnet(num_steps=4)
start = {"params": jax.random.key(0), "phases": jax.random.key(1)}
variables = jax.jit(model.init)(start, jnp.asarray(tests.images[:1]))
optimizer = optax.adam(2e-3)


@jax.jit
def update(variables, state, images, targets, masks, key):
    """Cross-entropy and synchrony loss at the last step (equation 7)."""

    def objective(variables):
        out = model.apply(variables, images, rngs={"phases": key})
        entropy = losses.binary_cross_entropy(out.logits[-1], targets).mean()
        synchrony = losses.cluster_synchrony(out.first_phases[-1][..., None], masks).mean()
        return entropy + 0.5 * synchrony, synchrony

    (value, synchrony), gradients = jax.value_and_grad(objective, has_aux=True)(variables)
    changes, state = optimizer.update(gradients, state)
    return optax.apply_updates(variables, changes), state, value, synchrony


state, updates, order = optimizer.init(variables), 3 if SMOKE else 300, np.random.default_rng(0)
masks, targets = at_first_block(scenes.groups()), scenes.multi_hot()
for step in range(updates):
    chosen = order.integers(0, number, batch)
    examples = (jnp.asarray(array[chosen]) for array in (scenes.images, targets, masks))
    key = jax.random.fold_in(jax.random.key(2), step)
    variables, state, value, synchrony = update(variables, state, *examples, key)
    if (step + 1) % max(1, updates // 4) == 0:
        print(f"step {step + 1}: loss {value:.3f}, synchrony loss {synchrony:.3f}")


# %%
def look(model, variables, title):
    """Phases of three scenes, and the share of digits found in all of them after the plain pass and every step."""
    run = jax.jit(lambda images: model.apply(variables, images, rngs={"phases": jax.random.key(3)}))
    out = run(tests.images)
    accuracy = metrics.multi_label_scores(out.logits, jnp.asarray(tests.multi_hot()))["accuracy"].mean(1)
    print("share of digits found after the plain pass and every step:", np.round(np.asarray(accuracy), 3))
    shown = np.moveaxis(np.asarray(out.first_phases)[:, :3], 0, 1)[..., None]
    return plotting.scene_sheet(
        tests.images[:3], at_first_block(tests.groups())[:3, ..., 1:], shown[:, 1:], np.ones_like(shown[:, 0]),
        title=title,
    )  # fmt: skip


look(model, variables, "Phases of the first block; the background has one too")

# %% [markdown]
# ## One that was trained for longer
#
# A few hundred updates bring phases that begin to agree, and little more. `oscnets.pretrained` has the weights of a
# GASPnet after 10,000 on MNIST scenes, with the command that made it. Of digits of another kind than it ever saw more
# are found from step to step. In some scenes they come forward from their background in phase, in others all agree.

# %%
trained, weights, facts = oscnets.pretrained("gaspnet")
print(f"share found in its own test, last step: {facts['score']['test']['accuracy']:.3f}")
look(trained, weights, "A GASPnet trained on MNIST, on digits of another kind")

# %% [markdown]
# **Change it.**
#
# 1. `GASPnet(strength=0.0)` in the test: the phases move, and nothing listens.
# 2. The paper prints an offset of -0.9 for a term that it says weakens distant pairs. Try `offset=0.9`, the sign that
#    the words would have, and compare; the experiments call these readings `gaspnet` and `gaspnet+weaken`.
# 3. `dense_maps="node"`: every node of the dense layers gets a query and a key of its own.
