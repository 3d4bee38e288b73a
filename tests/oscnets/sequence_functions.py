"""Public functions of sequences and simulations, as `functions.py` has the others."""

from typing import Any

import jax
import numpy as np

from oscnets import analysis
from oscnets.dynamics import cvrnn, filters, graphs, kuramoto, recurrent
from tests.oscnets.functions import Case

MODULES = (cvrnn, filters, graphs, recurrent)
NOT_OF_ARRAYS = {
    "dynamics.graphs": {"Distribution", "Forcing", "Harmonics", "from_networkx"},
    "dynamics.cvrnn": {"States", "TwoLayers", "gaussian_coupling"},
    "dynamics.filters": {"Form", "Method"},
    "dynamics.recurrent": {"Activation"},
}

rng = np.random.default_rng(0)
uniform = lambda *shape: rng.uniform(-1, 1, shape)  # noqa: E731
positive = lambda *shape: rng.uniform(0.2, 1, shape)  # noqa: E731

B, L, P, H = 2, 37, 3, 4
force, matrix, gain = uniform(B, L, P), uniform(P, 2, 2) / 2, uniform(P, 2)
stiffness, damping, dt = positive(P), positive(P), positive(P)


def bank(method: str) -> Case:
    def fn(drive, matrix, gain, velocity, position):
        return filters.filter_bank(drive, matrix, gain, start=(velocity, position), method=method)

    return Case(fn, (force, matrix, gain, uniform(B, P), uniform(B, P)), (0, None, None, 0, 0))


def oscillators(form: str) -> Case:
    def fn(drive, stiffness, damping, dt):
        return filters.oscillator_filter(drive, stiffness, damping, dt, form=form, method="scan")

    return Case(fn, (force, stiffness, damping, dt), (0, None, None, None), positive=1)


def stable(form: str) -> Case:
    fn = lambda *x: filters.stable_parameters(*x, form=form)  # noqa: E731
    return Case(fn, (uniform(5), uniform(5) / 2, positive(5)), (None,) * 3, positive=1)


def layer(u: Any, b: Any, c: Any, d: Any, a: Any, g: Any, dt: Any) -> Any:
    return filters.state_space(u, a, g, dt, b, c, d)


def oscillator_step(y: Any, z: Any, drive: Any, wy: Any, wz: Any, stiffness: Any, damping: Any) -> Any:
    return recurrent.oscillator_step(y, z, drive, wy, wz, dt=0.3, stiffness=stiffness, damping=damping)


def oscillator_trajectory(drive: Any, wy: Any, wz: Any, stiffness: Any, damping: Any, dt: Any) -> Any:
    return recurrent.oscillator_trajectory(drive, wy, wz, dt=dt, stiffness=stiffness, damping=damping)


STEP = (uniform(B, 4), uniform(4, 4), uniform(B, 4), uniform(4))
STEP_BATCHED = (0, None, 0, None)


def extended(fn: Any, **options: Any) -> Case:
    """Harmonics, forcing and a phase lag."""

    def run(p: Any, k: Any, w: Any, lag: Any, a: Any, b: Any, strength: Any, frequency: Any, start: Any) -> Any:
        more = {"harmonics": graphs.Harmonics(a, b), "forcing": graphs.Forcing(strength, frequency, start)}
        return fn(p, k, natural_frequency=w, phase_lag=lag, **more, **options)

    arrays = (*STEP, uniform(3), uniform(3), uniform(4), uniform(), uniform(B, 4))
    return Case(run, arrays, (*STEP_BATCHED, None, None, None, None, 0))


def noisy(fn: Any, **options: Any) -> Case:
    def run(p: Any, k: Any, w: Any, lag: Any, noise: Any, dt: Any) -> Any:
        key = jax.random.key(0)
        return fn(p, k, key, dt=dt, noise=noise, natural_frequency=w, phase_lag=lag, **options)

    return Case(run, (*STEP, positive(4), positive()), (*STEP_BATCHED, None, None), positive=1)


def inertial(fn: Any, **options: Any) -> Case:
    def run(p: Any, k: Any, w: Any, lag: Any, v: Any, drag: Any, dt: Any, mass: Any) -> Any:
        return fn(p, v, k, dt=dt, inertia=mass, damping=drag, natural_frequency=w, phase_lag=lag, **options)

    arrays = (*STEP, uniform(B, 4), positive(4), positive() / 4, positive(4))
    return Case(run, arrays, (*STEP_BATCHED, 0, None, None, None), positive=2)


def delayed(history: Any, coupling: Any, w: Any, lag: Any) -> Any:
    delays = np.arange(16).reshape(4, 4) % 3
    return graphs.delayed_trajectory(
        history, coupling, delays, rate=0.1, natural_frequency=w, phase_lag=lag, num_steps=4
    )


NETWORK = (uniform(B, 4), uniform(B, 4), uniform(4, 4), uniform(B, 4))
ring, ring_kernel = uniform(B, 7, 5, 2), uniform(3, 2, 2)

