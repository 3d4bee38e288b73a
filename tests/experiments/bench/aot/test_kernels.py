"""Kernels and bytes of small programs, and the arithmetic of their products."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from experiments.bench.aot import arithmetic, kernels

MIB = 2**20

# A loop of seven steps that reads a slice, writes a slice in place and copies; a branch; a kernel before it.
PROGRAM = """HloModule jit_f

%fused_read (p0: f32[7,256], p1: s32[]) -> f32[256] {
  %p0 = f32[7,256]{1,0} parameter(0)
  %p1 = s32[] parameter(1)
  %z = s32[] constant(0)
  %s = f32[1,256]{1,0} dynamic-slice(%p0, %p1, %z), dynamic_slice_sizes={1,256}
  %r = f32[256]{0} bitcast(%s)
  ROOT %n = f32[256]{0} negate(%r)
}

%fused_write (q0: f32[7,256], q1: f32[256], q2: s32[]) -> f32[7,256] {
  %q0 = f32[7,256]{1,0} parameter(0)
  %q1 = f32[256]{0} parameter(1)
  %q2 = s32[] parameter(2)
  %z.1 = s32[] constant(0)
  %u = f32[1,256]{1,0} bitcast(%q1)
  ROOT %d = f32[7,256]{1,0} dynamic-update-slice(%q0, %u, %q2, %z.1)
}

