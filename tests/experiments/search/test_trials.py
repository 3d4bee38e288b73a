"""Trials trained at once: the numbers of single runs, one compilation a shape, and trials that diverge."""

import jax
import numpy as np
import pytest

from experiments.engine.process.errors import RunError, UsageError
from experiments.search import trials
from tests.experiments.engine import toy
from tests.experiments.search import toy as toy_search

NAMES = ("learning_rate", "decay")
BATCH = [
    {"learning_rate": 0.03, "decay": 0.001, "width": 4},
    {"learning_rate": 0.3, "decay": 0.001, "width": 4},
    {"learning_rate": 0.03, "decay": 0.5, "width": 4},
]


def make_task(values):
    return toy_search.make_task(values)._replace(score="-loss")


def make_config(strategy="vmap", **train):
    config = toy.trainer_config(num_examples=44, **train)
    config.update(seeds=2, seed=3, seed_strategy=strategy)
    return config


@pytest.fixture(scope="module")
def data():
    return toy.make_data(make_config())


@pytest.fixture(scope="module")
def traced():
    """Widths of the tasks that were made while compiling, in order."""
    return []


@pytest.fixture(scope="module")
def runners(data, traced):
    """By strategy, for three trials at once."""

    def counting(values):
        if isinstance(values["decay"], jax.core.Tracer):
            traced.append(values["width"])
        return make_task(values)

    return {way: trials.Trials(make_config(way), counting, NAMES, data, len(BATCH)) for way in ("vmap", "loop")}


@pytest.fixture(scope="module")
def scores(runners):
    return {way: dict(runner.run(BATCH, range(len(BATCH)))) for way, runner in runners.items()}


def test_a_trial_is_a_run_of_the_engine(scores, data, tmp_path):
    with toy.trainer(tmp_path / "run", make_task(BATCH[2]), data, seed=3, strategy="loop", num_examples=44) as trainer:
        groups = trainer.plan.split(trainer.run().params)
        alone = trainer.measure("validation", data["validation"], groups)["loss"]
    for found in scores.values():
        assert list(found) == [0, 1, 2]
        np.testing.assert_allclose(found[2], alone, rtol=1e-5)
        together = np.array([*found.values()])
        assert np.ptp(together, axis=0).min() > 0.01  # the values matter,
        assert np.abs(np.diff(together, axis=1)).min() > 1e-4  # and so do the seeds
    np.testing.assert_allclose([*scores["vmap"].values()], [*scores["loop"].values()], rtol=1e-5)


def test_a_shape_is_compiled_once(scores, runners, traced):
    before = len(traced)
    assert traced == [4] * before and scores
    for runner in runners.values():
        list(runner.run([{**values, "decay": 0.2} for values in BATCH], range(3)))
    assert len(traced) == before
    list(runners["loop"].run([{**values, "width": 2} for values in BATCH], range(3)))
    assert traced[before:] == [2] * (before // 2)


def test_only_what_is_wanted_is_given_and_its_numbers_are_the_same(scores, runners, monkeypatch):
    images = []
    for way, runner in runners.items():
        monkeypatch.setattr(runner, "advance", images.append)
        found = dict(runner.run(BATCH, range(1, 2)))
        assert [*found] == [1]
        np.testing.assert_array_equal(found[1], scores[way][1])
        assert sum(images) == runner.images == 2 * 2 * 40  # seeds, epochs, examples in whole batches
        images.clear()


def test_a_trial_that_diverges_has_no_score_and_leaves_the_others_theirs(scores, runners):
    for way, runner in runners.items():
        found = dict(runner.run([BATCH[0], {**BATCH[1], "learning_rate": 1e38}, BATCH[2]], range(3)))
        assert np.isnan(found[1]).all()
        np.testing.assert_array_equal([found[0], found[2]], [scores[way][0], scores[way][2]])


def test_what_cannot_be_trained_or_scored_is_said(data, runners, monkeypatch):
    with pytest.raises(UsageError, match=r"config\.train\.batch_size=45: expected at most the 44 examples"):
        trials.Trials(make_config(batch_size=45), make_task, NAMES, data, 1)
    monkeypatch.setattr(runners["loop"], "make_task", lambda values: make_task(values)._replace(score="speed"))
    with pytest.raises(RunError, match=r"'speed' is not among the metrics of the task: accuracy, loss"):
        list(runners["loop"].run(BATCH, range(3)))
