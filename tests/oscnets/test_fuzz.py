"""Masks, labels and shapes of any kind: the number that is meant, or a ValueError that gives the shapes."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oscnets import losses, metrics
from oscnets.dynamics import kuramoto
from tests.oscnets import test_losses

BATCH, SIZE, CHANNELS, GROUPS = 2, 3, 2, 3
QUICK = settings(deadline=None, max_examples=40)


def bits(*shape):
    count = int(np.prod(shape))
    return st.integers(0, 2**count - 1).map(
        lambda number: np.array([number >> i & 1 for i in range(count)], bool).reshape(shape)
    )


@jax.jit
def synchrony(phases, masks, amplitude):
    value, pull = jax.vjp(lambda phases: losses.cluster_synchrony(phases, masks, amplitude), phases)
    return value, *pull(jnp.ones_like(value))


@QUICK
@given(bits(BATCH, SIZE, SIZE, GROUPS), bits(BATCH, SIZE, SIZE, CHANNELS), st.integers(0, 9))
def test_synchrony_under_any_masks(masks, amplitude, seed):
    phases = np.random.default_rng(seed).uniform(-9, 9, (BATCH, SIZE, SIZE, CHANNELS)).astype(np.float32)
    if seed == 0:
        phases[:] = 0.5  # one cluster, where directions cancel least and most
    value, gradient = synchrony(phases, masks, amplitude.astype(np.float32))
    expected = [test_losses.naive(*image) for image in zip(phases, masks, amplitude, strict=True)]
    np.testing.assert_allclose(value, expected, atol=1e-3)  # where units nearly cancel, their direction is rounding
    assert np.isfinite(gradient).all()
    counted = masks.any(-1, keepdims=True) & amplitude
    assert (np.asarray(gradient)[~counted] == 0).all()


scores = jax.jit(metrics.foreground_scores)


@QUICK
@given(bits(BATCH, SIZE, SIZE), st.integers(0, 9))
def test_scores_of_any_foreground(foreground, seed):
    rng = np.random.default_rng(seed)
    labels = np.where(foreground, rng.integers(1, 4, foreground.shape), 0)
    logits = rng.normal(size=(*foreground.shape, 4)).astype(np.float32)
    found = scores(logits, labels)
    right = logits.argmax(-1) == labels
    for image in range(BATCH):
        chosen = foreground[image]
        expected = right[image][chosen].mean() if chosen.any() else 1
        np.testing.assert_allclose(found["accuracy"][image], expected, rtol=1e-6)
        assert 0 <= found["iou"][image] <= 1 and np.isfinite(found["loss"][image])


axes = st.lists(st.integers(1, 3), min_size=2, max_size=5).map(tuple)  # few sizes, so that traces are shared


def outcome(function, *shapes):
    """The shape of a function's result, without computing it; None where it is a ValueError that gives the shapes."""
    try:
        return jax.eval_shape(function, *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)).shape
    except ValueError as error:
        assert "got" in str(error), error  # noqa: PT017


@settings(deadline=None, max_examples=100)
@given(axes, axes)
def test_synchrony_of_any_shapes(phases, masks):
    fitting = min(len(phases), len(masks)) >= 3 and phases[-3:-1] == masks[-3:-1]
    found = outcome(losses.cluster_synchrony, phases, masks) if fitting and phases[:-3] == masks[:-3] else None
    assert found == (phases[:-3] if fitting and phases[:-3] == masks[:-3] else None)
    if not fitting:
        assert outcome(losses.cluster_synchrony, phases, masks) is None


@settings(deadline=None, max_examples=100)
@given(axes, st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_a_step_of_any_shapes(phases, size, inputs, outputs):
    step = lambda phases, kernel: kuramoto.conv_step(phases, jnp.ones(phases.shape), kernel, rate=0.1, epsilon=0.1)  # noqa: E731
    found = outcome(step, phases, (size, size, inputs, outputs))
    fitting = len(phases) >= 3 and size % 2 == 1 and inputs == outputs == phases[-1]
    assert found == (phases if fitting else None)
