"""Kuramoto dynamics against the double sums of their equations, closed forms and invariants."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import kuramoto, unroll
from tests.helpers import assert_close, assert_gradients, float64, in_float64, slope

RATE, EPSILON = 0.3, 0.2


def arrays(lead=(2,), image=(3, 4), size=(3, 5), channels=2, seed=0):
    rng = np.random.default_rng(seed)
    phases = rng.uniform(-4, 4, (*lead, *image, channels))
    amplitude = np.maximum(rng.normal(0.5, 1, phases.shape), 0)
    return phases, amplitude, rng.normal(size=(*size, channels, channels))


def couplings(image, kernel, drive, epsilon):
    """Of one image, as a matrix among its units: the kernel where it reaches, minus epsilon, by the sender's drive."""
    (height, width), (kh, kw, c_in, c_out) = image, kernel.shape
    matrix = np.full((height, width, c_out, height, width, c_in), -epsilon)
    for y, x, j, i in itertools.product(range(height), range(width), range(kh), range(kw)):
        row, column = y + j - kh // 2, x + i - kw // 2
        if 0 <= row < height and 0 <= column < width:
            matrix[y, x, :, row, column, :] += kernel[j, i].T
    return matrix.reshape(drive.size, drive.size) * drive.ravel()


def naive_step(phases, matrix, rate):
    """phase_i + rate sum_j matrix_ij sin(phase_j - phase_i), pair by pair."""
    flat = phases.ravel()
    moved = [a + rate * sum(matrix[i, j] * np.sin(b - a) for j, b in enumerate(flat)) for i, a in enumerate(flat)]
    return np.reshape(moved, phases.shape)


def naive_conv_step(phases, amplitude, kernel, rate=RATE, epsilon=EPSILON):
    matrix = couplings(phases.shape[:2], kernel, np.tanh(amplitude), epsilon)
    return naive_step(phases, matrix, rate)


def conv_step(*args, **options):
    return kuramoto.conv_step(*args, **{"rate": RATE, "epsilon": EPSILON, **options})


@pytest.mark.parametrize("method", ["direct", "fft", "transform", "auto"])
def test_conv_step_is_equation_1(method):
    phases, amplitude, kernel = arrays()
    expected = np.stack([naive_conv_step(*pair, kernel) for pair in zip(phases, amplitude, strict=True)])
    step = lambda *args: conv_step(*args, method=method)  # noqa: E731
    assert_close(in_float64(step, phases, amplitude, kernel), expected, 1e-12)
    single = (x.astype(np.float32) for x in (phases, amplitude, kernel))
    assert_close(jax.jit(step)(*single), expected, 1e-5)


def test_conv_trajectory_is_an_unrolled_conv_step():
    phases, amplitude, kernel = arrays()

    def run(phases, amplitude, kernel):
        whole = kuramoto.conv_trajectory(phases, amplitude, kernel, rate=RATE, epsilon=EPSILON, num_steps=4)
        step = lambda phases: conv_step(phases, amplitude, kernel)  # noqa: E731
        return whole, unroll(step, phases, 4, collect=lambda phases: phases)[1]

    assert_close(*in_float64(run, phases, amplitude, kernel), 1e-12)


def test_one_program_serves_all_rates():
    phases, amplitude, kernel = (x.astype(np.float32) for x in arrays())
    chex.clear_trace_counter()
    step = jax.jit(
        chex.assert_max_traces(
            lambda rate, epsilon: conv_step(phases, amplitude, kernel, rate=rate, epsilon=epsilon), n=1
        )
    )
    slow, fast = step(0.1, EPSILON) - phases, step(0.2, EPSILON) - phases
    assert_close(fast, 2 * slow, 1e-5)


def test_conv_leading_axes():
    """One image, a batch, a batch a seed; amplitude and phases broadcast; vmap over all arguments."""
    phases, amplitude, kernel = arrays((3, 2))
    kernels = np.stack([kernel, -kernel, 2 * kernel])

    def run(phases, amplitude, kernel, kernels):
        whole = conv_step(phases, amplitude, kernel)
        parts = [
            (conv_step(phases[1], amplitude[1], kernel), whole[1]),
            (conv_step(phases[2, 1], amplitude[2, 1], kernel), whole[2, 1]),
            (conv_step(phases[:, 0], amplitude[0, 0], kernel)[0], whole[0, 0]),
            (conv_step(phases[0, 0], amplitude[:, 0], kernel)[0], whole[0, 0]),
        ]
        seeds = jax.vmap(conv_step)(phases, amplitude, kernels)
        return [*parts, (seeds[0], whole[0]), (seeds[1], conv_step(phases[1], amplitude[1], kernels[1]))]

    for found, expected in in_float64(run, phases, amplitude, kernel, kernels):
        assert_close(found, expected, 1e-13)


