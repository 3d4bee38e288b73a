"""Steps a second of Kuramoto oscillators on dense and sparse graphs, against other packages and plain NumPy.

Every side runs the same system from the same phases in a process of its own, and sides take turns. Ours and `numpy`
take Euler steps. `kuramoto` (PyPI) and `jitcode` choose their steps themselves and give the phases at the same times:
their figure is how many of these times they reach in a second, and `evaluations` how often they called the right-hand
side for each. Nothing of it is a statement on accuracy: `DT` is so small that all agree to 1e-2.
"""

import contextlib
import importlib.util
import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from experiments import engine
from experiments.bench import harness

SIDE = "experiments.bench.dynamics:side"
FORMS = ("dense", "sparse")
SIDES = ("oscnets", "numpy", "kuramoto", "jitcode")
DT, STRENGTH = 0.01, 1.0  # STRENGTH: sum of the couplings that an oscillator receives
# Most edges that a side is tried with: jitcode writes and compiles a line of C for every edge; kuramoto holds several
# (N, N) arrays of float64.
MOST_EDGES = {"jitcode": 20_000, "kuramoto": 4_000_000}
Simulate = Callable[[], np.ndarray]  # -> (N,) phases at the end


def system(units: int, form: str, degree: int) -> tuple[np.ndarray, np.ndarray, Any]:
    """Phases, natural frequencies, and a coupling: all to all, or SciPy's of a random graph."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    phases, frequency = rng.uniform(-np.pi, np.pi, units), rng.normal(size=units)
    if form == "dense":
        return phases, frequency, (STRENGTH / (units - 1)) * (1 - np.eye(units, dtype=np.float32))
    rows = np.repeat(np.arange(units), degree)
    columns = (
        rows + 1 + np.stack([rng.choice(units - 1, degree, replace=False) for _ in range(units)]).ravel()
    ) % units
    values = np.full(len(rows), STRENGTH / degree, np.float32)
    return phases, frequency, scipy.sparse.csr_array((values, (rows, columns)), shape=(units, units))


def simulation(name: str, *, units: int, form: str, degree: int, num_steps: int) -> tuple[Simulate, dict[str, Any]]:
    """A side's run, warm, and what it reports; its `evaluations` appear when it has run."""
    return _SIDES[name](*system(units, form, degree), num_steps)


def _oscnets(phases, frequency, coupling, num_steps: int) -> tuple[Simulate, dict[str, Any]]:
    import jax
    import jax.numpy as jnp
    from jax.experimental import sparse

    from oscnets.dynamics import kuramoto

    matrix = jnp.asarray(coupling) if isinstance(coupling, np.ndarray) else sparse.BCOO.from_scipy_sparse(coupling)
    args = jnp.asarray(phases, jnp.float32), matrix, jnp.asarray(frequency, jnp.float32)

    def trajectory(phases, matrix, frequency):
        options = {"rate": DT, "natural_frequency": frequency, "num_steps": num_steps, "every": num_steps}
        return kuramoto.graph_trajectory(phases, matrix, **options)[0]

    compiled = jax.jit(trajectory).lower(*args).compile()
    return lambda: np.asarray(compiled(*args)), {"jax": jax.__version__, "device": jax.devices()[0].device_kind}


def _numpy(phases, frequency, coupling, num_steps: int) -> tuple[Simulate, dict[str, Any]]:
    """As the equation reads: sines of all differences, of the edges alone where the graph is sparse."""
    entries = None if isinstance(coupling, np.ndarray) else coupling.tocoo()

    def force(phases: np.ndarray) -> np.ndarray:
        if entries is None:
            return (coupling * np.sin(phases - phases[:, None])).sum(1)
        terms = entries.data * np.sin(phases[entries.col] - phases[entries.row])
        return np.bincount(entries.row, terms, len(phases))

    def run() -> np.ndarray:
        state = phases
        for _ in range(num_steps):
            state = state + DT * (frequency + force(state))
        return state

    return run, {"numpy": np.__version__}


