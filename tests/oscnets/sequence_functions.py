"""Public functions of sequences and simulations, as `functions.py` has the others."""

from typing import Any

import numpy as np

from oscnets.dynamics import filters
from tests.oscnets.functions import Case

MODULES = (filters,)
NOT_OF_ARRAYS = {"dynamics.filters": {"Form", "Method"}}

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
}
