"""Cluster synchrony against its equation, its extremes and invariances; cross-entropy; sums over time and pixels."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _platform, losses
from tests.helpers import assert_close, assert_finite, assert_gradients, float64, in_float64


def naive(phases, masks, amplitude=None, silent="exclude"):
    """Equation 2 of one image, one group, channel and pixel at a time."""
    groups, channels = masks.shape[-1], phases.shape[-1]
    variances, means = [], []
    for g in range(groups):
        pooled, of_channels = 0, []
        for c in range(channels):
            units = []
            for y, x in np.argwhere(masks[..., g]):
                loud = amplitude is None or amplitude[y, x, c] > 0
                if loud or silent == "zero":
                    units.append(np.exp(1j * phases[y, x, c] * loud))
            of_channels.append(1 - abs(np.mean(units)) if units else 0)
            pooled += sum(units)
        variances.append(np.mean(of_channels))
        means.append(np.angle(pooled))
    value, orders = np.mean(variances), range(1, groups // 2 + 1)
    for m in orders:
        value += abs(sum(np.exp(1j * m * mean) for mean in means)) ** 2 / (2 * groups * m**2)
    return value / (1 + groups / 2 * sum(1 / m**2 for m in orders))


def scene(groups, batch=2, size=4, channels=3, seed=0):
    """Random phases, disjoint masks with background, amplitudes of which a third is silent."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, groups + 1, (batch, size, size))
    owner[:, 0, :groups] = np.arange(groups)  # no group is empty
    masks = owner[..., None] == np.arange(groups)
    phases = rng.uniform(-7, 7, (batch, size, size, channels))
    return phases, masks, np.maximum(rng.normal(0.5, 1, phases.shape), 0)


@pytest.mark.parametrize("groups", range(1, 6))
def test_the_equation(groups):
    phases, masks, amplitude = scene(groups, size=5)

    def run(phases, masks, amplitude):
        return [losses.cluster_synchrony(phases, masks, a, silent=s) for a, s in kinds]

    kinds = [(None, "exclude"), (None, "zero"), (amplitude, "exclude"), (amplitude, "zero")]
    found = in_float64(run, phases, masks, amplitude)
    for value, (given, silent) in zip(found, kinds, strict=True):
        given = phases * 0 + 1 if given is None else given
        expected = [naive(*one, silent) for one in zip(phases, masks, given, strict=True)]
        assert_close(value, np.array(expected), 1e-12)


def test_the_other_normalization_is_half_of_the_sum():
    """GASPnet's equation 7: two groups give the same, three a quarter more."""
    for groups, factor in ((2, 1), (3, 1.25), (4, 1.75)):
        phases, masks, amplitude = scene(groups)
        half = in_float64(partial(losses.cluster_synchrony, normalization="half"), phases, masks, amplitude)
        assert_close(half, factor * in_float64(losses.cluster_synchrony, phases, masks, amplitude), 1e-12)
    with pytest.raises(ValueError, match="'bounded' or 'half', got 'whole'"):
        losses.cluster_synchrony(phases, masks, normalization="whole")


def clusters(angles, pixels=8, channels=2):
    """(1, G pixels, C) phases, all of a group at its angle, and masks."""
    groups = len(angles)
    phases = np.repeat(np.asarray(angles, float), pixels)[None, :, None]
    masks = np.repeat(np.eye(groups, dtype=bool), pixels, axis=0)[None]
    return np.broadcast_to(phases, (1, groups * pixels, channels)), masks