CASES = {
    "dynamics.filters.transition": Case(filters.transition, (stiffness, damping, dt), (None,) * 3, positive=1),
    **{f"dynamics.filters.filter_bank[{m}]": bank(m) for m in ("scan", "associative", "chunk", "fft")},
    **{f"dynamics.filters.oscillator_filter[{form}]": oscillators(form) for form in ("im", "imex2")},
    **{f"dynamics.filters.stable_parameters[{form}]": stable(form) for form in ("im", "imex")},
    "dynamics.filters.from_poles": Case(
        filters.from_poles, (positive(4), uniform(4), positive(4)), (None,) * 3, positive=3
    ),
    "dynamics.filters.state_space": Case(
        layer,
        (uniform(B, L, H), uniform(P, H, 2), uniform(H, P, 2), uniform(H), stiffness, damping, dt),
        (0, *(None,) * 6),
        positive=1,
    ),
    "dynamics.recurrent.oscillator_step": Case(
        oscillator_step,
        (uniform(B, P), uniform(B, P), uniform(B, P), uniform(P, P), uniform(P, P), stiffness, damping),
        (0, 0, 0, *(None,) * 4),
    ),
    "dynamics.recurrent.oscillator_trajectory": Case(
        oscillator_trajectory,
        (uniform(B, 7, P), uniform(P, P), uniform(P, P), stiffness, damping, dt),
        (0, *(None,) * 5),
    ),
    "dynamics.recurrent.ring_step": Case(recurrent.ring_step, (ring[:, 0], ring[:, 1], ring_kernel), (0, 0, None)),
    "dynamics.recurrent.ring_trajectory": Case(recurrent.ring_trajectory, (ring, ring_kernel), (0, None)),
    "dynamics.cvrnn.linear_step": Case(cvrnn.linear_step, NETWORK, (0, 0, None, 0)),
    "dynamics.cvrnn.linear_trajectory": Case(
        lambda *x: tuple(cvrnn.linear_trajectory(*x[:4], phase_lag=x[4], num_steps=5)),
        (*NETWORK, uniform()),
        (0, 0, None, 0, None),
    ),
    "dynamics.cvrnn.closed_form": Case(
        lambda *x: tuple(cvrnn.closed_form(*x, num_steps=np.array([0, 1, 5]))),
        (uniform(4), uniform(4), uniform(4, 4) + 2, uniform(4)),
        (None,) * 4,
        smooth=False,
        typed=False,
    ),
    "dynamics.cvrnn.exact_operator": Case(
        lambda a, lag: cvrnn.exact_operator(a, dt=0.2, phase_lag=lag), (uniform(4, 4), uniform()), (None, None)
    ),
    "dynamics.cvrnn.exact_step": Case(
        lambda p, a, b, w: cvrnn.exact_step(p, (a, b), dt=0.1, natural_frequency=w),
        (uniform(B, 4), uniform(4, 4) + np.eye(4) * 2, uniform(4, 4), uniform(B, 4)),
        (0, None, None, 0),
    ),
    "dynamics.cvrnn.two_layers": Case(
        lambda w, p, a, b: cvrnn.two_layers(w, p, (a, b), num_steps=(3, 2)),
        (uniform(B, 4), uniform(B, 4), uniform(4, 4) + 2, uniform(4, 4) + 2),
        (0, 0, None, None),
        smooth=False,
        typed=False,
    ),
    "dynamics.kuramoto.vector_field": Case(
        lambda p, k, w, lag: kuramoto.vector_field(p, k, w, phase_lag=lag), STEP, STEP_BATCHED
    ),
    "dynamics.kuramoto.vector_field[harmonics, forcing]": extended(kuramoto.vector_field, time=0.4),
    "dynamics.kuramoto.graph_trajectory[harmonics, forcing]": extended(
        kuramoto.graph_trajectory, rate=0.1, num_steps=4, every=2
    ),
    "dynamics.graphs.natural_frequencies": Case(
        lambda c, w: graphs.natural_frequencies(None, 5, centre=c, width=w), (uniform(), positive()), (None, None)
    ),
    "dynamics.graphs.noisy_step": noisy(graphs.noisy_step),
    "dynamics.graphs.noisy_trajectory": noisy(graphs.noisy_trajectory, num_steps=4, every=2),
    "dynamics.graphs.inertial_step": inertial(graphs.inertial_step),
    "dynamics.graphs.inertial_trajectory": inertial(graphs.inertial_trajectory, num_steps=4, every=2),
    "dynamics.graphs.delayed_trajectory": Case(
        delayed, (uniform(B, 3, 4), uniform(4, 4), uniform(4), uniform(4)), (0, None, None, None)
    ),
    "analysis.generalized_phase": Case(
        lambda x: analysis.generalized_phase(x, 1), (uniform(B, 40),), (0,), smooth=False
    ),
    "analysis.critical_coupling": Case(analysis.critical_coupling, (positive(3),), (None,)),
    "analysis.local_order_parameter": Case(
        analysis.local_order_parameter, (3 * uniform(B, 5), positive(5, 5)), (0, None)
    ),
    "analysis.metastability": Case(analysis.metastability, (3 * uniform(7, B, 5),), (1,)),
    "analysis.phase_locking": Case(
        lambda p: (analysis.phase_locking(p).real, analysis.phase_locking(p).imag), (3 * uniform(7, B, 5),), (1,)
    ),
}
