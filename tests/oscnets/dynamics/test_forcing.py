"""Oscillators on graphs with harmonics and periodic forcing, and graphs of networkx as couplings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

from oscnets import phase
from oscnets.dynamics import graphs, kuramoto
from tests.helpers import float64, in_float64

rng = np.random.default_rng(0)
uniform = lambda *shape: rng.uniform(-1, 1, shape)  # noqa: E731
N = 6
PHASES, COUPLING, FREQUENCY, LAG = 3 * uniform(N), uniform(N, N), uniform(N), uniform(N)
HARMONICS = graphs.Harmonics(np.array([0.7, -0.4, 0.3]), np.array([0.2, 0.0, -1.0]))
FORCING = graphs.Forcing(0.8 + uniform(N) / 4, 2.5, uniform(N))
OPTIONS = {"natural_frequency": FREQUENCY, "phase_lag": LAG, "harmonics": HARMONICS, "forcing": FORCING}


def naive(phases, time):
    velocity = FREQUENCY + FORCING.strength * np.sin(FORCING.phase + FORCING.frequency * time - phases)
    gaps = phases - phases[:, None] - LAG[:, None]
    for m, (amplitude, shift) in enumerate(zip(*HARMONICS, strict=True), 1):
        velocity = velocity + amplitude * (COUPLING * np.sin(m * gaps + shift)).sum(1)
    return velocity


def naive_run(dt, count):
    phases, run = PHASES, []
    for t in range(count):
        phases = phases + dt * naive(phases, t * dt)
        run.append(phases)
    return np.stack(run)


@pytest.mark.parametrize("form", ["dense", "bcoo", "csr"])
def test_the_velocity_is_the_equation(form):
    coupling = {"dense": jnp.asarray, "bcoo": sparse.BCOO.fromdense, "csr": scipy.sparse.csr_array}[form](COUPLING)
    for time in (0.0, 1.3):
        found = kuramoto.vector_field(PHASES, coupling, **OPTIONS, time=time)
        np.testing.assert_allclose(found, naive(PHASES, time), atol=1e-5)
    exact = in_float64(lambda: kuramoto.vector_field(PHASES, COUPLING, **OPTIONS, time=1.3))
    np.testing.assert_allclose(exact, naive(PHASES, 1.3), atol=1e-12)


def test_every_run_goes_along_it():
    """Plain, noisy without noise, with inertia by hand, and delayed by 0."""
    dt, count = 0.05, 40
    expected = naive_run(dt, count)
    run = {
        "plain": lambda: kuramoto.graph_trajectory(PHASES, COUPLING, rate=dt, **OPTIONS, num_steps=count),
        "every": lambda: kuramoto.graph_trajectory(PHASES, COUPLING, rate=dt, **OPTIONS, num_steps=count, every=40),
        "noisy": lambda: graphs.noisy_trajectory(
            PHASES, COUPLING, jax.random.key(0), dt=dt, noise=0.0, **OPTIONS, num_steps=count
        ),
        "delayed": lambda: graphs.delayed_trajectory(PHASES[None], COUPLING, 0, rate=dt, **OPTIONS, num_steps=count),
    }
    for name, fn in run.items():
        np.testing.assert_allclose(in_float64(fn), expected[-1:] if name == "every" else expected, atol=1e-10)
    phases, velocity = PHASES, np.zeros(N)
    for t in range(count):
        velocity = velocity + dt * (naive(phases, t * dt) - 0.5 * velocity) / 2.0
        phases = phases + dt * velocity
    options = {"dt": dt, "inertia": 2.0, "damping": 0.5, **OPTIONS, "num_steps": count, "every": count}
    found = in_float64(lambda: graphs.inertial_trajectory(PHASES, 0.0, COUPLING, **options))
    np.testing.assert_allclose(found, (phases[None], velocity[None]), atol=1e-10)


def by_hand(step, state, dt, count):
    """A loop of the user's own, which gives each step its time."""
    for t in range(count):
        state = step(state, time=t * dt)
    return state


def test_steps_of_a_loop_are_those_of_the_trajectory():
    """With the time of each step the phase of the forcing moves on; without it every step is at time 0."""
    dt, count, key = 0.05, 8, jax.random.key(0)
    expected = naive_run(dt, count)
    inertial = {"dt": dt, "inertia": 2.0, **OPTIONS}
    with float64():
        plain = lambda x, **time: kuramoto.graph_step(x, COUPLING, rate=dt, **OPTIONS, **time)  # noqa: E731
        noisy = lambda x, **time: graphs.noisy_step(x, COUPLING, key, dt=dt, noise=0.0, **OPTIONS, **time)  # noqa: E731
        swing = lambda x, **time: graphs.inertial_step(*x, COUPLING, **inertial, **time)  # noqa: E731
        for step in (plain, noisy):
            np.testing.assert_allclose(step(PHASES), expected[0], atol=1e-12)
            np.testing.assert_allclose(by_hand(step, PHASES, dt, count), expected[-1], atol=1e-10)
        whole = graphs.inertial_trajectory(PHASES, 0.0, COUPLING, **inertial, num_steps=count)
        found = by_hand(swing, (PHASES, np.zeros(N)), dt, count)
        np.testing.assert_allclose(found, [x[-1] for x in whole], atol=1e-10)


