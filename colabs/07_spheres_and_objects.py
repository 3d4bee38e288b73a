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
# # Oscillators on spheres, and objects found without labels
#
# In *Artificial Kuramoto oscillatory neurons* (AKOrN; Miyato, Löwe, Geiger and Welling, 2025) an oscillator is a unit
# vector of several components. Coupled vectors turn towards each other. A network of them solves Sudokus, and finds
# objects in pictures whose labels it never sees.
#
# This notebook trains both: about three minutes on two CPU cores.

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

from data_gen import shapes, sudoku
from oscnets import grouping, metrics, plotting
from oscnets.dynamics import sphere, unroll
from oscnets.models import AKOrN, complex_autoencoder

SMOKE = bool(os.environ.get("OSCNETS_SMOKE"))  # tiny sizes, for the tests
print(f"jax {jax.__version__} on {jax.devices()[0].platform}")

# %% [markdown]
# ## Vectors that agree
#
# One step turns every vector towards the sum of the forces on it, along the sphere:
# $x_i \leftarrow N\bigl(x_i + \gamma\,\mathrm{Proj}_{x_i}(\sum_j J_{ij} x_j)\bigr)$. Twelve oscillators of three
# components are coupled within three groups. Within a group they agree, and the energy falls.

# %%
coupling = jnp.kron(jnp.eye(3), jnp.ones((4, 4)))
start = sphere.normalize(jax.random.normal(jax.random.key(0), (12, 3)))
step = lambda x: sphere.sphere_step(x, coupling @ x, rate=0.1)
measure = lambda x: (sphere.order_parameter(x.reshape(3, 4, 3)), sphere.energy(x, coupling @ x))
_, (order, energy) = unroll(step, start, 60, collect=measure)
names = [f"group {i + 1}" for i in range(3)]
plotting.curve_row(
    [
        {"values": {name: order[None, :, i] for i, name in enumerate(names)}, "xlabel": "step", "ylabel": "synchrony"},
        {"values": {"energy": energy[None]}, "xlabel": "step", "ylabel": "energy"},
    ],
    models=[*names, "energy"],
    title="Oscillators on a sphere, coupled within three groups",
)

# %% [markdown]
# **Exercise.** Couple all oscillators, or give them natural frequencies with `rotation=0.5`. Does the energy still fall
# at every step?
#
# ## Sudoku
#
# Every cell of a board has many oscillators. Those of a given digit start as the digit is embedded and feel it as a
# stimulus all the time; those of a blank start from noise. Self-attention couples the cells. After every step the
# states may be read out as digits.

# %%
count, batch, updates = (16, 4, 3) if SMOKE else (3000, 16, 1000)
boards = sudoku.generate(seed=0, num_examples=count, givens=(60, 68))
network = AKOrN(channels=8 if SMOKE else 32, heads=4, num_steps=2 if SMOKE else 8)
start = {"params": jax.random.key(0), "noise": jax.random.key(1)}
variables = jax.jit(network.init)(start, jnp.asarray(boards.puzzles[:1]))
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3 if SMOKE else 2e-3))


@jax.jit
def update(variables, state, puzzles, solutions, key):
    def objective(variables):
        logits = network.apply(variables, puzzles, rngs={"noise": key}).logits
        return optax.softmax_cross_entropy_with_integer_labels(logits, solutions - 1).mean()

    value, gradients = jax.value_and_grad(objective)(variables)
    changes, state = optimizer.update(gradients, state)
    return optax.apply_updates(variables, changes), state, value