@pytest.mark.parametrize("method", ["direct", "transform"])
def test_conv_gradients_by_finite_differences(method):
    phases, amplitude, kernel = arrays((1,))
    target = np.random.default_rng(1).normal(size=phases.shape) / 10

    def value(phases, amplitude, kernel, rate, epsilon):
        options = {"rate": rate, "epsilon": epsilon, "num_steps": 3, "method": method}
        return jnp.sum(target * jnp.sin(kuramoto.conv_trajectory(phases, amplitude, kernel, **options)[-1]))

    with float64():
        assert_gradients(value, phases, amplitude + 0.1, kernel, 0.1, EPSILON)


def test_silent_units_move_but_pull_nobody():
    phases, amplitude, kernel = arrays((1,))
    amplitude[:, 1] = 0

    def value(phases, amplitude, kernel, rate, epsilon):
        return jnp.sin(conv_step(phases, amplitude, kernel, rate=rate, epsilon=epsilon)).sum()

    other = phases.copy()
    other[:, 1] += 1
    moved, as_well = in_float64(conv_step, phases, amplitude, kernel), in_float64(conv_step, other, amplitude, kernel)
    black = in_float64(conv_step, phases, 0 * amplitude, kernel)
    gradients = in_float64(jax.grad(value, range(5)), phases, 0 * amplitude, kernel, RATE, EPSILON)
    assert_close(as_well[:, ::2], moved[:, ::2], 1e-13)
    assert np.all(moved[:, 1] != phases[:, 1])
    np.testing.assert_array_equal(black, phases)
    chex.assert_tree_all_finite(gradients)
    assert np.all(gradients[1] != 0)
    np.testing.assert_array_equal(gradients[2], 0)


def symmetric(kernel):
    """K[d, i, o] = K[-d, o, i]: what unit a receives from b equals what b receives from a."""
    return kernel + kernel[::-1, ::-1].swapaxes(2, 3)


def test_conv_invariants():
    """A global shift shifts; a symmetric kernel keeps the mean phase weighted by the drive: sum_i b_i dphase_i = 0.

    Each pair's term b_i K_ij b_j sin(phase_j - phase_i) is antisymmetric then, and so is the global one.
    """
    phases, amplitude, kernel = arrays()
    step = lambda phases, kernel: in_float64(conv_step, phases, amplitude, kernel)  # noqa: E731
    drift = lambda kernel: np.sum(np.tanh(amplitude) * (step(phases, kernel) - phases), axis=(1, 2, 3))  # noqa: E731
    assert_close(step(phases + 1.7, kernel) - 1.7, step(phases, kernel), 1e-13)
    kept, lost = drift(symmetric(kernel)), drift(kernel)
    assert_close(kept, np.zeros(2), 1e-12)
    assert np.all(np.abs(lost) > 0.1)


def test_conv_step_descends_for_a_symmetric_kernel():
    """It is a graph step with the couplings among all units; with equal drives they are symmetric, and energy falls."""
    phases, _, kernel = arrays((), image=(4, 4))
    amplitude = np.full(phases.shape, 0.8)
    matrix = couplings((4, 4), symmetric(kernel), np.tanh(amplitude), EPSILON)
    rate = 0.5 / np.abs(matrix).sum(-1).max()

    def run(phases, kernel):
        xs = kuramoto.conv_trajectory(phases, amplitude, kernel, rate=rate, epsilon=EPSILON, num_steps=30)
        xs = xs.reshape(30, -1)
        return xs, kuramoto.graph_step(xs[0], matrix, rate=rate), kuramoto.energy(xs, matrix)

    xs, second, energies = in_float64(run, phases, symmetric(kernel))
    assert_close(second, xs[1], 1e-12)
    assert np.all(np.diff(energies) < 0)


