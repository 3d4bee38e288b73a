"""The text of XLA's programs: types with tiles and memories, instructions of both ways to write names, loops."""

import jax
import jax.numpy as jnp
import pytest

from experiments.bench.aot import hlo

COMPILED = """HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[4,8]{1,0})->f32[4,8]{1,0}}

%body (p: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %p = (s32[], f32[4,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%p), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %y = f32[4,8]{1,0} negate(%x), metadata={op_name="jit(f)/(neg" stack_frame_id=1}
  ROOT %out = (s32[], /*index=1*/f32[4,8]{1,0}) tuple(%next, %y)
}

%condition (q: (s32[], f32[4,8])) -> pred[] {
  %q = (s32[], f32[4,8]{1,0}) parameter(0)
  %j = s32[] get-tuple-element(%q), index=0
  %limit = s32[] constant(7)
  ROOT %less = pred[] compare(%j, %limit), direction=LT
}

ENTRY %main (a: f32[4,8]) -> f32[4,8] {
  %a = f32[4,8]{1,0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[4,8]{1,0}) tuple(%zero, %a)
  %loop = (s32[], f32[4,8]{1,0}) while(%start), condition=%condition, body=%body, metadata={op_name="jit(f)/while"}
  ROOT %last = f32[4,8]{1,0} get-tuple-element(%loop), index=1
}
"""


@pytest.mark.parametrize(
    ("text", "nbytes", "padded"),
    [
        ("f32[]", 4, 4),
        ("f32[3,5]{1,0}", 60, 60),
        ("bf16[2,3]{0,1}", 12, 12),
        ("pred[7]{0}", 7, 7),
        ("c64[2]{0}", 16, 16),
        ("s4[8]{0}", 4, 4),
        ("f32[0,3]{1,0}", 0, 0),
        ("f32[<=6]{0}", 24, 24),
        # A tile pads the two axes that come first in the layout.
        ("f32[3,5]{1,0:T(8,128)}", 8 * 128 * 4, 8 * 128 * 4),
        ("f32[2,130,9]{1,2,0:T(8,128)}", 2 * 16 * 256 * 4, 2 * 16 * 256 * 4),
        ("u32[]{:S(2)}", 0, 4),
        ("f32[3,5]{1,0:T(8,128)S(1)}", 0, 8 * 128 * 4),
    ],
)
def test_sizes_of_arrays(text, nbytes, padded):
    (shape,) = hlo.parse_shapes(text)
    assert (shape.nbytes, shape.padded) == (nbytes, padded)


def test_a_type_of_several_arrays():
    assert [shape.sizes for shape in hlo.parse_shapes("(s32[], (f32[2,3]{1,0}, /*index=5*/pred[4]{0}), token[])")] == [
        (),
        (2, 3),
        (4,),
        (),
    ]


def test_a_compiled_program():
    module = hlo.parse(COMPILED)
    assert module.entry == "main"
    assert list(module.computations) == ["body", "condition", "main"]
    body = module.computations["body"]
    assert body.root.opcode == "tuple" and [shape.sizes for shape in body.root.shapes] == [(), (4, 8)]
    assert body.instructions["y"].operands == ("x",) and body.instructions["y"].op_name == "jit(f)/(neg"
    loop = module.computations["main"].instructions["loop"]
    assert loop.called == ("condition", "body") and loop.attribute("body") == "body"
    assert hlo.trip_count(module, loop) == 7
    assert hlo.trip_count(module, loop._replace(rest=loop.rest + ', x={"known_trip_count":{"n":"3"}}')) == 3
    module.computations["condition"].instructions.pop("limit")
    assert hlo.trip_count(module, loop) is None


def test_names_without_a_sign_and_branches():
    line = "d.1 = f32[2,3]{1,0} dot(Arg_0.1, /*index=1*/b-2.x), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    parsed = hlo.parse_instruction(line)
    assert (parsed.name, parsed.opcode, parsed.operands) == ("d.1", "dot", ("Arg_0.1", "b-2.x"))
    assert hlo.parse_instruction("c = f32[2]{0} constant({nan, inf})").operands == ()
    parsed = hlo.parse_instruction("%c = f32[] conditional(%i, %a, %b), branch_computations={%first, %second}")
    assert parsed.called == ("first", "second")
    assert hlo.parse_instruction("}") is None


@pytest.mark.parametrize("text", ["", "HloModule m\n", "module @jit_f {\n  func.func public @main() {\n"])
def test_another_text_is_refused(text):
    with pytest.raises(ValueError, match="ENTRY"):
        hlo.parse(text)


def test_a_bracket_that_does_not_close():
    with pytest.raises(ValueError, match="closing bracket"):
        hlo.parse_instruction("%a = f32[] add(%b, %c")


def test_programs_of_this_version_are_read():
    lowered = jax.jit(lambda x: jax.lax.fori_loop(0, 5, lambda _, y: jnp.sin(y) @ y, x)).lower(jnp.ones((3, 3)))
    for text in (lowered.as_text("hlo"), lowered.compile().as_text()):
        module = hlo.parse(text)
        (loop,) = [
            each
            for part in module.computations.values()
            for each in part.instructions.values()
            if each.opcode == "while"
        ]
        assert hlo.trip_count(module, loop) == 5
