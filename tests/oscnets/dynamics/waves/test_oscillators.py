"""Coupled oscillators: equation, inverse, closed forms, and every way to take gradients, also of what is reduced."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import ops
from oscnets.dynamics import waves
from oscnets.ops._readout import readout_tchwb
from tests.helpers import assert_close, assert_gradients, float64, in_float64, slope


def laplace_kernel(channels):
    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0.0]])[:, :, None, None] * np.eye(channels)


def oscillators(lead=(2,), image=(5, 4), channels=2):
    rng = np.random.default_rng(0)
    shape = (*lead, *image, channels)
    kernel = laplace_kernel(channels) + 0.1 * rng.normal(size=(3, 3, channels, channels))
    return rng.normal(size=shape), rng.normal(size=shape), kernel, rng.uniform(size=shape), rng.uniform(size=shape)


def naive_step(position, velocity, kernel, omega, damping, dt, implicit=False):
    total = np.zeros_like(position)
    for y in range(3):
        for x in range(3):
            total += np.roll(position, (1 - y, 1 - x), (-3, -2)) @ kernel[y, x]
    force = np.tanh(total) - omega * position
    velocity = (
        (velocity + dt * force) / (1 + dt * damping) if implicit else velocity + dt * (force - damping * velocity)
    )
    return position + dt * velocity, velocity


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("channels", [2, 4])
def test_oscillators_step_as_the_equation_says_and_back(implicit, channels):
    given = oscillators(channels=channels)
    options = {"dt": 0.1, "implicit_damping": implicit}

    def run(*given):
        after = waves.oscillator_step(*given, **options)
        single = [x if i == 2 else x[1] for i, x in enumerate(given)]
        back = waves.reverse_oscillator_step(*after, *given[2:], **options)
        return after, back, waves.oscillator_step(*single, **options)

    after, back, single = in_float64(run, *given)
    assert_close(after, naive_step(*given, 0.1, implicit), 1e-14)
    assert_close(back, given[:2], 1e-13)
    assert_close(single, tuple(x[1] for x in after), 1e-14)


@pytest.mark.parametrize("implicit", [False, True])
def test_an_oscillator_alone_matches_its_closed_form_with_order_one(implicit):
    """W = 0: u'' = -omega u - alpha u'."""
    omega, alpha, end = 4.0, 0.5, 3.0
    ring = np.sqrt(omega - alpha**2 / 4)
    exact = np.exp(-alpha * end / 2) * (np.cos(ring * end) + alpha / (2 * ring) * np.sin(ring * end))
    counts, errors = np.array([100, 200, 400]), []
    for count in counts:
        step = partial(waves.oscillator_trajectory, dt=end / count, num_steps=int(count), implicit_damping=implicit)
        one = np.ones((3, 3, 1))
        errors.append(abs(in_float64(step, one, 0 * one, np.zeros((3, 3, 1, 1)), omega, alpha).position - exact).max())
    assert slope(counts, errors) == pytest.approx(-1, abs=0.1)


def test_implicit_damping_is_stable_where_explicit_is_not():
    position, velocity, kernel, omega, _ = oscillators()
    step = partial(waves.oscillator_trajectory, dt=0.1, num_steps=200)
    implicit = in_float64(partial(step, implicit_damping=True), position, velocity, kernel, omega, 50.0)
    explicit = in_float64(step, position, velocity, kernel, omega, 50.0)
    assert np.abs(implicit.position).max() < 5
    assert np.abs(explicit.position).max() > 1e10


def value(options, position, velocity, kernel, omega, damping, dt=0.1):
    """A number that every step of a trajectory enters."""
    out = waves.oscillator_trajectory(position, velocity, kernel, omega, damping, dt=dt, **options)
    weights = jnp.arange(1.0, options["num_steps"] + 1).reshape(-1, *[1] * position.ndim) / options["num_steps"]
    return (weights * jnp.sin(out.positions)).mean() + (out.velocity**2).mean() + out.position.mean()