@pytest.mark.parametrize(
    ("phases", "amplitude", "kernel", "parts"),
    [
        ((4, 4, 2), (4, 5, 2), (3, 3, 2, 2), ["(4, 4, 2)", "(4, 5, 2)"]),
        ((4, 2), (4, 2), (3, 3, 2, 2), ["(4, 2)"]),
        ((4, 4, 2), (4, 4, 2), (3, 3, 2, 3), ["(3, 3, 2, 3)", "(4, 4, 2)"]),
        ((4, 4, 2), (4, 4, 2), (3, 2, 2), ["(3, 2, 2)", "(4, 4, 2)"]),
        ((4, 4, 2), (4, 4, 2), (3, 4, 2, 2), ["3 x 4"]),
        ((3, 4, 4, 2), (2, 4, 4, 2), (3, 3, 2, 2), ["(3, 4, 4, 2)", "(2, 4, 4, 2)"]),
    ],
)
def test_conv_shapes_that_do_not_fit(phases, amplitude, kernel, parts):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        conv_step(jnp.zeros(phases), jnp.zeros(amplitude), jnp.zeros(kernel))
    assert all(part in str(raised.value) for part in parts)


# Graphs


def graph(lead=(), n=6, seed=0):
    rng = np.random.default_rng(seed)
    coupling = rng.normal(size=(*lead, n, n))
    return rng.uniform(-4, 4, (*lead, n)), coupling + coupling.swapaxes(-1, -2)


def test_graph_and_agreement_steps_are_their_equations():
    phases, matrix = graph((2,))
    matrix = np.triu(matrix)  # not symmetric: who receives matters
    frequency = np.linspace(-1, 1, 6)
    found = in_float64(lambda *args: kuramoto.graph_step(*args, rate=0.1, natural_frequency=frequency), phases, matrix)
    agreed = in_float64(lambda *args: kuramoto.agreement_step(*args, rate=0.1, floor=1e-3), phases, matrix)
    heard = np.abs(matrix).sum(-1, keepdims=True) + 1e-3
    for i in range(2):
        assert_close(found[i], naive_step(phases[i], matrix[i], 0.1) + 0.1 * frequency, 1e-13)
        assert_close(agreed[i], naive_step(phases[i], matrix[i] / heard[i], 0.1), 1e-13)


@pytest.mark.parametrize("step", [kuramoto.graph_step, kuramoto.agreement_step])
def test_graph_broadcasting_and_vmap(step):
    phases, matrix = graph((3,))

    def run(phases, matrix):
        one = step(phases, matrix[0], rate=0.1)
        each = jax.vmap(lambda *args: step(*args, rate=0.1))(phases, matrix)
        shifted = step(phases + 0.9, matrix[0], rate=0.1) - 0.9  # a global shift shifts
        return [(one[0], each[0]), (step(phases[0], matrix, rate=0.1)[0], one[0]), (shifted, one)]

    for found, expected in in_float64(run, phases, matrix):
        assert_close(found, expected, 1e-13)


@pytest.mark.parametrize("step", [kuramoto.graph_step, kuramoto.agreement_step])
def test_graph_gradients_by_finite_differences(step):
    phases, matrix = graph()
    target = np.arange(1.0, 7.0)
    with float64():
        assert_gradients(lambda *args: jnp.sum(target * jnp.sin(step(*args[:2], rate=args[2]))), phases, matrix, 0.3)


def evolve(phases, matrix, rate, length, **options):
    step = lambda phases: kuramoto.graph_step(phases, matrix, rate=rate, **options)  # noqa: E731
    return unroll(step, phases, length, collect=lambda phases: phases)


def test_two_oscillators_follow_their_closed_form_to_first_order():
    """With d the difference, dd/dt = -2 k sin d, so that tan(d / 2) decays as e^{-2 k t}."""
    k, start, steps = 0.7, np.array([0.2, 2.6]), np.array([40, 80, 160, 320])
    exact = 2 * np.arctan(np.tan(1.2) * np.exp(-2 * k))
    matrix = k * (1 - np.eye(2))
    ends = [in_float64(lambda x, n=n: evolve(x, matrix, 1 / n, int(n))[0], start) for n in steps]
    errors = [abs(end[1] - end[0] - exact) for end in ends]
    assert errors[-1] < 2e-3
    assert slope(1 / steps, errors) == pytest.approx(1, abs=0.05)
    assert_close(np.array([end.sum() for end in ends]), np.full(4, 2.8), 1e-13)  # the total phase does not drift


