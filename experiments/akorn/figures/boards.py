"""Sudoku: boards under solution that a run saves, the film of them, and the scores over the steps of the test."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import engine
from experiments.akorn import sudoku
from experiments.akorn.task import make_network
from experiments.engine import Table
from oscnets import models, plotting

Arrays = dict[str, np.ndarray]

BOARDS = 8  # saved of each kind of test set
LONGEST = 24  # steps saved at most


def sample(trained: engine.Trained, data: Mapping[str, Any], tests: Mapping[str, Table]) -> Arrays:
    """Boards of the test sets under solution, of the first seed.

    Args:
        trained: the model.
        data: its splits.
        tests: by label, the tables of the test sets; of each kind the one with most steps is taken.

    Returns:
        {} for a network without oscillators; else puzzles and solutions int8 (N, 9, 9), `kinds` (N,) of the test sets,
        and after every step answers int8 (N, T, 9, 9), energies (N, T) per oscillator, and colours (N, T, 9, 9, 3) in
        [0, 1], the three principal components of the states of a board.
    """
    network = make_network(trained.model.config, trained.model.table)
    alone = {label: test for label, test in tests.items() if test["votes"] == 1 and label in data}
    if not isinstance(network, models.AKOrN) or not alone:
        return {}
    params = jax.tree.map(lambda x: x[0], engine.averaged_params(trained.params))
    steps = min(max(test["steps"] or network.num_steps for test in alone.values()), LONGEST)
    shown = {test["kind"]: label for label, test in alone.items()}
    parts = [{key: array[:BOARDS] for key, array in data[label].items()} for label in shown.values()]
    boards = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    keys = jax.random.split(jax.random.key(trained.model.config.seed), len(boards["puzzles"]))
    out = jax.jit(partial(solve, network, num_steps=steps))(params, boards["puzzles"], keys)
    kinds = np.repeat(list(shown), [len(part["puzzles"]) for part in parts])
    return boards | {"kinds": kinds} | {name: np.asarray(value) for name, value in out.items()}


def solve(network: models.AKOrN, params, puzzles, keys, *, num_steps: int) -> dict[str, jax.Array]:
    """Answers, energies and colours after every step of boards (B, 9, 9), see `sample`."""
    noise = sudoku.noise_of(network, keys)
    options = {"num_steps": num_steps, "keep_states": True, "every_step": True}
    out = network.apply(params, puzzles.astype(jnp.int32), noise=noise, **options)
    oscillators = 81 * network.channels / network.components
    return {
        "answers": jnp.moveaxis(out.logits.argmax(-1).astype(jnp.int8) + 1, 0, 1),
        "energies": sum(out.energies).T / oscillators,
        "colours": jax.vmap(_colours, 1)(out.trajectories[-1]).astype(jnp.float16),
    }


def _colours(states: jax.Array) -> jax.Array:
    """The three principal components of states (T, H, W, C), each scaled to [0, 1]."""
    flat = states.reshape(-1, states.shape[-1])
    flat -= flat.mean(0)
    _, axes = jnp.linalg.eigh(flat.T @ flat)
    parts = flat @ axes[:, -3:]
    low, high = parts.min(0), parts.max(0)
    return ((parts - low) / jnp.maximum(high - low, 1e-12)).reshape(*states.shape[:-1], 3)


def draw_samples(figures: Path, model: str, arrays: Mapping[str, np.ndarray]) -> None:
    """boards_MODEL.gif: of every kind of test set a board that is solved, or else the one with most cells right."""
    blank = arrays["puzzles"] == 0
    right = (blank & (arrays["answers"][:, -1] == arrays["solutions"])).sum((1, 2)) / np.maximum(blank.sum((1, 2)), 1)
    places = [np.flatnonzero(arrays["kinds"] == kind) for kind in dict.fromkeys(arrays["kinds"])]
    chosen = np.array([place[right[place].argmax()] for place in places])
    given = 81 - blank.sum((1, 2))
    shown = {name: arrays[name][chosen] for name in ("puzzles", "solutions", "answers", "colours", "energies")}
    names = [f"{arrays['kinds'][i]}: {given[i]} given" for i in chosen]
    animation = plotting.board_animation(**shown, names=names, title=model)
    plotting.save_animation(animation, figures / f"boards_{model}.gif")


def draw_steps(
    figures: Path, metrics: engine.Metrics, models: Mapping[str, engine.Model], tests: Mapping[str, Table]
) -> None:
    """steps_KIND.png: boards solved over the steps of the test, one line per model and way to vote."""
    for kind in dict.fromkeys(test["kind"] for test in tests.values()):
        found: dict[str, dict[int, np.ndarray]] = {}
        for label, test in tests.items():
            for name, model in models.items():
                _, values = engine.last_values(metrics, name, label, "boards")
                if test["kind"] == kind and values.size:
                    steps = test["steps"] or model.config.model.num_steps
                    found.setdefault(_line(name, test), {})[steps] = values[:, -1]
        if found:
            values = {line: np.stack([of[steps] for steps in sorted(of)], 1) for line, of in found.items()}
            positions = {line: np.array(sorted(of)) for line, of in found.items()}
            settings = {"xlabel": "steps at test", "ylabel": "share of boards solved", "title": kind, "across": False}
            plotting.save(plotting.curves(values, positions=positions, **settings), figures / f"steps_{kind}.png")


def _line(model: str, test: Table) -> str:
    return model if test["votes"] == 1 else f"{model}, {test['votes']} votes by {test['by']}"
