"""What is asked of sequences: layouts, scores, and exact scores of an answer without memory."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sequences import problems

KEYS = jax.random.split(jax.random.key(3), 4000)


def test_a_copy_is_asked_for_after_the_gap():
    batch = jax.tree.map(np.asarray, jax.vmap(lambda key: problems.draw_copy(key, 7))(KEYS))
    inputs, labels = batch["inputs"].argmax(-1), batch["labels"]
    assert batch["inputs"].shape == (len(KEYS), 27, 10) and (batch["inputs"].sum(-1) == 1).all()
    np.testing.assert_array_equal(inputs[:, :10], labels[:, -10:])
    assert (inputs[:, -11] == 9).all() and not inputs[:, 10:-11].any() and not inputs[:, -10:].any()
    assert not labels[:, :-10].any()
    counts = np.bincount(inputs[:, :10].ravel(), minlength=10)
    assert counts[0] == counts[9] == 0
    np.testing.assert_allclose(counts[1:9] / counts.sum(), 1 / 8, atol=0.01)


def test_the_marked_numbers_are_added():
    batch = jax.tree.map(np.asarray, jax.vmap(lambda key: problems.draw_adding(key, 7))(KEYS))
    numbers, marks = batch["inputs"][..., 0], batch["inputs"][..., 1]
    np.testing.assert_array_equal(marks[:, :3].sum(1), 1)
    np.testing.assert_array_equal(marks[:, 3:].sum(1), 1)
    np.testing.assert_allclose(batch["target"], (numbers * marks).sum(1), rtol=1e-6)
    np.testing.assert_allclose(marks.mean(0), [*[1 / 3] * 3, *[1 / 4] * 4], atol=0.03)
    assert 0 <= numbers.min() < 0.01 and 0.99 < numbers.max() < 1


def test_constant_answers_have_the_scores_that_are_stated():
    adding = problems.PROBLEMS["adding"]
    batch = jax.vmap(lambda key: problems.draw_adding(key, 6))(KEYS)
    found = adding.scores(jnp.ones((len(KEYS), 1)), batch)
    for name, expected in adding.constant(6).items():
        np.testing.assert_allclose(found[name].mean(), expected, atol=0.012)
    copy, gap = problems.PROBLEMS["copy"], 4
    batch = jax.vmap(lambda key: problems.draw_copy(key, gap))(KEYS)
    logits = np.full((gap + 20, 10), -1e4, np.float32)
    logits[:-10, 0], logits[-10:, 1:9] = 0, 0
    found = copy.scores(jnp.broadcast_to(logits, (len(KEYS), *logits.shape)), batch)
    np.testing.assert_allclose(found["loss"], copy.constant(gap)["loss"], rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"].mean(), copy.constant(gap)["accuracy"], atol=0.01)


def test_scores_are_of_the_last_steps_and_see_nan():
    copy = problems.PROBLEMS["copy"]
    batch = jax.vmap(lambda key: problems.draw_copy(key, 3))(KEYS[:3])
    logits = np.array(5 * jax.nn.one_hot(batch["labels"], 10))
    logits[0, :5] = logits[0, 5:10]  # no answer yet
    logits[1, -4:] = 5 * np.eye(10)[0]
    logits[2, 0, 0] = np.nan
    found = copy.scores(jnp.asarray(logits), batch)
    np.testing.assert_allclose(found["accuracy"], [1, 0.6, np.nan], rtol=1e-6)
    pictures = problems.PROBLEMS["scans"].scores(jnp.eye(10)[:2], {"labels": jnp.array([0, 2])})
    np.testing.assert_array_equal(pictures["accuracy"], [1, 0])
    sums = {"target": jnp.array([1.0, 1.0, 1.0])}
    found = problems.PROBLEMS["adding"].scores(jnp.array([[1.03], [0.95], [np.nan]]), sums)
    np.testing.assert_array_equal(found["solved"], [1, 0, np.nan])
    np.testing.assert_allclose(found["loss"][:2], [0.0009, 0.0025], rtol=1e-4)