def test_a_trajectory_continues_at_its_time():
    dt, first, count = 0.05, 15, 40
    expected = naive_run(dt, count)
    options = {**OPTIONS, "time": first * dt, "num_steps": count - first}
    runs = {
        "plain": lambda x: kuramoto.graph_trajectory(x, COUPLING, rate=dt, **options),
        "noisy": lambda x: graphs.noisy_trajectory(x, COUPLING, jax.random.key(0), dt=dt, noise=0.0, **options),
        "delayed": lambda x: graphs.delayed_trajectory(x[None], COUPLING, 0, rate=dt, **options),
    }
    for run in runs.values():
        np.testing.assert_allclose(in_float64(run, expected[first - 1]), expected[first:], atol=1e-10)
    inertial = {"dt": dt, "inertia": 2.0, **OPTIONS}
    with float64():
        whole = graphs.inertial_trajectory(PHASES, 0.0, COUPLING, **inertial, num_steps=count)
        half = [x[first - 1] for x in whole]
        rest = graphs.inertial_trajectory(*half, COUPLING, **inertial, time=first * dt, num_steps=count - first)
        np.testing.assert_allclose(rest, [x[first:] for x in whole], atol=1e-10)


def test_the_time_is_not_rounded_to_the_type_of_the_phases():
    """bfloat16 has no number between 100 and 100.5: the forcing would be a quarter of a turn away."""
    time, strength = 100.25, 4.0
    options = {"forcing": graphs.Forcing(strength, 2 * np.pi), "time": time}
    found = kuramoto.vector_field(
        jnp.zeros(1, jnp.bfloat16), np.zeros((1, 1), np.float32).astype("bfloat16"), **options
    )
    assert found.dtype == jnp.bfloat16
    assert float(found[0]) == pytest.approx(strength * np.sin(2 * np.pi * time), abs=0.02)


def test_delays_of_each_edge_reach_every_harmonic():
    dt, count, history = 0.05, 12, 3 * uniform(4, N)
    delays = rng.integers(0, 4, (N, N))
    states = list(history)
    for t in range(count):
        late = np.stack([[states[-1 - delays[i, j]][j] for j in range(N)] for i in range(N)])
        gaps, velocity = late - states[-1][:, None] - LAG[:, None], FREQUENCY.copy()
        for m, (amplitude, shift) in enumerate(zip(*HARMONICS, strict=True), 1):
            velocity += amplitude * (COUPLING * np.sin(m * gaps + shift)).sum(1)
        velocity += FORCING.strength * np.sin(FORCING.phase + FORCING.frequency * t * dt - states[-1])
        states.append(states[-1] + dt * velocity)
    run = lambda: graphs.delayed_trajectory(history, COUPLING, delays, rate=dt, **OPTIONS, num_steps=count)  # noqa: E731
    np.testing.assert_allclose(in_float64(run), states[4:], atol=1e-10)


def test_a_second_harmonic_makes_two_clusters():
    phases, coupling = np.pi * uniform(40), np.ones((40, 40)) / 40
    harmonics = graphs.Harmonics([0.0, 1.0])
    last = kuramoto.graph_trajectory(phases, coupling, rate=0.1, harmonics=harmonics, num_steps=600, every=600)[0]
    assert np.abs(phase.order_parameter(2 * last)) > 0.999
    assert np.abs(phase.order_parameter(last)) < 0.8