@pytest.mark.parametrize("groups", range(1, 6))
def test_extremes(groups):
    perfect, masks = clusters(2 * np.pi * np.arange(groups) / groups + 0.7)
    same, _ = clusters(np.full(groups, -1.3))
    opposed = np.where(np.arange(masks.shape[1]) % 8 < 4, 0.01, np.pi - 0.01)[None, :, None]  # in every group alike
    spread = np.broadcast_to(2 * np.pi * np.arange(masks.shape[1]) / 8, (1, masks.shape[1]))[..., None]
    several = np.stack([np.broadcast_to(phases, same.shape) for phases in (perfect, same, opposed, spread)])
    values = in_float64(losses.cluster_synchrony, several, masks)
    orders = groups / 2 * sum(1 / m**2 for m in range(1, groups // 2 + 1))
    assert_close(values[0], 0.0, 1e-12)
    assert_close(values[1], orders / (1 + orders), 1e-12)
    assert_close(values[2], (1 - np.sin(0.01) + orders) / (1 + orders), 1e-12)
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in values)


def test_invariances():
    """To a global shift, to the order of groups and channels, to whole turns; within [0, 1] in float32."""
    phases, masks, amplitude = (x.astype(np.float32) for x in scene(3, batch=16))
    value = jax.jit(losses.cluster_synchrony)
    base = value(phases, masks, amplitude)
    assert np.min(base) >= 0 and np.max(base) <= 1
    assert_close(value(phases + 2.5, masks, amplitude), base, 1e-5)
    assert_close(value(phases + 2 * np.pi * (amplitude > 0.5), masks, amplitude), base, 1e-5)
    assert_close(value(phases[..., ::-1], masks, amplitude[..., ::-1]), base, 1e-5)
    for order in itertools.permutations(range(3)):
        assert_close(value(phases, masks[..., list(order)], amplitude), base, 1e-5)
    assert_close(value(phases, masks.astype(bool), 7 * amplitude), base, 1e-5)


def test_background_and_silent_units_do_not_matter():
    phases, masks, amplitude = scene(2)
    counted = masks.any(-1, keepdims=True) & (amplitude > 0)
    other = np.where(counted, phases, 3.0)
    value = lambda phases: losses.cluster_synchrony(phases, masks, amplitude)  # noqa: E731
    assert_close(in_float64(value, other), in_float64(value, phases), 1e-13)
    gradient = in_float64(jax.grad(lambda phases: value(phases).sum()), phases)
    np.testing.assert_array_equal(gradient[~counted], 0)
    assert np.all(gradient[counted] != 0)


@pytest.mark.parametrize("silent", ["exclude", "zero"])
def test_nan_counts_where_the_unit_does(silent):
    phases, masks, amplitude = (x.astype(np.float32) for x in scene(2))
    counted = masks.any(-1, keepdims=True) & (amplitude > 0)
    value = lambda phases, amplitude=amplitude: losses.cluster_synchrony(phases, masks, amplitude, silent=silent)  # noqa: E731
    gradient = jax.grad(lambda *args: value(*args).sum(), argnums=(0, 1))
    left_out = np.where(counted, phases, np.nan)
    assert_close(value(left_out), value(phases), 0)
    assert_close(gradient(left_out, amplitude), gradient(phases, amplitude), 0)
    for changed in (phases, amplitude):
        one = changed.copy()
        one[1][tuple(np.argwhere(counted[1])[0])] = np.nan
        found = value(one) if changed is phases else value(phases, one)
        np.testing.assert_array_equal(np.isnan(found), [False, True])


@pytest.mark.parametrize("silent", ["exclude", "zero"])
def test_gradients_by_finite_differences(silent):
    phases, masks, amplitude = scene(4)
    with float64():
        value = lambda x: losses.cluster_synchrony(x, masks, amplitude, silent=silent).sum()  # noqa: E731
        assert_gradients(value, phases)


@pytest.mark.parametrize("silent", ["exclude", "zero"])
def test_empty_groups_and_black_images(silent):
    phases, masks, amplitude = (x.astype(np.float32) for x in scene(2, batch=4))
    masks[0, ..., 1] = 0  # one empty group
    masks[1] = 0  # all of them
    amplitude[2] = 0  # a black image

    def total(phases, masks, amplitude):
        values = losses.cluster_synchrony(phases, masks, amplitude, silent=silent)
        return values.sum(), values

    (_, values), gradients = jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))(phases, masks, amplitude)
    expected = np.array([naive(*one, silent) for one in zip(phases, masks, amplitude, strict=True)])
    assert_close(values, expected, 1e-5)
    assert_close(values[1:3], np.array([0.5, 0.5]), 1e-6)  # two clusters without spread, both at phase 0
    assert_finite(gradients)
    np.testing.assert_array_equal(gradients[0][1:3], 0)


