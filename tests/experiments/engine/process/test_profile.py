"""The share of idle time, from traces made by hand and from one of JAX."""

import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from experiments.engine.process import profile


def trace(planes):
    """From spans [ms] by line and plane; names of events as the CPU's are."""

    def event(start, end, name="ThunkExecutor::Execute (wait for completion)"):
        return SimpleNamespace(name=name, start_ns=1e6 * start, duration_ns=1e6 * (end - start))

    return SimpleNamespace(
        planes=[
            SimpleNamespace(
                name=plane,
                lines=[
                    SimpleNamespace(name=line, events=[event(*span) for span in spans]) for line, spans in lines.items()
                ],
            )
            for plane, lines in planes.items()
        ]
    )


CLIENT = "tf_XLAPjRtCpuClient"


@pytest.mark.parametrize(
    ("planes", "cpus", "share", "seconds"),
    [
        ({"host": {CLIENT + "/1": [(0, 40), (60, 100)]}}, 1, 0.2, 0.1),
        # Of two devices one idles for half of the time; what overlaps counts once.
        ({"host": {CLIENT + "/1": [(0, 60), (50, 100)], CLIENT + "/2": [(0, 50)]}}, 2, 0.25, 0.1),
        # Two devices on three threads, which take turns.
        ({"host": {CLIENT + "/1": [(0, 100)], CLIENT + "/2": [(0, 40)], CLIENT + "/3": [(50, 90)]}}, 2, 0.1, 0.1),
        # Other threads and other events do not count.
        ({"host": {CLIENT + "/1": [(0, 10), (30, 40), (10, 30, "all-reduce")], "python": [(0, 900)]}}, 1, 0.5, 0.04),
        # Devices with planes of their own: whatever any of their streams runs, and no thread of the host.
        ({"/device:GPU:0": {"a": [(0, 20, "x")], "b": [(10, 30, "y"), (90, 100, "z")]},
          "host": {CLIENT: [(0, 100)]}}, 4, 0.6, 0.1),
        ({"host": {"python": [(0, 9)]}}, 1, 1.0, 0.0),
    ],
)  # fmt: skip
def test_idle_share(planes, cpus, share, seconds):
    assert profile.idle_share(trace(planes), cpus) == (pytest.approx(share), pytest.approx(seconds))


def test_calls_are_traced_from_the_third_on(tmp_path, capsys):
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 20, lambda _, x: jnp.tanh(x @ x), x))
    x = jnp.ones((100, 100))
    trace = profile.Profile(tmp_path)
    for _ in range(6):
        work(x).block_until_ready()
        trace.settled()
        time.sleep(0.01)
    trace.stop()
    trace.settled()
    trace.close()
    assert "profile: devices idle" in capsys.readouterr().err
    assert len(list(tmp_path.rglob("*.xplane.pb"))) == 1


def test_too_little_training_is_reported(tmp_path, capsys):
    trace = profile.Profile(tmp_path)
    trace.settled()
    trace.stop()
    trace.close()
    assert "there was too little training to trace" in capsys.readouterr().err
