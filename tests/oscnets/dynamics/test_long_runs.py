"""Phases far from 0: the same motion, and frequencies that are kept over many turns."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

from oscnets import phase
from oscnets.dynamics import Checkpoint, graphs, kuramoto, unroll
from tests.helpers import float64

FREQUENCY, STEP = 2 * np.pi * 9, 1e-3  # 9 Hz


def test_a_wrapped_loop_keeps_its_frequency_over_a_million_steps():
    def step(state):
        phases, turns = state
        moved = kuramoto.graph_step(phases, np.zeros((1, 1)), rate=STEP, natural_frequency=FREQUENCY)
        wrapped = phase.wrap(moved)
        return wrapped, turns + jnp.round((moved - wrapped) / (2 * jnp.pi)).astype(jnp.int32)

    (last, turns), _ = unroll(step, (jnp.zeros(1), jnp.zeros(1, jnp.int32)), 1_000_000)
    np.testing.assert_allclose(turns + last / (2 * np.pi), 9 * 1000, atol=0.01)


def test_a_trajectory_keeps_its_frequencies():
    frequencies = FREQUENCY * np.array([1, 1.01], np.float32)
    run = kuramoto.graph_trajectory(
        np.zeros(2), np.zeros((2, 2)), rate=STEP, natural_frequency=frequencies, num_steps=200_000
    )
    np.testing.assert_allclose(run[-1] / (2 * np.pi * 200_000 * STEP), 9 * np.array([1, 1.01]), rtol=1e-6)
    slow = kuramoto.graph_step(run[-1], np.zeros((2, 2)), rate=STEP, natural_frequency=frequencies) - run[-1]
    assert (abs(slow / (STEP * frequencies) - 1) > 1e-3).all()  # what a loop of single steps loses at this distance


@pytest.mark.parametrize("fn", ["graph", "inertia"])
def test_a_million_steps_at_40_hertz_keep_the_frequency_in_float32(fn):
    """Only the last state is kept; dt is 1 ms."""
    frequency, count, options = np.float32(2 * np.pi * 40), 1_000_000, {"num_steps": 1_000_000, "every": 1_000_000}
    zeros = np.zeros((1, 1), np.float32)
    if fn == "graph":
        run = kuramoto.graph_trajectory(zeros[0], zeros, rate=STEP, natural_frequency=frequency, **options)
    else:
        values = {"dt": STEP, "inertia": 1.0, "natural_frequency": frequency}
        run, _ = graphs.inertial_trajectory(zeros[0], frequency, zeros, **values, **options)
    assert run.dtype == np.float32 and run.shape == (1, 1)
    assert float(run[0, 0]) / (2 * np.pi * count * STEP) == pytest.approx(40, abs=1e-3)


def test_gradients_through_100000_steps_are_those_of_the_closed_form():
    """And their derivatives along a direction. Two oscillators: tan(gap / 2) decays by e^{-2 K t}.

    The run is stored every 400 steps; what the plain one stores of each step grows with their number.
    """
    count, piece, pair = 100_000, 400, 1 - np.eye(2)
    args, along = (np.array(0.8), np.array(2.0)), (np.array(1.0), np.array(-0.5))

    def gap(strength, start, checkpoint=True):
        phases, coupling = jnp.stack([-start / 2, start / 2]), strength * pair
        length = piece if checkpoint else count
        steps = lambda x: kuramoto.graph_trajectory(x, coupling, rate=1 / count, num_steps=length, every=length)[0]  # noqa: E731
        last = unroll(steps, phases, count // length, gradient=Checkpoint(1))[0] if checkpoint else steps(phases)
        return last[1] - last[0]

    exact = lambda strength, start: 2 * jnp.arctan(jnp.tan(start / 2) * jnp.exp(-2 * strength))  # noqa: E731
    both = lambda fn: lambda *args: jax.jvp(jax.grad(fn, (0, 1)), args, along)  # noqa: E731
    with float64():
        compiled = [jax.jit(both(fn)).lower(*args).compile() for fn in (gap, partial(gap, checkpoint=False))]
        found, expected = compiled[0](*args), both(exact)(*args)
        np.testing.assert_allclose(jax.tree.leaves(found), jax.tree.leaves(expected), rtol=1e-4)
    needed, stored = (program.memory_analysis().temp_size_in_bytes for program in compiled)
    phases = count * 2 * 8  # bytes of the phases of each step
    assert needed < phases / 4 and phases < stored


def test_trajectories_are_the_steps():
    rng = np.random.default_rng(0)
    phases, coupling = rng.uniform(-9, 9, (3, 5)).astype(np.float32), rng.normal(size=(5, 5)).astype(np.float32)
    run = kuramoto.graph_trajectory(phases, coupling, rate=0.2, natural_frequency=np.arange(5), num_steps=6)
    for after in run:
        phases = kuramoto.graph_step(phases, coupling, rate=0.2, natural_frequency=np.arange(5))
        np.testing.assert_allclose(after, phases, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["transform", "direct"])
def test_phases_after_many_turns_move_as_those_at_0(method):
    rng = np.random.default_rng(0)
    phases = rng.uniform(-3, 3, (6, 6, 2)).astype(np.float32)
    amplitude, kernel = rng.uniform(size=(6, 6, 2)), rng.normal(size=(3, 3, 2, 2))
    far = (phases.astype(float) + 2 * np.pi * 1e6).astype(np.float32)
    near = np.angle(np.exp(1j * far.astype(float))).astype(np.float32)
    options = {"rate": 5.0, "epsilon": 0.1, "num_steps": 1, "method": method}
    moved, expected = (
        np.asarray(kuramoto.conv_trajectory(x, amplitude, kernel, **options)[0], float) for x in (far, near)
    )
    spacing = np.spacing(np.float32(6e6))
    np.testing.assert_allclose(moved - far, expected - near, atol=spacing)
    assert np.abs(expected - near).max() > 2 * spacing


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.coo_array, sparse.BCOO.fromdense])
def test_a_sparse_coupling_is_the_dense_one(make):
    rng = np.random.default_rng(0)
    dense = (rng.normal(size=(7, 7)) * (rng.uniform(size=(7, 7)) < 0.3)).astype(np.float32)
    phases = rng.uniform(-3, 3, (2, 3, 7)).astype(np.float32)
    for fn in (
        lambda p, a: kuramoto.graph_step(p, a, rate=0.1),
        lambda p, a: kuramoto.agreement_step(p, a, rate=0.1),
        kuramoto.energy,
        lambda p, a: kuramoto.graph_trajectory(p, a, rate=0.1, num_steps=3),
    ):
        np.testing.assert_allclose(fn(phases, make(dense)), fn(phases, dense), atol=1e-5)
    gradient = jax.grad(lambda p, a: kuramoto.energy(p, a).sum())
    np.testing.assert_allclose(gradient(phases, make(dense)), gradient(phases, dense), atol=1e-5)


def test_sparse_couplings_of_other_kinds_are_refused():
    batched = sparse.BCOO.fromdense(jnp.ones((2, 5, 5)), n_batch=1)
    with pytest.raises(TypeError, match="one matrix"):
        kuramoto.graph_step(jnp.zeros((2, 5)), batched, rate=0.1)
    with pytest.raises(TypeError, match="coupling must be a dense array"):
        kuramoto.graph_step(jnp.zeros(5), sparse.BCSR.fromdense(jnp.ones((5, 5))), rate=0.1)
    with pytest.raises(ValueError, match=r"coupling must be .* got \(5, 6\) and \(5,\)"):
        kuramoto.graph_step(jnp.zeros(5), scipy.sparse.csr_matrix(np.ones((5, 6))), rate=0.1)


@pytest.mark.parametrize(("rate", "epsilon"), [((2,), (3, 1, 1, 1)), ((3, 1, 1, 1), (4, 5, 2)), ((4, 5, 2), ())])
@pytest.mark.parametrize("method", ["transform", "fft", "direct"])
def test_rates_and_desynchronization_per_channel_image_or_oscillator(method, rate, epsilon):
    rng = np.random.default_rng(0)
    phases, amplitude = rng.uniform(-3, 3, (3, 4, 5, 2)), rng.uniform(size=(3, 4, 5, 2))
    kernel, rate, epsilon = rng.normal(size=(3, 3, 2, 2)), rng.uniform(size=rate), rng.uniform(size=epsilon)
    found = kuramoto.conv_step(phases, amplitude, kernel, rate=rate, epsilon=epsilon, method=method)
    rates, epsilons = (np.broadcast_to(x, phases.shape) for x in (rate, epsilon))
    for at in np.ndindex(phases.shape):
        alone = kuramoto.conv_step(
            phases[at[0]], amplitude[at[0]], kernel, rate=rates[at], epsilon=epsilons[at], method="direct"
        )
        if sum(at) % 7 == 0:
            np.testing.assert_allclose(found[at], alone[at[1:]], atol=1e-5)


@pytest.mark.parametrize("name", ["rate", "epsilon"])
def test_values_of_other_shapes_are_refused_by_name(name):
    given = {"rate": 0.1, "epsilon": 0.1} | {name: np.ones((3, 1))}
    with pytest.raises(ValueError, match=rf"{name} must be a scalar or broadcast to phases .*, got shape \(3, 1\)"):
        kuramoto.conv_step(np.ones((4, 5, 2)), np.ones((4, 5, 2)), np.ones((3, 3, 2, 2)), **given)