def test_leading_axes():
    """One scene, a batch, steps by batch; masks of the batch broadcast over steps; vmap."""
    phases, masks, amplitude = scene(2, batch=3)
    steps = np.stack([phases, phases * 2])

    def run(steps, masks, amplitude):
        found = losses.cluster_synchrony(steps, masks, amplitude)
        mapped = jax.vmap(losses.cluster_synchrony, (0, None, None))(steps, masks, amplitude)
        alone = losses.cluster_synchrony(steps[1, 2], masks[2], amplitude[2])
        shared = losses.cluster_synchrony(steps[0, 0], masks)
        return found, mapped, alone, shared, losses.cluster_synchrony(steps[0, 0], masks[1])

    found, mapped, alone, shared, of_one = in_float64(run, steps, masks, amplitude)
    assert found.shape == (2, 3) and shared.shape == (3,)
    assert_close(mapped, found, 1e-13)
    assert_close(alone, found[1, 2], 1e-13)
    assert_close(of_one, shared[1], 1e-13)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 4, 2), (4, 5, 3)), r"got \(4, 5, 3\) and \(4, 4, 2\)"),
        (((4, 4, 2), (4, 4)), r"got \(4, 4\) and \(4, 4, 2\)"),
        (((4, 4, 2), (4, 4, 0)), r"got \(4, 4, 0\) and \(4, 4, 2\)"),
        (((3, 4, 4, 2), (2, 4, 4, 2)), r"leading axes .* got \[\(3,\), \(2,\)\]"),
        (((4, 4, 2), (4, 4, 3), (4, 4, 1)), r"phases \(4, 4, 2\), got \(4, 4, 1\)"),
    ],
)
def test_bad_shapes(shapes, message):
    with pytest.raises(ValueError, match=message):
        losses.cluster_synchrony(*(jnp.zeros(shape) for shape in shapes))


def test_class_indices_in_place_of_masks():
    """Of as many images as rows and columns, so that the shapes fit."""
    labels = np.arange(64).reshape(4, 4, 4) % 3
    with pytest.raises(ValueError, match=r"masks must be bool or 0/1, got values 1 to 2 among \(4, 4, 4\)"):
        losses.cluster_synchrony(jnp.zeros((4, 4, 4, 2)), labels)
    white = np.where(labels == 1, 255, 0).astype(np.uint8)
    phases = np.float32(labels[..., :2])
    assert_close(losses.cluster_synchrony(phases, white), losses.cluster_synchrony(phases, white > 0), 1e-6)


def test_another_word_for_silent():
    with pytest.raises(ValueError, match="'exclude' or 'zero', got 'one'"):
        losses.cluster_synchrony(jnp.zeros((2, 2, 1)), jnp.zeros((2, 2, 1)), silent="one")


def test_cross_entropy_is_its_definition():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 4, (3, 5)), rng.uniform(size=(3, 5))
    share = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(share) + (1 - targets) * np.log1p(-share)).mean(-1)
    assert_close(in_float64(losses.binary_cross_entropy, logits, targets), expected, 1e-13)


def test_cross_entropy_of_large_logits():
    logits, targets = jnp.array([200.0, -200.0, 3e4, -3e4]), jnp.array([0.0, 1.0, 1.0, 0.0])
    value, gradient = jax.value_and_grad(losses.binary_cross_entropy)(logits, targets)
    assert value == 100
    assert_close(gradient, np.array([0.25, -0.25, 0, 0]), 1e-6)