def _kuramoto(phases, frequency, coupling, num_steps: int) -> tuple[Simulate, dict[str, Any]]:
    import kuramoto

    # It divides the coupling by the number of neighbours, and sums over the first axis.
    neighbours = (coupling != 0).astype(float)
    neighbours = (neighbours if isinstance(coupling, np.ndarray) else neighbours.toarray()).T
    facts = {"evaluations": 0.0}

    class Counting(kuramoto.Kuramoto):
        def derivative(self, *args: Any) -> np.ndarray:
            facts["evaluations"] += 1 / num_steps
            return super().derivative(*args)

    def run() -> np.ndarray:
        facts["evaluations"] = 0.0
        # Its times are T / dt points from 0 to T: one more than steps.
        times = {"dt": DT * num_steps / (num_steps + 1), "T": DT * num_steps}
        model = Counting(coupling=STRENGTH, natfreqs=frequency, **times)
        return model.run(adj_mat=neighbours, angles_vec=phases)[:, -1]

    return run, facts


def _jitcode(phases, frequency, coupling, num_steps: int) -> tuple[Simulate, dict[str, Any]]:
    import jitcode
    import symengine

    dense = coupling if isinstance(coupling, np.ndarray) else coupling.toarray()

    def equations() -> Iterator[Any]:
        for i, row in enumerate(dense):
            terms = (float(row[j]) * symengine.sin(jitcode.y(j) - jitcode.y(i)) for j in np.flatnonzero(row))
            yield float(frequency[i]) + sum(terms)

    solver = jitcode.jitcode(equations, n=len(phases), verbose=False)
    # It builds an extension with setuptools, which would take a project's pyproject.toml for the extension's.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        solver.set_integrator("dopri5")

    def run() -> np.ndarray:
        solver.set_initial_value(phases, 0.0)
        for step in range(1, num_steps + 1):
            state = solver.integrate(step * DT)
        return state

    return run, {}


_SIDES = {"oscnets": _oscnets, "numpy": _numpy, "kuramoto": _kuramoto, "jitcode": _jitcode}


def side(**options: Any) -> tuple[Simulate, dict[str, Any]]:
    """A `harness.Side` of `simulation`, on one device."""
    if options["name"] == "oscnets":
        engine.devices.configure_cpu_devices(1)
    return simulation(options.pop("name"), **options)


def present(names: Sequence[str]) -> list[str]:
    """Those of the sides that are installed."""
    return [name for name in names if name in ("oscnets", "numpy") or importlib.util.find_spec(name) is not None]


def measure(
    counts: Sequence[int],
    names: Sequence[str],
    *,
    forms: Sequence[str],
    degree: int,
    num_steps: int,
    rounds: int,
    limit: float,
) -> Iterator[dict[str, Any]]:
    """Yield one row per graph: steps a second of each side, the median over rounds; None without a run that counts.

    Args:
        counts: numbers of oscillators.
        names: of sides.
        forms: of couplings, of `FORMS`.
        degree: edges that an oscillator of a sparse graph receives, fewer than oscillators.
        num_steps: most steps of a run; large graphs take fewer, down to 10.
        rounds: turns of each side.
        limit: seconds of a side for a graph, all its turns and what goes before them (jitcode's C compiler) included;
            its figure then is of the turns that it had. Those without any are listed in `over`.
    """
    for units, form in itertools.product(counts, forms):
        edges = units * (units - 1 if form == "dense" else degree)
        steps = int(np.clip(2e8 / edges, 10, num_steps)) if num_steps > 10 else num_steps
        # A sparse graph is a dense one for kuramoto.
        sizes = {name: units**2 if name == "kuramoto" else edges for name in names}
        tried = [name for name in names if sizes[name] <= MOST_EDGES.get(name, sizes[name])]
        case = {"units": units, "form": form, "degree": degree, "num_steps": steps}
        seconds, facts = harness.race(SIDE, {name: case | {"name": name} for name in tried}, rounds, limit)
        speeds = {name: steps / statistics.median(s) if (s := seconds.get(name)) else None for name in names}
        over = [name for name in tried if not speeds[name]]
        yield case | {"steps_per_second": speeds, "over": over, "limit": limit, "facts": facts}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: steps a second, and how many times as many ours are."""
    names = list(rows[0]["steps_per_second"])
    lines = []
    for row in rows:
        ours = row["steps_per_second"].get("oscnets")
        cells = [
            f"over {row['limit']:g} s"
            if name in row["over"]
            else _cell(row["steps_per_second"][name], ours if name != "oscnets" else None)
            for name in names
        ]
        lines.append([f"{row['units']:,}", row["form"], *cells])
    return engine.markdown.table(["oscillators", "coupling", *(f"{name}, steps/s" for name in names)], lines)


def _cell(speed: float | None, ours: float | None) -> str:
    if speed is None:
        return "-"
    text = f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"
    return f"{text} ({ours / speed:.3g} x)" if ours else text