@pytest.mark.parametrize("detuning", [0.0, 0.5, 0.9, 1.5, 3.0])
def test_forcing_locks_what_it_is_strong_enough_for(detuning):
    """Adler's equation: locked at the angle arcsin(detuning / F) behind, else a beat of sqrt(detuning^2 - F^2)."""
    dt, count = 0.01, 20_000
    forcing = graphs.Forcing(1.0, 5.0 + detuning)
    options = {"rate": dt, "natural_frequency": 5.0, "forcing": forcing, "num_steps": count, "every": count // 4}
    run = kuramoto.graph_trajectory(np.zeros(1), np.zeros((1, 1)), **options)[:, 0]
    speed = (run[-1] - run[1]) / (dt * count / 2)
    assert float(speed) == pytest.approx(5.0 + detuning - np.sqrt(max(detuning**2 - 1, 0)), abs=0.05)
    if detuning < 1:
        behind = phase.wrap((5.0 + detuning) * dt * count - run[-1])
        assert float(behind) == pytest.approx(np.arcsin(detuning), abs=0.02)


def test_forcing_keeps_its_frequency_for_a_million_steps():
    dt, count = 1e-3, 1_000_000
    forcing = graphs.Forcing(20.0, 2 * np.pi * 40)
    options = {
        "rate": dt,
        "natural_frequency": 2 * np.pi * 39.5,
        "forcing": forcing,
        "num_steps": count,
        "every": count // 10,
    }
    run = np.asarray(kuramoto.graph_trajectory(np.zeros(1), np.zeros((1, 1)), **options)[:, 0], float)
    assert (run[-1] - run[0]) / (0.9 * count * dt) / (2 * np.pi) == pytest.approx(40, abs=1e-3)


def test_forcing_and_harmonics_may_differ_by_run():
    """A batch of strengths, and gradients in every value."""
    strengths = np.array([[0.0], [1.0], [2.0]])
    run = kuramoto.graph_trajectory(
        np.broadcast_to(PHASES, (3, N)), COUPLING, rate=0.1, forcing=graphs.Forcing(strengths, 1.0), num_steps=5
    )
    for i, strength in enumerate(strengths[:, 0]):
        alone = kuramoto.graph_trajectory(
            PHASES, COUPLING, rate=0.1, forcing=graphs.Forcing(strength, 1.0), num_steps=5
        )
        np.testing.assert_allclose(run[:, i], alone, atol=1e-5)
    loss = lambda h, d: jnp.sin(kuramoto.graph_step(PHASES, COUPLING, rate=0.1, harmonics=h, forcing=d)).sum()  # noqa: E731
    gradients = jax.grad(loss, (0, 1))(jax.tree.map(jnp.asarray, HARMONICS), graphs.Forcing(0.3, 1.0, 0.2))
    assert all(np.abs(x).max() > 1e-3 for x in (*gradients[0], gradients[1].strength, gradients[1].phase))


def test_graphs_of_networkx_are_couplings():
    networkx = pytest.importorskip("networkx", reason="a graph of networkx is needed")
    club = networkx.karate_club_graph()
    directed = networkx.gnp_random_graph(8, 0.4, seed=1, directed=True)
    parallel = networkx.MultiGraph([("a", "b"), ("a", "b"), ("b", "b"), ("b", "c")])
    for graph in (club, directed, parallel, networkx.empty_graph(3)):
        found = graphs.from_networkx(graph, strength=0.5)
        dense = np.zeros(found.shape)
        np.add.at(dense, tuple(np.asarray(found.indices).T), np.asarray(found.data))
        np.testing.assert_allclose(dense, 0.5 * networkx.to_numpy_array(graph).T, atol=1e-6)
        indices = np.asarray(found.indices).tolist()
        assert indices == sorted(indices) and len(set(map(tuple, indices))) == len(indices)
    assert graphs.from_networkx(parallel, strength=0.5).data.tolist() == [1.0, 1.0, 0.5, 0.5, 0.5]
    coupling, phases = graphs.from_networkx(club), 3 * uniform(34)
    expected = kuramoto.vector_field(phases, networkx.to_numpy_array(club))
    np.testing.assert_allclose(kuramoto.vector_field(phases, coupling), expected, atol=1e-4)
    (unweighted,) = {float(x) for x in graphs.from_networkx(club, weight="none").data}
    assert unweighted == 1
    with pytest.raises(TypeError, match="graph must be a graph of networkx, got ndarray"):
        graphs.from_networkx(np.eye(3))
    with pytest.raises(ValueError, match="graph must have nodes, got none"):
        graphs.from_networkx(networkx.Graph())


def test_what_is_not_right_is_refused():
    step = lambda **options: kuramoto.graph_step(PHASES, COUPLING, rate=0.1, **options)  # noqa: E731
    with pytest.raises(ValueError, match=r"harmonics.amplitudes must be \(M,\) with M >= 1, got shape \(\)"):
        step(harmonics=graphs.Harmonics(1.0))
    with pytest.raises(ValueError, match=r"harmonics.shifts must be .* amplitudes \(2,\), got shape \(3,\)"):
        step(harmonics=graphs.Harmonics([1.0, 0.5], np.zeros(3)))
    with pytest.raises(ValueError, match=r"forcing.strength must be .* phases \(6,\), got shape \(2,\)"):
        step(forcing=graphs.Forcing(np.ones(2)))
    with pytest.raises(ValueError, match=r"time must be a single number, got shape \(6,\)"):
        kuramoto.vector_field(PHASES, COUPLING, forcing=graphs.Forcing(1.0), time=np.zeros(N))