state, rng = optimizer.init(variables), np.random.default_rng(0)
for number in range(updates):
    rows = rng.integers(0, count, batch)
    examples = (jnp.asarray(array[rows], jnp.int32) for array in boards)
    key = jax.random.fold_in(jax.random.key(2), number)
    variables, state, value = update(variables, state, *examples, key)
    if (number + 1) % max(1, updates // 5) == 0:
        print(f"update {number + 1}: cross-entropy {value:.3f}")

# %%
tests = sudoku.generate(seed=1, num_examples=4 if SMOKE else 50, givens=(60, 68))
options = {"num_steps": 3 if SMOKE else 16, "every_step": True, "keep_states": True}
out = network.apply(variables, jnp.asarray(tests.puzzles), rngs={"noise": jax.random.key(3)}, **options)
answers = np.asarray(out.logits.argmax(-1)) + 1  # (steps, boards, 9, 9)
solved = ((answers == tests.solutions) | (tests.puzzles > 0)).all((2, 3)).mean(1)
print("share of boards solved after every step:", np.round(solved, 2))

# %% [markdown]
# The network had eight steps in its training, and may go on. Below, green digits are right and red ones wrong; the
# colours are three components of the states of a cell.

# %%
states = np.asarray(out.trajectories[-1])[:, :2, ..., :3]
film = plotting.board_animation(
    tests.puzzles[:2],
    tests.solutions[:2],
    np.moveaxis(answers[:, :2], 0, 1),
    np.moveaxis(states, 0, 1) / 2 + 0.5,
    np.asarray(out.energies[-1])[:, :2].T,
)
film.show(film.num_frames - 1)
film.figure  # noqa: B018 - shown by the notebook

# %% [markdown]
# `plotting.save_animation(film, "boards.gif")` writes all frames. `python -m experiments.akorn` trains the networks of
# the paper, and lets several runs from different noises vote.
#
# ## Shapes told apart by phases
#
# The Complex AutoEncoder reconstructs a picture of two hollow shapes. Only the magnitudes of its last complex features
# make the reconstruction; their phases are free to say which pixel belongs to which shape. Clusters of them are
# compared with the true shapes.

# %%
pictures = shapes.generate(seed=0, num_examples=8 if SMOKE else 4000, num_shapes=2)
model = complex_autoencoder(channels=2 if SMOKE else 16, latent=4 if SMOKE else 32)
variables = jax.jit(model.init)(jax.random.key(0), pictures.images[:1])
params, statistics = variables["params"], variables["batch_stats"]
optimizer = optax.adam(1e-3)


@jax.jit
def update_autoencoder(params, statistics, state, images):
    def objective(params):
        out, moved = model.apply(
            {"params": params, "batch_stats": statistics}, images, train=True, mutable=["batch_stats"]
        )
        return ((out.reconstruction - images) ** 2).mean(), moved["batch_stats"]

    (value, statistics), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    changes, state = optimizer.update(gradients, state)
    return optax.apply_updates(params, changes), statistics, state, value


state, updates = optimizer.init(params), 2 if SMOKE else 1000
for number in range(updates):
    images = pictures.images[rng.integers(0, len(pictures.images), 4 if SMOKE else 32)]
    params, statistics, state, value = update_autoencoder(params, statistics, state, images)
    if (number + 1) % max(1, updates // 4) == 0:
        print(f"update {number + 1}: squared error {value:.4f}")

# %%
held_out = shapes.generate(seed=1, num_examples=4, num_shapes=2)
out = model.apply({"params": params, "batch_stats": statistics}, held_out.images)
points = grouping.orientation_features(out.features, convention="polar")
groups = grouping.clusters(points, 3, mask=held_out.labels >= 0)
print("adjusted Rand index of the pixels of shapes:", np.round(metrics.foreground_ari(held_out.labels, groups), 2))
plotting.label_sheet(held_out.images, np.maximum(held_out.labels, 0), {"groups": np.maximum(groups, 0)})

# %% [markdown]
# The published run had ten thousand updates of 64 pictures. `python -m experiments.akorn
# --config=experiments/configs/akorn.py:shapes` trains such networks, and Rotating Features, of more components.
#
# **Exercises.**
#
# 1. Give the Sudokus fewer digits. How many updates does the network need then?
# 2. Run the trained network from several noises and let `ops.vote` choose by the energy.
# 3. Group the pixels by four clusters instead of three. Which of the scores changes most?
