"""The profile of a training step: kinds of operations, shares of time, and a whole one of a small program."""

import jax
import jax.numpy as jnp
import pytest

from experiments.bench import profile

PROGRAM = """
HloModule m

%fused (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %twice = f32[4]{0} add(%a, %a)
  ROOT %turned = f32[4]{0} copy(%twice)
}

%product (b: f32[2,2]) -> f32[2,2] {
  %b = f32[2,2]{1,0} parameter(0)
  %sum = f32[2,2]{1,0} add(%b, %b)
  ROOT %inner = f32[2,2]{1,0} dot(%sum, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main (x: f32[4], y: f32[2,2]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %y = f32[2,2]{1,0} parameter(1)
  %moved = f32[2,2]{0,1} transpose(%y), dimensions={1,0}
  %library = f32[2,2]{1,0} custom-call(%y, %y), custom_call_target="__onednn$matmul"
  %multiplied = f32[2,2]{1,0} fusion(%y), kind=kLoop, calls=%product
  ROOT %added = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused
}
"""


def test_kinds_of_operations():
    found = profile.kinds(PROGRAM)
    assert {name: found[name] for name in ("moved", "library", "multiplied", "added")} == {
        "moved": "copies",
        "library": "products",
        "multiplied": "products",
        "added": "elementwise",
    }


def test_shares_of_time():
    kinds = {"p": "products", "e": "elementwise"}
    intervals = [(0.0, 4.0, "p"), (2.0, 4.0, "e"), (6.0, 7.0, "e"), (0.0, 10.0, "while")]
    shares = profile.by_kind(intervals, kinds, total=10.0)
    assert shares == pytest.approx({"products": 0.3, "elementwise": 0.2, "waiting": 0.5})


def test_operations_that_end_on_another_thread():
    class Event:
        def __init__(self, name, start, duration, **stats):
            self.name, self.start_ns, self.duration_ns, self.stats = name, start * 1e9, duration * 1e9, stats.items()

    class Holder:
        def __init__(self, inner):
            self.lines = self.events = inner

    first = Holder([Event("dot.1", 1, 0.5, hlo_op="dot.1", _p=7), Event("add", 2, 1, hlo_op="add"), Event("x", 0, 9)])
    found = profile.operations([Holder([first, Holder([Event("end: dot.1", 3, 0, _c=7)])])])
    assert found == [(1, 3, "dot.1"), (2, 3, "add")]


def train(*, size, all_devices):
    """A side whose step is products in a loop."""
    assert not all_devices
    x = jnp.ones((size, size))
    compiled = jax.jit(lambda x: jax.lax.fori_loop(0, 20, lambda _, c: c @ x / size, x)).lower(x).compile()

    class Step:
        def __call__(self):
            jax.block_until_ready(self.compiled(x))

    step = Step()
    step.compiled = compiled
    return step, {"compile_seconds": 0.0}


def test_a_program_of_products():
    _, facts = profile.profiled(module=__name__, options={"size": 400}, rounds=2)
    shares = facts["shares"]
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0 and shares["products"] > 0
    row = {"model": "toy", "batch_size": 1, **facts}
    assert profile.table([row]).splitlines()[0].startswith("| model | batch | ms per step | products |")
