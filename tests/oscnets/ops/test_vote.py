"""Votes over starts: what is chosen in small cases, and of the published Sudoku network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import ops

LOGITS = np.zeros((3, 2, 4, 2), np.float32)
LOGITS[:, 0, 0, 0], LOGITS[:, 1, 3, 1] = [1, -5, 2], [0, 1, -1]
ENERGIES = np.array([[[0, 5, 1], [0, 0, 0]], [[0, 1, 2], [0, -1, 0]], [[0, 4, -1], [0, 3, -9]]], np.float32).swapaxes(
    1, 2
)


@pytest.mark.parametrize(
    ("by", "energies", "expected"),
    [("sum", ENERGIES, [1, 2]), ("last", ENERGIES, [2, 2]), ("confidence", None, [1, 1])],
)
def test_the_best_start_of_each_example(by, energies, expected):
    found = ops.vote(LOGITS, energies, by=by)
    assert found.starts.tolist() == expected
    np.testing.assert_array_equal(found.logits, LOGITS[expected, [0, 1]])


def test_confidence_is_a_mean_over_cells():
    """Two cells of 0.9 are surer than one of 1 beside one of 0.7."""
    probabilities = np.array([[[[0.999, 0.001], [0.7, 0.3]]], [[[0.9, 0.1], [0.1, 0.9]]]])
    assert ops.vote(np.log(probabilities), by="confidence").starts.tolist() == [1]
    assert ops.vote(np.log(probabilities)[:, :, 0], by="confidence").starts.tolist() == [0]


def test_ties_go_to_the_first_start_and_what_is_nan_shows():
    assert ops.vote(LOGITS, 0 * ENERGIES).starts.tolist() == [0, 0]
    spoilt = ENERGIES.copy()
    spoilt[1, 1, 0] = np.nan
    found = ops.vote(LOGITS, spoilt)
    assert found.starts.tolist() == [1, 2]
    assert np.isnan(found.logits[0]).all() and np.isfinite(found.logits[1]).all()


def test_gradients_are_those_of_the_chosen_logits():
    gradient = jax.grad(lambda x, e: (ops.vote(x, e).logits * jnp.arange(2.0)).sum(), (0, 1))(LOGITS, ENERGIES)
    expected = np.zeros_like(LOGITS)
    expected[[1, 2], [0, 1], :, 1] = 1
    np.testing.assert_array_equal(gradient[0], expected)
    assert not gradient[1].any()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((LOGITS,), {}, "by='sum' needs energies"),
        ((LOGITS, ENERGIES), {"by": "confidence"}, "by='confidence' takes no energies"),
        ((LOGITS, ENERGIES), {"by": "mean"}, "by must be one of sum, last, confidence, got 'mean'"),
        ((LOGITS[0, 0], ENERGIES), {}, r"logits must be \(K, B, ..., C\)"),
        ((LOGITS[:0], ENERGIES[:0]), {}, "K >= 1"),
        ((LOGITS, ENERGIES.swapaxes(1, 2)), {}, r"energies must be \(K, T, B\)"),
        ((LOGITS, ENERGIES[:2]), {}, r"energies must be \(K, T, B\)"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ops.vote(*arguments, **options)
