"""Filters by oscillators: published numbers, four ways of one contract, closed forms, stability."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _platform
from oscnets.dynamics import _second_order, filters
from tests.helpers import float64, golden_case, golden_cases, in_float64, slope

METHODS = ("scan", "associative", "chunk", "fft")
FORMS = ("im", "imex", "imex2", "ex")
rng = np.random.default_rng(0)


def form_of(cfg):
    return cfg["discretization"].lower().replace("imex1", "imex")


def relative(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.nanmax(np.abs(expected)))


def layer(cfg, u, params, method):
    """Output of a published layer from its raw parameters."""
    if "steps" in params:
        stiffness, damping, dt = jax.nn.relu(params["A_diag"]), 0.0, jax.nn.sigmoid(params["steps"])
    else:
        dt = jax.nn.sigmoid(params["dt"])
        stiffness, damping = filters.stable_parameters(params["A_diag"], params["G_diag"], dt, form=form_of(cfg))
    system = (stiffness, damping, dt)
    maps = (params["B"], params["C"], params["D"])
    return filters.state_space(u, *system, *maps, form=form_of(cfg), method=method), system


LAYERS = golden_cases("linoss_layer*.npz") + golden_cases("dlinoss_layer*.npz")


@pytest.mark.parametrize(("name", "case"), LAYERS)
def test_golden_linoss_and_dlinoss_layers(name, case):
    cfg, arrays = golden_case(name, case)
    params = {key.removeprefix("param/"): x for key, x in arrays.items() if key.startswith("param/")}
    drive = np.einsum("lh,phr->rlp", arrays["u"], params["B"])
    for method in ("auto", METHODS[LAYERS.index((name, case)) % len(METHODS)]):

        @jax.jit
        def run(params, drive, method=method):
            """The layer, its states and the gradient of the stored loss."""
            loss = lambda params: (layer(cfg, arrays["u"], params, method)[0] * arrays.get("grad_w", 0)).sum()  # noqa: E731
            found, system = layer(cfg, arrays["u"], params, method)
            hidden = filters.oscillator_filter(drive, *system, form=form_of(cfg), method=method)
            return found, system, hidden, jax.grad(loss)(params)

        found, system, hidden, gradients = run(params, drive)
        relative(found, arrays["y"], 5e-5)
        for parts, key in zip(hidden, ("h_z", "h_y"), strict=True):
            relative(parts[0] + 1j * parts[1], arrays[key], 5e-5)
        if "grad_w" in arrays:
            for key, gradient in gradients.items():
                relative(gradient, arrays[f"grad/{key}"], 5e-4)
    for key, value in zip(("A_projected", "G_projected", "dt_sigmoid"), system, strict=True):
        if key in arrays:
            np.testing.assert_allclose(value, arrays[key], rtol=1e-5)


def system(form, units):
    """A stable system: stiffness, damping, time step."""
    dt, stiffness = rng.uniform(0.4, 0.7, units), rng.uniform(0.1, 1, units)
    damping = rng.uniform(0.05, 0.4, units)
    return stiffness, damping + dt * stiffness if form == "ex" else damping, dt


UNITS, LENGTH = 3, 4096


@pytest.fixture(scope="module")
def loop():
    """A bank of units of every form, its states, and the gradients of their weighted sum, by loops in float64."""
    with float64():
        parts = [filters.transition(*system(form, UNITS), form=form) for form in FORMS]
    count = UNITS * len(FORMS)
    shapes = (LENGTH, count), (count, 2), (2, LENGTH, count)
    values = rng.normal(size=shapes[0]), *map(np.concatenate, zip(*parts, strict=True)), rng.normal(size=shapes[1])
    # Numbers of float32, so that either precision has the same system.
    drive, matrix, gain, start, weights = (np.float32(x).astype(float) for x in (*values, rng.normal(size=shapes[2])))
    states, pulls = [start], [np.zeros_like(start)]
    for u in drive:
        states.append(np.einsum("pij,pj->pi", matrix, states[-1]) + gain * u[:, None])
    for w in np.moveaxis(weights, 1, 0)[::-1]:
        pulls.append(np.einsum("pji,pj->pi", matrix, pulls[-1]) + w.T)
    states, pulls = np.array(states), np.array(pulls[:0:-1])
    gradients = (
        (pulls * gain).sum(-1),
        np.einsum("kpi,kpj->pij", pulls, states[:-1]),
        np.einsum("kpi,kp->pi", pulls, drive),
        np.einsum("pji,pj->pi", matrix, pulls[0]),
    )
    return (drive, matrix, gain, start), weights, np.moveaxis(states[1:], -1, 0), gradients


@pytest.mark.parametrize(("dtype", "tolerance", "short"), [(np.float32, 1e-5, ()), (np.float64, 1e-12, (1, 2, 33))])
@pytest.mark.parametrize("method", [*METHODS, "chunk on accelerators"])
def test_every_way_is_the_loop_with_its_gradients(method, dtype, tolerance, short, loop, monkeypatch):
    """For every form, over 4,096 steps and a few; relative to the largest number of a form."""
    if method not in METHODS:
        monkeypatch.setattr(_second_order, "on_cpu", lambda: False)
        method = "chunk"
        jax.clear_caches()
    args, weights, states, gradients = loop

    def bank(drive, matrix, gain, start):
        return jnp.stack(filters.filter_bank(drive, matrix, gain, start=tuple(start.T), method=method))

    def loss(weights, *args):
        found = bank(*args)
        return (weights * found).sum(), found

    def run(weights, drive, *rest):
        gradient, found = jax.grad(loss, range(1, 5), has_aux=True)(weights, drive, *rest)
        return [*(bank(drive[:length], *rest) for length in short), found], gradient

    with float64() if dtype == np.float64 else nullcontext():
        found, gradient = jax.tree.map(np.asarray, jax.jit(run)(*(x.astype(dtype) for x in (weights, *args))))
    assert found[0].dtype == dtype
    for i in range(len(FORMS)):
        part = slice(i * UNITS, (i + 1) * UNITS)
        for length, after in zip((*short, LENGTH), found, strict=True):
            relative(after[..., part], states[:, :length, part], tolerance)
        relative(gradient[0][:, part], gradients[0][:, part], tolerance)
        for x, expected in zip(gradient[1:], gradients[1:], strict=True):
            relative(x[part], expected[part], tolerance)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_the_method_follows_the_numbers_of_a_sequence_and_the_device(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    most = _platform.sizes().loop_numbers // 4
    for length, loops in ((64, platform == "cpu"), (most, platform == "cpu"), (most + 4, False)):
        run = lambda u: filters.filter_bank(u, np.zeros((4, 2, 2)), np.zeros((4, 2)))  # noqa: E731
        program = str(jax.make_jaxpr(run)(np.zeros((length, 4), np.float32)))
        assert (f"length={length}" in program) == loops


def test_a_sequence_may_be_cut():
    drive, parameters = rng.normal(size=(2, 70, 3)).astype(np.float32), system("imex", 3)
    whole = np.array(filters.oscillator_filter(drive, *parameters))
    for method in METHODS:
        first = filters.oscillator_filter(drive[:, :40], *parameters, method=method)
        last = tuple(x[:, -1] for x in first)
        second = filters.oscillator_filter(drive[:, 40:], *parameters, start=last, method=method)
        relative(np.concatenate([first, second], axis=2), whole, 1e-5)
    assert filters.oscillator_filter(drive[:, :0], *parameters)[0].shape == (2, 0, 3)


@pytest.mark.parametrize("form", FORMS)
def test_order_one_of_a_free_oscillation(form):
    """Against the closed form y = e^{-G t / 2} cos(w t), w^2 = A - G^2 / 4."""
    stiffness, damping, time = 4.0, 0.3, 2.0
    frequency = np.sqrt(stiffness - damping**2 / 4)
    expected = np.exp(-damping * time / 2) * np.cos(frequency * time)
    steps, errors = np.array([200, 400, 800, 1600]), []
    for count in steps:
        start = np.array([-damping / 2]), np.array([1.0])
        fn = lambda drive, count=count, start=start: filters.oscillator_filter(  # noqa: E731
            drive, stiffness, damping, time / count, form=form, start=start, method="fft"
        )[1][-1, 0]
        errors.append(abs(in_float64(fn, np.zeros((count, 1))) - expected))
    assert -slope(steps, errors) == pytest.approx(1, abs=0.1)


def test_energy_without_damping():
    """Bounded for the symplectic form, falling for the implicit one, rising for the explicit one."""
    drive, start = np.zeros((4000, 1)), (np.zeros(1), np.ones(1))
    energy = {}
    for form in FORMS:
        z, y = filters.oscillator_filter(drive, 1.0, 0.0, 0.05, form=form, start=start)
        energy[form] = np.asarray(z**2 + y**2)[:, 0]
    np.testing.assert_allclose(energy["imex"], 1, atol=0.06)
    assert (np.diff(energy["im"]) <= 0).all() and energy["im"][-1] < 0.01
    assert (np.diff(energy["ex"]) >= 0).all() and energy["ex"][-1] > 100
    np.testing.assert_allclose(energy["imex2"], energy["imex"], rtol=1e-4)


def test_poles():
    radius, angle, dt = rng.uniform(0.5, 1, 6), rng.uniform(0.1, 3, 6), rng.uniform(0.2, 1, 6)
    with float64():
        matrix, _ = filters.transition(*filters.from_poles(radius, angle, dt), dt)
    poles = np.sort_complex(np.linalg.eigvals(np.asarray(matrix)))
    expected = np.sort_complex(radius[:, None] * np.exp(1j * np.stack([angle, -angle], -1)))
    np.testing.assert_allclose(poles, expected, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_stable_parameters_are_stable(form):
    stiffness, dt = rng.normal(size=500) * 5, rng.uniform(0.1, 0.9, 500)
    damping = rng.uniform(-1, 1, 500)
    with float64():
        stable = filters.stable_parameters(stiffness, damping, dt, form=form)
        again = filters.stable_parameters(*stable, dt, form=form)
        poles = np.linalg.eigvals(np.asarray(filters.transition(*stable, dt, form=form)[0]))
    if form != "ex":  # where A had to be raised to G^2 / 4, the explicit form may still grow
        np.testing.assert_allclose(again, stable, atol=1e-9)
        assert np.abs(poles).max() < 1 + 1e-6


def test_what_is_not_right_is_refused():
    drive = np.zeros((5, 3))
    with pytest.raises(ValueError, match="form must be one of im, imex, imex2, ex, got 'euler'"):
        filters.oscillator_filter(drive, 1, 0, 0.1, form="euler")
    with pytest.raises(ValueError, match=r"method must be one of auto, .*, got 'parallel'"):
        filters.oscillator_filter(drive, 1, 0, 0.1, method="parallel")
    with pytest.raises(ValueError, match=r"stiffness must be a scalar or broadcast to units \(3,\), got shape \(4,\)"):
        filters.oscillator_filter(drive, np.ones(4), 0, 0.1)
    with pytest.raises(ValueError, match=r"matrix must be \(P, 2, 2\) .* got \(3, 2\), \(3, 2\) and \(5, 3\)"):
        filters.filter_bank(drive, np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"input_weights must be \(P, H, 2\) .* got \(3, 4, 2\)"):
        filters.state_space(drive, 1, 0, 0.1, np.ones((3, 4, 2)), np.ones((4, 3, 2)))
    with pytest.raises(ValueError, match=r"feedthrough needs output_weights \(H, P, 2\)"):
        filters.state_space(drive, 1, 0, 0.1, np.ones((2, 3, 2)), np.ones((4, 2, 2)), 1.0)