%body (p: (s32[], f32[7,256], f32[7,256])) -> (s32[], f32[7,256], f32[7,256]) {
  %p = (s32[], f32[7,256]{1,0}, f32[7,256]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[7,256]{1,0} get-tuple-element(%p), index=1
  %y = f32[7,256]{1,0} get-tuple-element(%p), index=2
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %read = f32[256]{0} fusion(%x, %i), kind=kLoop, calls=%fused_read
  %copied = f32[256]{0} copy(%read)
  %written = f32[7,256]{1,0} fusion(%y, %copied, %i), kind=kLoop, calls=%fused_write
  ROOT %out = (s32[], f32[7,256]{1,0}, f32[7,256]{1,0}) tuple(%next, %x, %written)
}

%condition (q: (s32[], f32[7,256], f32[7,256])) -> pred[] {
  %q = (s32[], f32[7,256]{1,0}, f32[7,256]{1,0}) parameter(0)
  %j = s32[] get-tuple-element(%q), index=0
  %limit = s32[] constant(7)
  ROOT %less = pred[] compare(%j, %limit), direction=LT
}

%small (a1: f32[7,256]) -> f32[7,256] {
  ROOT %a1 = f32[7,256]{1,0} parameter(0)
}

%large (a2: f32[7,256]) -> f32[7,256] {
  %a2 = f32[7,256]{1,0} parameter(0)
  %twice = f32[7,256]{1,0} add(%a2, %a2)
  ROOT %thrice = f32[7,256]{1,0} multiply(%twice, %a2)
}

ENTRY %main (a: f32[7,256], c: pred[]) -> f32[7,256] {
  %a = f32[7,256]{1,0} parameter(0)
  %c = pred[] parameter(1)
  %zero = s32[] constant(0)
  %b = f32[7,256]{1,0} broadcast(%zero), dimensions={}
  %start = (s32[], f32[7,256]{1,0}, f32[7,256]{1,0}) tuple(%zero, %a, %b)
  %loop = (s32[], f32[7,256]{1,0}, f32[7,256]{1,0}) while(%start), condition=%condition, body=%body, metadata={op_name="jit(f)/while"}
  %l = f32[7,256]{1,0} get-tuple-element(%loop), index=2
  ROOT %end = f32[7,256]{1,0} conditional(%c, %l, %l), true_computation=%small, false_computation=%large
}
"""  # noqa: E501
ROW, WHOLE = 256 * 4, 7 * 256 * 4


def test_kernels_and_bytes_of_a_loop():
    found = kernels.count(PROGRAM)
    (loop,) = found.loops
    assert (loop.name, loop.trips, loop.inner, loop.kernels) == ("jit(f)/while", 7, (), 3)
    # Read and written: a row and the index; a row; a row and the index, in place.
    assert loop.bytes == (2 * ROW + 4) + 2 * ROW + (2 * ROW + 4)
    assert found.kernels == 1 + 7 * 3 + 2
    # Before the loop an array is filled; the larger branch reads one array and then two, and writes one each.
    assert found.bytes == (4 + WHOLE) + 7 * loop.bytes + (2 * WHOLE + 3 * WHOLE)
    assert found.per_step(7) == 3
    assert found.per_step(30) is None
    assert found.per_step(None) is None


def test_the_kernels_of_a_loop_are_listed():
    assert [row[0] for row in kernels.listing(PROGRAM, 0)] == ["fusion", "copy", "fusion"]


def test_an_array_that_is_used_as_a_whole_too_is_read_as_a_whole():
    text = PROGRAM.replace(
        "ROOT %n = f32[256]{0} negate(%r)",
        "%m = f32[7,256]{1,0} negate(%p0)\n  ROOT %n = f32[256]{0} slice(%m), slice={[0:1], [0:256]}",
    )
    assert kernels.count(text).loops[0].bytes - kernels.count(PROGRAM).loops[0].bytes == WHOLE - ROW


def test_what_stays_on_a_tpu_core_moves_no_bytes():
    core = "f32[256]{0:T(256)S(1)}"
    text = PROGRAM.replace("%copied = f32[256]{0} copy", f"%copied = {core} copy")
    assert kernels.count(text).loops[0].bytes == kernels.count(PROGRAM).loops[0].bytes - 2 * ROW
    moved = f"%copied = (f32[256]{{0:T(256)}}, {core}, u32[]{{:S(2)}}) copy-start(%read)"
    text = PROGRAM.replace("%copied = f32[256]{0} copy(%read)", moved)
    assert kernels.count(text).loops[0].bytes < kernels.count(PROGRAM).loops[0].bytes + ROW


@pytest.mark.parametrize(
    ("trips", "inner", "num_steps", "over"),
    [
        (100, (), 100, True),
        (99, (), 100, True),
        (10, (10, 10), 100, True),
        (23, (22,), 500, True),
        (49, (), 100, False),
        (1, (), 1, False),
        (None, (), 15, False),
        (20, (20,), 15, False),
    ],
)
def test_which_loops_go_over_time(trips, inner, num_steps, over):
    assert kernels.Loop("", trips, inner, 1, 1.0).is_over(num_steps) == over


def test_a_program_of_this_version():
    def fn(x):
        return jax.lax.scan(lambda x, _: (jnp.sin(x @ x), x.sum()), x, length=9)

    found = kernels.count(jax.jit(fn).lower(jnp.ones((32, 32))).compile().as_text())
    (loop,) = found.loops
    assert loop.trips == 9
    assert 2 <= loop.kernels <= 12
    assert found.kernels >= 9 * loop.kernels
    assert 9 * 32 * 32 * 4 < found.bytes < MIB


def lowered(fn, *shapes, dtype=jnp.float32):
    return jax.jit(fn).lower(*(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)).as_text("hlo")


def test_arithmetic_of_products():
    for precision, exact in (("highest", 1), (None, 0)):
        text = lowered(partial(jnp.einsum, "bij,jk->bik", precision=precision), (2, 3, 4), (4, 5))
        assert arithmetic.flops(text) == (2 * 2 * 3 * 4 * 5, exact * 2 * 2 * 3 * 4 * 5)


def test_arithmetic_of_loops_and_branches():
    def fn(x):
        y = jax.lax.fori_loop(0, 6, lambda _, y: y @ x, x)
        return jax.lax.cond(x[0, 0] > 0, lambda y: y, lambda y: y @ y, y)

    assert arithmetic.flops(lowered(fn, (3, 3))).total == (6 + 1) * 2 * 27


def test_arithmetic_of_convolutions():
    fn = partial(jax.lax.conv_general_dilated, window_strides=(2, 2), padding="SAME")
    assert arithmetic.flops(lowered(fn, (2, 4, 8, 8), (5, 4, 3, 3))).total == 2 * (2 * 5 * 4 * 4) * (4 * 9)
    grouped = partial(fn, feature_group_count=2)
    assert arithmetic.flops(lowered(grouped, (2, 4, 8, 8), (6, 2, 3, 3))).total == 2 * (2 * 6 * 4 * 4) * (2 * 9)


def test_arithmetic_of_fourier_transforms():
    found = arithmetic.flops(lowered(jnp.fft.fft, (3, 16), dtype=jnp.complex64))
    assert found == (3 * 5 * 16 * 4,) * 2
    assert arithmetic.flops(lowered(jnp.fft.rfft, (3, 16))).total == 3 * 5 * 16 * 4 / 2


EXCHANGES = """HloModule jit_g

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%turn (p: (s32[], f32[256])) -> (s32[], f32[256]) {
  %p = (s32[], f32[256]{0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[256]{0} get-tuple-element(%p), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %shared = f32[256]{0} all-reduce(%x), replica_groups={}, to_apply=%add
  ROOT %out = (s32[], f32[256]{0}) tuple(%next, %shared)
}

%condition (q: (s32[], f32[256])) -> pred[] {
  %q = (s32[], f32[256]{0}) parameter(0)
  %j = s32[] get-tuple-element(%q), index=0
  %limit = s32[] constant(5)
  ROOT %less = pred[] compare(%j, %limit), direction=LT
}

ENTRY %main (x0: f32[256]) -> f32[256] {
  %x0 = f32[256]{0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[256]{0}) tuple(%zero, %x0)
  %loop = (s32[], f32[256]{0}) while(%start), condition=%condition, body=%turn
  %last = f32[256]{0} get-tuple-element(%loop), index=1
  %begun = f32[256]{0} all-reduce-start(%last), replica_groups={}, to_apply=%add
  ROOT %done = f32[256]{0} all-reduce-done(%begun)
}
"""


def test_exchanges_between_devices():
    assert kernels.collectives(EXCHANGES) == {"all-reduce": {"count": 6, "bytes": 6 * 1024}}
    assert kernels.collectives(PROGRAM) == {}