def test_a_step_back_undoes_a_step_to_second_order():
    phases, matrix = graph()
    rates = np.array([0.04, 0.02, 0.01, 0.005])
    step = lambda *args: kuramoto.graph_step(*args[:2], rate=args[2])  # noqa: E731
    there_and_back = lambda rate: step(step(phases, matrix, rate), matrix, -rate)  # noqa: E731
    errors = np.max(np.abs(in_float64(jax.vmap(there_and_back), rates) - phases), axis=-1)
    assert slope(rates, errors) == pytest.approx(2, abs=0.1)


def test_energy_is_its_double_sum_and_the_step_its_descent():
    phases, matrix = graph((2,))
    expected = -0.5 * (matrix * np.cos(phases[:, :, None] - phases[:, None, :])).sum((1, 2))
    run = lambda x: (kuramoto.energy(x, matrix), kuramoto.graph_step(x, matrix, rate=1.0) - x)  # noqa: E731
    total = lambda *args: kuramoto.energy(*args).sum()  # noqa: E731
    assert_close(in_float64(run, phases), (expected, -in_float64(jax.grad(total), phases, matrix)), 1e-13)
    with float64():
        assert_gradients(total, phases, matrix)


def test_energy_never_rises_and_the_total_phase_stays():
    """Below rate 1 / L a step descends by half of rate |gradient|^2; the curvature L is below 2 max_i sum_j |c_ij|."""
    phases, matrix = graph(n=8)
    rate = 0.5 / np.abs(matrix).sum(-1).max()
    xs = np.concatenate([phases[None], in_float64(lambda x: evolve(x, matrix, rate, 100)[1], phases)])
    energies = in_float64(kuramoto.energy, xs, matrix)
    descent = np.sum(np.diff(xs, axis=0) ** 2, -1) / rate
    assert np.all(np.diff(energies) <= -0.5 * descent + 1e-13)
    assert energies[-1] < energies[0] - 1
    assert_close(xs.sum(-1), np.full(101, phases.sum()), 1e-12)


def test_natural_frequencies_rotate():
    """Alone each at its own pace; alike in all, they turn the whole frame and change nothing within it."""
    phases, matrix = graph()
    frequency = np.linspace(-2, 3, 6)

    def run(phases):
        free = evolve(phases, 0 * matrix, 0.1, 20, natural_frequency=frequency)[0]
        turning = evolve(phases, matrix, 0.02, 20, natural_frequency=1.5)[0]
        return free, evolve(phases, matrix, 0.02, 20)[0], turning

    free, still, turning = in_float64(run, phases)
    assert_close(free, phases + 2 * frequency, 1e-13)
    assert_close(turning, still + 1.5 * 0.02 * 20, 1e-12)


def test_agreement_is_bounded_by_the_rate_whatever_the_strength():
    phases, matrix = graph((50,))
    step = lambda *args: kuramoto.agreement_step(*args, rate=0.2)  # noqa: E731
    weak, strong = (in_float64(step, phases, s * matrix) - phases for s in (1e-3, 1e4))
    pair = in_float64(step, np.array([0.0, np.pi / 2]), 5e6 * (1 - np.eye(2)))
    assert np.max(np.abs(strong)) <= 0.2
    assert_close(weak, strong, 1e-3)
    assert_close(pair, np.array([0.2, np.pi / 2 - 0.2]), 1e-13)


def test_agreement_without_coupling_stays_with_finite_gradients():
    phases, matrix = graph()
    matrix[2] = 0
    value = lambda *args: jnp.sin(kuramoto.agreement_step(*args, rate=0.2)).sum()  # noqa: E731
    single = phases.astype(np.float32), matrix.astype(np.float32)
    assert kuramoto.agreement_step(*single, rate=0.2)[2] == single[0][2]
    chex.assert_tree_all_finite(jax.jit(jax.grad(value, (0, 1)))(*single))
    chex.assert_tree_all_finite(jax.jit(jax.grad(value, (0, 1)))(single[0], 0 * single[1]))


@pytest.mark.parametrize("shape", [(5, 5), (6, 5), (6,)])
@pytest.mark.parametrize("fn", [kuramoto.energy, kuramoto.graph_step, kuramoto.agreement_step])
def test_graph_shapes_that_do_not_fit(fn, shape):
    options = {} if fn is kuramoto.energy else {"rate": 0.1}
    with pytest.raises(ValueError, match=r"coupling must be \(\.\.\., N, N\)") as raised:
        fn(jnp.zeros((2, 6)), jnp.zeros(shape), **options)
    assert str(shape) in str(raised.value) and "(2, 6)" in str(raised.value)
