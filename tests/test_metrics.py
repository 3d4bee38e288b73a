"""Multi-label scores against a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import metrics
from tests.helpers import assert_close


def naive(logits, targets):
    """One image: the n highest logits, of equal ones the lower class first, against the n true classes."""
    true = {k for k, target in enumerate(targets) if target}
    ranked = sorted(range(len(logits)), key=lambda k: (-logits[k], k))
    found = true & set(ranked[: len(true)])
    return (len(found) / len(true) if true else 1.0), float(found == true)


def test_scores_are_the_loops():
    """With ties, as the logits are few integers, and with 0 to 5 labels."""
    rng = np.random.default_rng(0)
    logits = rng.integers(-2, 3, (40, 3, 5)).astype(np.float32)
    targets = rng.uniform(size=(40, 3, 5)) < rng.uniform(size=(40, 3, 1))
    targets[0], targets[1] = False, True
    expected = np.array(
        [[naive(*pair) for pair in zip(*rows, strict=True)] for rows in zip(logits, targets, strict=True)]
    )
    found = jax.jit(metrics.multi_label_scores)(logits, targets)
    assert_close(found, {"accuracy": expected[..., 0], "exact": expected[..., 1]}, 1e-6)
    assert 0 < expected[..., 1].mean() < 1


def test_logits_over_time_share_the_targets():
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(size=(4, 6, 10)).astype(np.float32), metrics.multi_hot(rng.integers(0, 10, (6, 1)), 10)
    found = metrics.multi_label_scores(logits, targets)
    assert found["accuracy"].shape == found["exact"].shape == (4, 6)
    assert_close(found["accuracy"][2], np.float32(logits[2].argmax(-1) == targets.argmax(-1)), 0)


def test_multi_hot():
    expected = np.array([[0, 1, 0, 1], [1, 0, 0, 0]], np.float32)
    assert_close(metrics.multi_hot(jnp.array([[3, 1], [0, 0]]), 4), expected, 0)


def test_other_numbers_of_classes():
    with pytest.raises(ValueError, match=r"\(2, 10\) and \(2, 9\)"):
        metrics.multi_label_scores(jnp.zeros((2, 10)), jnp.zeros((2, 9)))
