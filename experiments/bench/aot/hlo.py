"""The text of an XLA program: computations, instructions, shapes.

Both `compiled.as_text()` and `lowered.as_text("hlo")` are read; the second writes names without a "%".
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_BITS = {"pred": 8, "token": 0, "opaque": 0}  # those that the number in a type's name does not tell
_SHAPE = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^}]*)\})?")
_TILE = re.compile(r"T\(([\d,]+)\)")
_NAME = re.compile(r"%([\w.\-]+)")
_BARE = re.compile(r"(?:^|, )(?:/\*.*?\*/)?([A-Za-z_][\w.\-]*)(?=,|$)")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_HEAD = re.compile(r"(ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
_INSTRUCTION = re.compile(r"(ROOT )?%?([\w.\-]+) = ")


class Shape(NamedTuple):
    """An array's type.

    Attributes:
        dtype: as XLA names it, `f32`.
        sizes: of its axes; the bound of one whose size is not static.
        layout: XLA's text, `1,0:T(8,128)S(1)`, or "".
    """

    dtype: str
    sizes: tuple[int, ...]
    layout: str = ""

    @property
    def itemsize(self) -> float:
        """Bytes of an element."""
        if self.dtype in _BITS:
            return _BITS[self.dtype] / 8
        bits = int(re.search(r"\d+", self.dtype)[0])
        return bits / 8

    @property
    def in_main_memory(self) -> bool:
        """Whether it lies in the memory of the device, not in one of the small ones of a TPU core or of the host."""
        return not re.search(r"S\([1-9]\d*\)", self.layout)

    @property
    def nbytes(self) -> float:
        """Bytes in the memory of the device, with the padding of a TPU's tiles; 0 elsewhere."""
        return self.padded * self.in_main_memory

    @property
    def padded(self) -> float:
        """Bytes in any memory, with the padding of a TPU's tiles."""
        order, _, rest = self.layout.partition(":")
        sizes = [self.sizes[int(axis)] for axis in order.split(",")] if order else list(self.sizes[::-1])
        tile = _TILE.match(rest)
        for i, side in enumerate(reversed([int(n) for n in tile[1].split(",")] if tile else [])):
            if i < len(sizes):
                sizes[i] = -(-sizes[i] // side) * side
        return math.prod(sizes) * self.itemsize


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
        name, opcode: as XLA names them.
        shapes: of the result, of a tuple all of its arrays.
        operands: names.
        rest: what follows the operands.
        inside: the text of the operands.
        is_root: whether it is the computation's result.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    rest: str
    inside: str
    is_root: bool

    @property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that it runs; of a while loop the condition and the body."""
        branches = _BRANCHES.search(self.rest)
        return tuple(_CALLED.findall(self.rest)) + tuple(_names(branches[1]) if branches else ())

    @property
    def op_name(self) -> str:
        """The path of the operation in the source that it comes from, or ""."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return found[1] if found else ""

    def attribute(self, key: str) -> str | None:
        """The name after `key=`."""
        found = re.search(rf"\b{key}=%?([\w.\-]+)", self.rest)
        return found[1] if found else None


class Computation(NamedTuple):
    """Instructions by name, in the order of execution."""

    name: str
    instructions: dict[str, Instruction]

    @property
    def root(self) -> Instruction:
        """The one whose value is the result."""
        return next(each for each in self.instructions.values() if each.is_root)

    def operand(self, instruction: Instruction, index: int) -> Instruction | None:
        """An operand's instruction."""
        if index >= len(instruction.operands):
            return None
        return self.instructions.get(instruction.operands[index])


class Module(NamedTuple):
    """A program: computations by name, and the one that is called first."""

    computations: dict[str, Computation]
    entry: str


def parse(text: str) -> Module:
    """A program from its text.

    Raises:
        ValueError: there is no entry computation.
    """
    computations, entry, current = {}, None, None
    for line in text.splitlines():
        if line.startswith(" ") and current is not None:
            instruction = parse_instruction(line.strip())
            if instruction is not None:
                current.instructions[instruction.name] = instruction
        elif head := _HEAD.match(line):
            current = Computation(head[2], {})
            computations[current.name] = current
            entry = current.name if head[1] else entry
    if entry is None:
        raise ValueError("expected the text of a compiled program, with an ENTRY computation")
    return Module(computations, entry)


def parse_instruction(line: str) -> Instruction | None:
    """A line of a computation; None where it is none."""
    head = _INSTRUCTION.match(line)
    if head is None:
        return None
    after = line[head.end() :]
    end = _closing(after, 0) + 1 if after.startswith("(") else after.index(" ")
    kind, call = after[:end], after[end:].lstrip()
    opening = call.index("(")
    closing = _closing(call, opening)
    opcode, inside, rest = call[:opening], call[opening + 1 : closing], call[closing + 1 :]
    operands = () if opcode in ("parameter", "constant") else tuple(_names(inside))
    return Instruction(head[2], opcode, parse_shapes(kind), operands, rest, inside, bool(head[1]))


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """Every array of a type."""
    return tuple(
        Shape(dtype, tuple(int(size.strip("<=")) for size in sizes.split(",") if size), layout)
        for dtype, sizes, layout in _SHAPE.findall(re.sub(r"/\*.*?\*/", "", text))
    )


def _names(text: str) -> list[str]:
    """Of a list of operands or computations."""
    return _NAME.findall(text) or _BARE.findall(text)


def _closing(text: str, opening: int) -> int:
    """Where the bracket that opens at `opening` closes; brackets in strings count as well, and pair up."""
    depth = 0
    for i in range(opening, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return i
    raise ValueError(f"expected a closing bracket in {text[:80]!r}")


def trip_count(module: Module, loop: Instruction) -> int | None:
    """How often a while loop's body runs: as the compiler notes it, or from a condition i < constant of i = 0, 1, ...

    None where neither tells.
    """
    noted = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.rest)
    if noted:
        return int(noted[1])
    condition = module.computations.get(loop.attribute("condition") or "")
    if condition is None:
        return None
    limits = [int(each.inside) for each in _constants(module, condition) if re.fullmatch(r"\d+", each.inside)]
    return limits[0] if len(limits) == 1 else None


def _constants(module: Module, computation: Computation) -> Iterator[Instruction]:
    for each in computation.instructions.values():
        if each.opcode == "constant":
            yield each
        for name in each.called:
            yield from _constants(module, module.computations[name])
