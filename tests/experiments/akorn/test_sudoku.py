"""Sudoku: loss, scores, steps of the test and votes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_gen import sudoku as boards
from experiments import engine
from experiments.akorn import sudoku
from experiments.akorn.specs import FAMILY
from oscnets import models
from tests.experiments.families import config_of, tables
from tests.helpers import assert_close, random_variables

KEYS = jax.random.split(jax.random.key(5), 3)
SMALL = {"model.channels": 8, "model.heads": 2, "model.num_steps": 2}


@pytest.fixture(scope="module")
def batch():
    return boards.generate(seed=1, num_examples=3, givens=(60, 70))._asdict()


def make(name, *tests):
    config = config_of(FAMILY, "sudoku,smoke", **SMALL)
    (model,) = tables(FAMILY, "models", name).values()
    task = sudoku.make_task(config, model, tables(FAMILY, "tests", "test", *tests))
    return sudoku.BUILDERS[name](config, model), task


def averaged_of(task):
    params = random_variables(lambda: engine.averaged_params(task.init(jax.random.key(0))))
    return {"live": params, "average": params}


class Told:
    """In place of a network: right in the cells that are said, wrong elsewhere."""

    def __init__(self, solutions, right):
        digits = np.where(right, solutions, solutions % 9 + 1)
        self.logits = jnp.asarray(5.0 * np.eye(9, dtype=np.float32)[digits - 1])

    def apply(self, params, puzzles, num_steps=None):
        return models.iterated.Iterated(self.logits, None)


def test_scores_are_of_blank_cells(batch):
    """All right but a given cell; one blank wrong; all blanks wrong."""
    blank = batch["puzzles"] == 0
    right = np.ones_like(blank)
    right[0][np.unravel_index(np.argmin(blank[0]), (9, 9))] = False
    right[1][np.unravel_index(np.argmax(blank[1]), (9, 9))] = False
    right[2] = ~blank[2]
    found = sudoku.scores(Told(batch["solutions"], right), None, 1, "sum", None, batch, KEYS)
    assert found["boards"].tolist() == [1, 0, 0]
    number = blank[1].sum()
    np.testing.assert_allclose(found["cells"], [1, (number - 1) / number, 0], atol=1e-6)
    one, all_ = np.log(8 + np.exp(5)) - 5, 5
    np.testing.assert_allclose(found["loss"], one + all_ * (~right).mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("name", sudoku.BUILDERS)
def test_loss_is_the_mean_cross_entropy_of_all_cells(name, batch):
    _, task = make(name)
    params = averaged_of(task)
    value, _ = jax.jit(task.loss)(params, batch, KEYS)
    np.testing.assert_allclose(value, jax.jit(task.evaluate)(params, batch, KEYS)["loss"].mean(), rtol=1e-5)
    other = jax.tree.map(jnp.zeros_like, params["live"])
    entropy = jax.jit(task.loss)({"live": other, "average": params["average"]}, batch, KEYS)[0]
    np.testing.assert_allclose(entropy, np.log(9), rtol=1e-5)


def test_noise_is_each_boards_own(batch):
    network, task = make("akorn")
    params = averaged_of(task)["live"]
    run = jax.jit(partial(sudoku.run, network))
    whole = run(params, batch["puzzles"], KEYS)
    assert whole.energies.shape == (2, 3)
    alone = run(params, batch["puzzles"][::-1], KEYS[::-1])
    assert_close(whole.logits[::-1], alone.logits, 1e-5)
    other = run(params, batch["puzzles"], KEYS[::-1])
    assert np.abs(whole.logits[0] - other.logits[0]).max() > 1e-4


@pytest.mark.parametrize("by", ["sum", "last", "confidence"])
def test_a_vote_takes_the_run_that_settles_best(by, batch):
    """Against all runs one after the other, at other steps than those of the training."""
    network, task = make("akorn", f"test+votes4+{by}@3")
    params = averaged_of(task)
    found = jax.jit(task.evaluate_on(f"test+votes4+{by}@3"))(params, batch, KEYS)
    each = jax.vmap(lambda key: jax.random.split(key, 4))(KEYS)
    run = jax.jit(partial(sudoku.run, network, num_steps=3))
    runs = [run(params["average"], batch["puzzles"], each[:, i]) for i in range(4)]
    logits, energies = (np.stack([getattr(run, name) for run in runs]) for name in ("logits", "energies"))
    cost = {
        "sum": energies.sum(1),
        "last": energies[:, -1],
        "confidence": -np.asarray(jax.nn.softmax(logits).max(-1).mean((-2, -1))),
    }[by]
    best = logits[cost.argmin(0), np.arange(3)]
    expected = -np.take_along_axis(np.asarray(jax.nn.log_softmax(best)), batch["solutions"][..., None] - 1, -1)
    np.testing.assert_allclose(found["loss"], expected.mean((1, 2, 3)), rtol=1e-5)


def test_tests_alike_are_compiled_once():
    _, task = make("akorn", "sparse", "test@3", "sparse@3", "test+votes2@3")
    assert task.evaluate_on("test") is task.evaluate_on("sparse") is task.evaluate
    assert task.evaluate_on("test@3") is task.evaluate_on("sparse@3") is not task.evaluate_on("test+votes2@3")