def test_trajectory_is_a_loop_with_gradients_of_finite_differences():
    given = oscillators((), (4, 3))
    out = in_float64(partial(waves.oscillator_trajectory, dt=0.1, num_steps=5), *given)
    state, positions = given[:2], []
    for _ in range(5):
        state = naive_step(*state, *given[2:], 0.1)
        positions.append(state[0])
    assert_close(tuple(out[:3]), (*state, np.stack(positions)), 1e-14)
    assert out.inverted is None
    with float64():
        assert_gradients(partial(value, {"num_steps": 5}), *map(jnp.asarray, given), jnp.asarray(0.1))


WAYS = {"plain": {}, "checkpoints": {"checkpoint_every": 7}, "inverse": {"gradient": "reverse"}}


@pytest.mark.parametrize(("alpha", "inverted"), [(0.3, True), (3.0, False)])
def test_gradients_are_the_same_whatever_is_stored(alpha, inverted):
    """float32, 100 steps: inverted where damping is weak, from checkpoints where it is strong."""
    given = [np.float32(x) for x in oscillators()]
    given[4] *= alpha
    gradients = {
        name: jax.jit(jax.grad(partial(value, {"num_steps": 100, **WAYS[name]}), argnums=(0, 1, 2, 3, 4)))(*given)
        for name in WAYS
        if name != "checkpoints" or inverted
    }
    for name, found in gradients.items():
        for a, b in zip(found, gradients["plain"], strict=True):
            assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max(), name
    run = partial(waves.oscillator_trajectory, dt=0.1, num_steps=100, gradient="reverse")
    assert jax.jit(run)(*given).inverted == inverted


SHAPE = (2, 5, 6, 3)  # (C, H, W, B)


def given_chwb(units=((), ()), dt=0.1):
    """Parameters, with omega and damping of these shapes, and state, in float64."""
    keys = iter(jax.random.split(jax.random.key(0), 5))
    omega, damping = (jax.random.uniform(next(keys), shape) for shape in units)
    params = (0.3 * jax.random.normal(next(keys), (3, 3, 2, 2)), omega, damping, jnp.asarray(dt))
    return params, tuple(jax.random.normal(next(keys), SHAPE) for _ in range(2))


def plain_run(params, state, num_steps, implicit_damping):
    """Last state and positions by a Python loop over the equation, for automatic differentiation."""
    positions = []
    for _ in range(num_steps):
        state = waves.oscillator_step_chwb(params, state, implicit_damping=implicit_damping)
        positions.append(state[0])
    return state, jnp.stack(positions)


def adjoint_run(params, state, num_steps, implicit_damping):
    out = waves.oscillator_trajectory_chwb(params, state, num_steps=num_steps, implicit_damping=implicit_damping)
    return (out.position, out.velocity), out.positions


def weighted_sum(tree):
    """A different weight for every number."""
    return sum((jnp.cos(jnp.arange(x.size)).reshape(x.shape) * x).sum() for x in jax.tree.leaves(tree))


ONE_CHANNEL = (1, 5, 6, 1)


@pytest.mark.parametrize("implicit_damping", [False, True])
@pytest.mark.parametrize(
    ("num_steps", "units"), [(1, (ONE_CHANNEL, SHAPE)), (2, (SHAPE, ())), (5, ((), ONE_CHANNEL))]
)  # of omega and damping
def test_the_adjoint_is_automatic_differentiation_of_the_steps(units, num_steps, implicit_damping):
    """Gradients in kernel, omega, damping, dt, position and velocity, in float64."""
    with float64():
        given = given_chwb(units)

        def gradients(run):
            loss = lambda params, state: weighted_sum(run(params, state, num_steps, implicit_damping))  # noqa: E731
            return jax.value_and_grad(loss, (0, 1))(*given)

        found, expected = jax.jit(lambda: (gradients(adjoint_run), gradients(plain_run)))()
        assert_close(found, expected, 1e-12)


def test_second_derivatives_of_the_adjoint():
    with float64():
        given = given_chwb(((), SHAPE))

        def second(run):
            loss = lambda *given: jnp.sin(weighted_sum(jax.tree.map(jnp.sin, run(*given, 2, False))))  # noqa: E731
            squares = lambda *given: sum((g**2).sum() for g in jax.tree.leaves(jax.grad(loss, (0, 1))(*given)))  # noqa: E731
            return jax.grad(squares, (0, 1))(*given)

        found, expected = jax.jit(lambda: (second(adjoint_run), second(plain_run)))()
        assert_close(found, expected, 1e-9)