def test_cross_entropy_over_time_shares_the_targets():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(4, 6, 10)), rng.integers(0, 2, (6, 10))
    found = losses.binary_cross_entropy(logits, targets)
    assert_close(found[2], losses.binary_cross_entropy(logits[2], targets.astype(bool)), 1e-6)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ((10, 10), np.arange(10), r"got \(10, 10\) and \(10,\)"),
        ((4, 10), np.ones(10), r"got \(4, 10\) and \(10,\)"),
        ((4, 10), np.ones((1, 10)), r"got \(4, 10\) and \(1, 10\)"),
        ((4, 10), np.ones((4, 1)), r"got \(4, 10\) and \(4, 1\)"),
        ((4, 10), np.ones((2, 4, 10)), r"got \(4, 10\) and \(2, 4, 10\)"),
        ((4, 10), np.full((4, 10), 7), r"targets must lie in \[0, 1\], got 7 to 7 among \(4, 10\)"),
        ((), 1.0, r"got \(\) and \(\)"),
    ],
)
def test_targets_that_are_none(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        losses.binary_cross_entropy(jnp.zeros(logits), targets)


# Sums whose gradients are taken in the same pass


def term(shared, x, data):
    flip = jnp.where(data["flag"], -1.0, 1.0)
    noise = jax.random.normal(data["key"], x.shape)
    value = flip * jnp.sum(jnp.tanh(shared["w"] * x + data["count"] * shared["b"]) + noise * x) * data["scale"]
    return value, {"mean": x.mean(), "count": data["count"]}


def arguments(lead=()):
    """With data of every dtype: bools, ints, floats, typed PRNG keys."""
    rng = np.random.default_rng(0)
    shared = {"w": jnp.asarray(rng.normal(size=(*lead, 3)), float), "b": jnp.asarray(rng.normal(size=lead), float)}
    xs = jnp.asarray(rng.normal(size=(*lead, 4, 3)), float)
    data = {
        "flag": jnp.asarray(rng.uniform(size=(*lead, 4)) > 0.5),
        "count": jnp.asarray(rng.integers(1, 4, size=(*lead, 4))),
        "scale": jnp.asarray(rng.normal(size=(*lead, 4)), float),
        "key": jax.random.split(jax.random.key(1), (*lead, 4)),
    }
    return shared, xs, data


def plain_sum(fn, shared, xs, data):
    at = lambda t: jax.tree.map(lambda x: x[t], (xs, data))  # noqa: E731
    values, aux = zip(*(fn(shared, *at(t)) for t in range(len(xs))), strict=True)
    return sum(values), jax.tree.map(lambda *x: jnp.stack(x), *aux)


@partial(jax.jit, static_argnums=0)
def value_and_gradients(summed, shared, xs, data):
    """Of a function of the sum, so that the cotangent is not 1."""

    def fn(shared, xs):
        total, aux = summed(term, shared, xs, data)
        return 0.5 * total**2, aux

    return jax.value_and_grad(fn, (0, 1), has_aux=True)(shared, xs)


def test_streaming_sum_and_its_gradients_are_the_plain_sums():
    expected = value_and_gradients(plain_sum, *arguments())
    assert_close(value_and_gradients(losses.streaming_sum, *arguments()), expected, 1e-6)
    total, aux = jax.jit(partial(losses.streaming_sum, term))(*arguments())  # not differentiated: another path
    assert_close((0.5 * total**2, aux), expected[0], 1e-6)


def test_streaming_sum_under_vmap():
    shared, xs, data = arguments((2,))
    found = jax.vmap(partial(value_and_gradients, losses.streaming_sum))(shared, xs, data)
    for i in range(2):
        one = jax.tree.map(lambda x, i=i: x[i], (shared, xs, data))
        assert_close(jax.tree.map(lambda x, i=i: x[i], found), value_and_gradients(plain_sum, *one), 1e-6)


def test_auxiliary_values_carry_no_gradient():
    shared, xs, data = arguments()
    gradient = jax.grad(lambda xs: losses.streaming_sum(term, shared, xs, data)[1]["mean"].sum())(xs)
    np.testing.assert_array_equal(gradient, 0)


def test_streaming_sum_without_data():
    fn = lambda shared, x, data: (shared * x**2, data)  # noqa: E731
    xs = jnp.arange(3.0)
    assert jax.grad(lambda shared: losses.streaming_sum(fn, shared, xs)[0])(2.0) == 5


def test_streaming_sum_in_float64_keeps_each_dtype():
    with float64():
        shared, xs, data = arguments()
        narrow = jax.tree.map(lambda x: x.astype(jnp.float32), shared)
        _, gradients = value_and_gradients(losses.streaming_sum, narrow, xs, data)
        assert gradients[0]["w"].dtype == jnp.float32
        assert gradients[1].dtype == jnp.float64
        assert_close(
            value_and_gradients(losses.streaming_sum, shared, xs, data),
            value_and_gradients(plain_sum, shared, xs, data),
            1e-13,
        )


def test_a_streaming_sum_is_differentiated_twice_and_in_forward_mode():
    shared, xs, data = arguments()
    curvature = jax.jit(lambda summed, xs: jax.jacrev(jax.grad(lambda xs: summed(term, shared, xs, data)[0]))(xs),
                        static_argnums=0)  # fmt: skip
    assert_close(curvature(losses.streaming_sum, xs), curvature(plain_sum, xs), 1e-5)
    forward = [
        jax.jvp(lambda shared, xs, summed=summed: summed(term, shared, xs, data)[0], (shared, xs), (shared, xs))
        for summed in (losses.streaming_sum, plain_sum)
    ]
    assert_close(*forward, 1e-5)


def step_loss(shared, state, targets):
    return jnp.sum(jnp.tanh(state["x"] * shared) * targets) + jnp.sum(state["v"] ** 3)


# A state has 32 numbers: one step at a time, two, all four.
@pytest.mark.parametrize(("numbers", "length"), [(0, 4), (3 * 32, 2), (1000, 1)])
def test_mean_over_time_is_the_mean_of_the_steps(numbers, length, monkeypatch):
    """States of several ranks; their batch axis is where it was for the loss."""
    monkeypatch.setattr(_platform, "_CPU", _platform._CPU._replace(state_numbers=numbers))
    rng = np.random.default_rng(0)
    states = {"x": jnp.asarray(rng.normal(size=(4, 2, 3, 5))), "v": jnp.asarray(rng.normal(size=(4, 2)))}
    shared, targets = jnp.asarray(rng.normal(size=(2, 3, 5))), jnp.asarray(rng.integers(0, 3, (2, 3, 1)))

    def plain(shared, states):
        return sum(step_loss(shared, jax.tree.map(lambda x, t=t: x[t], states), targets) for t in range(4)) / 4

    streamed = lambda shared, states: losses.mean_over_time(step_loss, shared, states, targets)  # noqa: E731
    found, expected = (jax.jit(jax.value_and_grad(fn, (0, 1)))(shared, states) for fn in (streamed, plain))
    assert_close(found, expected, 1e-6)
    assert f" length={length}\n" in str(jax.make_jaxpr(streamed)(shared, states))


def pixel_loss(shared, features, targets):
    return jnp.tanh(features @ shared)[:, 0] * targets[:, 1]


@pytest.mark.parametrize("chunk", [1, 7, 4096])  # 7: the 24 pixels are taken six at a time
def test_mean_over_pixels_is_the_mean_of_the_pixels(chunk):
    rng = np.random.default_rng(0)
    features, targets = (jnp.asarray(rng.normal(size=(2, 3, 4, size))) for size in (5, 2))
    shared = jnp.asarray(rng.normal(size=(5, 1)))
    plain = lambda *args: jnp.mean(pixel_loss(args[0], args[1].reshape(-1, 5), targets.reshape(-1, 2)))  # noqa: E731
    streamed = lambda *args: losses.mean_over_pixels(pixel_loss, *args, targets, chunk=chunk)  # noqa: E731
    found, expected = (jax.jit(jax.value_and_grad(fn, (0, 1)))(shared, features) for fn in (streamed, plain))
    assert_close(found, expected, 1e-6)


@pytest.mark.parametrize(
    ("features", "targets", "chunk", "message"),
    [
        ((2, 3, 4), (2, 3, 4), 8, r"features must be \(B, H, W, F\) .* got \(2, 3, 4\)"),
        ((2, 3, 4, 5), (2, 3, 3), 8, r"targets \(B, H, W, ...\), got \(2, 3, 4, 5\) and \(2, 3, 3\)"),
        ((2, 3, 4, 5), (2, 3, 4), 0, "chunk must be >= 1, got 0"),
        ((2, 3, 4, 5), (2, 3, 4), 2.5, r"chunk must be a whole number, got 2\.5"),
    ],
)
def test_pixels_and_targets_that_do_not_fit(features, targets, chunk, message):
    with pytest.raises(ValueError, match=message):
        losses.mean_over_pixels(pixel_loss, jnp.zeros((5, 1)), jnp.zeros(features), jnp.zeros(targets), chunk=chunk)


@pytest.mark.parametrize("lengths", [(0, 0), (3, 2)])
def test_steps_that_do_not_fit(lengths):
    states = {name: jnp.zeros((length, 2)) for name, length in zip("xv", lengths, strict=True)}
    with pytest.raises(ValueError, match="T >= 1 steps, got lengths"):
        losses.mean_over_time(step_loss, 1.0, states, jnp.ones(2))