@pytest.mark.parametrize("how", ["last", "mean", "max", "linear"])
def test_a_streamed_readout_has_the_values_and_gradients_of_the_stored_one(how):
    """By the adjoint, by checkpoints and by inversion, in float64; and without gradients, another path."""
    with float64():
        kernel = jax.random.normal(jax.random.key(1), (4, 3)) if how == "linear" else None

        def stored(params, state, kernel):
            last, positions = adjoint_run(params, state, 4, False)
            return last, readout_tchwb(positions, how, kernel)

        def streamed(params, state, kernel, **options):
            reduce = ops.streaming_readout(how, 4, kernel=kernel)
            out = waves.oscillator_trajectory_chwb(params, state, num_steps=4, reduce=reduce, **options)
            return (out.position, out.velocity), out.positions

        def value_and_gradients(run, given):
            loss = lambda *given: sum(jnp.sin(x).mean() for x in jax.tree.leaves(run(*given)))  # noqa: E731
            return jax.value_and_grad(loss, (0, 1, 2))(*given)

        @jax.jit
        def everything(*given):
            ways = [{}, {"gradient": "reverse"}]
            ways += [{"gradient": "checkpoint", "checkpoint_every": 3}] if how == "linear" else []
            found = [value_and_gradients(partial(streamed, **way), given) for way in ways]
            return found, streamed(*given), value_and_gradients(stored, given), stored(*given)

        found, features, expected, expected_features = everything(*given_chwb(), kernel)
        assert_close(features, expected_features, 1e-12)
        for one in found:
            assert_close(one, expected, 1e-11)


def test_gain_of_the_inverse():
    damping = np.array([0.0, 0.2, 0.5])
    gain = partial(waves.inverse_gain, damping, dt=0.1, num_steps=100)
    assert gain() == pytest.approx(0.95**-100, rel=1e-4)
    assert gain(implicit_damping=True) == pytest.approx(1.05**100, rel=1e-4)
    assert waves.inverse_gain(10.0, dt=0.1, num_steps=3) == np.inf


def test_silence_has_finite_gradients():
    zeros = [0 * x for x in oscillators()]
    gradients = jax.jit(jax.grad(partial(value, {"num_steps": 2}), argnums=(0, 1, 2, 3, 4)))(*zeros)
    chex.assert_tree_all_finite(gradients)


@pytest.mark.parametrize(
    ("at", "bad", "message"),
    [
        (0, (2, 5, 4), r"position and velocity must both be \(..., H, W, C\), got \(2, 5, 4\) and \(2, 5, 4, 2\)"),
        (2, (3, 3, 2, 3), r"kernel must be \(kh, kw, C, C\).*got \(3, 3, 2, 3\)"),
        (2, (3, 2, 2, 2), "odd height and width, got 3 x 2"),
        (3, (3, 5, 4, 2), r"omega must be a scalar or broadcast to position \(2, 5, 4, 2\), got shape \(3, 5, 4, 2\)"),
        (4, (5, 4, 3), r"damping must be a scalar or broadcast"),
    ],
)
def test_bad_oscillators(at, bad, message):
    given = list(oscillators())
    given[at] = np.zeros(bad)
    with pytest.raises(ValueError, match=message):
        waves.oscillator_step(*given, dt=0.1)


def test_bad_lengths_and_steps():
    given = oscillators()
    with pytest.raises(ValueError, match="dt must be finite and > 0, got 0"):
        waves.oscillator_step(*given, dt=0)
    with pytest.raises(ValueError, match="num_steps must be >= 1, got 0"):
        waves.oscillator_trajectory(*given, dt=0.1, num_steps=0)
    with pytest.raises(ValueError, match="gradient must be one of store, checkpoint, reverse, auto, got 'recompute'"):
        waves.oscillator_trajectory(*given, dt=0.1, num_steps=4, gradient="recompute")
    with pytest.raises(ValueError, match="'reverse' takes no checkpoints, got checkpoint_every=3"):
        waves.oscillator_trajectory(*given, dt=0.1, num_steps=4, checkpoint_every=3, gradient="reverse")
