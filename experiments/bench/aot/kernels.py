"""Kernels of a compiled program, and the bytes that they read and write.

A kernel is an instruction outside a fusion that computes or copies: a fusion, a product, a convolution, a Fourier
transform, a library call, a copy, a collective. One inside a while loop counts as often as the loop's body runs.
"""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.bench.aot import hlo
from experiments.bench.aot.hlo import Computation, Instruction, Module

_FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "add-dependency"),
    *("opt-barrier", "partition-id", "replica-id", "get-dimension-size"),
}
_CONTROL = ("while", "conditional", "call", "async-start")
_VIEWS = ("bitcast", "reshape", "copy", "convert")  # between a fusion's parameter and the slice that reads it


class Loop(NamedTuple):
    """A while loop that is in no other.

    Attributes:
        name: the operation in the source that it comes from.
        trips: how often its body runs; None where the program does not tell, then it counts as 1.
        inner: trips of the loops inside it.
        kernels: of one run of its body.
        bytes: the same.
    """

    name: str
    trips: int | None
    inner: tuple[int, ...]
    kernels: int
    bytes: float

    def is_over(self, num_steps: int) -> bool:
        """Whether it goes over the steps of the dynamics, all at once or in pieces."""
        trips = self.trips or 1
        whole = trips > 1 and num_steps - 1 <= trips <= num_steps
        return whole or any(num_steps <= trips * inner < num_steps + trips for inner in self.inner)


class Count(NamedTuple):
    """Kernels of a program.

    Attributes:
        kernels: that run.
        bytes: that they read and write, as if no cache held anything.
        loops: that are in no other.
    """

    kernels: int
    bytes: float
    loops: tuple[Loop, ...]

    def per_step(self, num_steps: int | None) -> float | None:
        """Kernels of the loops over time per step of the dynamics; None where no outer loop is one."""
        if num_steps is None:
            return None
        found = [loop.kernels * (loop.trips or 1) for loop in self.loops if loop.is_over(num_steps)]
        return sum(found) / num_steps if found else None


def count(text: str) -> Count:
    """Kernels of a program, from its text."""
    module = hlo.parse(text)
    return _run(module, module.computations[module.entry])


_COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")


def collectives(text: str) -> dict[str, dict[str, float]]:
    """How often a program runs each kind of exchange between devices, and the bytes of their results on one device."""
    module, found = hlo.parse(text), {}

    def visit(computation: Computation, times: int) -> None:
        for each in computation.instructions.values():
            kind = each.opcode.removesuffix("-start")
            if kind in _COLLECTIVES:
                entry = found.setdefault(kind, {"count": 0, "bytes": 0.0})
                entry["count"] += times
                entry["bytes"] += times * _size(each.shapes)
            elif each.opcode == "while":
                trips = hlo.trip_count(module, each) or 1
                visit(module.computations[each.attribute("body")], times * trips)
            else:
                for name in each.called:
                    visit(module.computations[name], times)

    visit(module.computations[module.entry], 1)
    return found


def listing(text: str, loop: int) -> list[tuple[str, str, float]]:
    """(opcode, operation of the source, bytes) of every kernel in the body of the loop of that number."""
    module = hlo.parse(text)
    entry = module.computations[module.entry]
    body = [each for each in entry.instructions.values() if each.opcode == "while"][loop].attribute("body")
    computation = module.computations[body]
    return [
        (each.opcode, each.op_name, moved(module, computation, each))
        for each in computation.instructions.values()
        if _is_kernel(computation, each)
    ]


def _run(module: Module, computation: Computation) -> Count:
    kernels, total, loops = 0, 0.0, []
    for each in computation.instructions.values():
        if each.opcode == "while":
            loop = _loop(module, each)
            trips = loop.trips or 1
            kernels, total = kernels + trips * loop.kernels, total + trips * loop.bytes
            loops.append(loop)
        elif each.opcode in _CONTROL:
            inner = [_run(module, module.computations[name]) for name in each.called]
            largest = max(inner, key=lambda found: (found.kernels, found.bytes), default=Count(0, 0, ()))
            kernels, total = kernels + largest.kernels, total + largest.bytes
            loops += largest.loops
        elif _is_kernel(computation, each):
            kernels, total = kernels + 1, total + moved(module, computation, each)
    return Count(kernels, total, tuple(loops))


def _loop(module: Module, instruction: Instruction) -> Loop:
    body = _run(module, module.computations[instruction.attribute("body")])
    inner = tuple(loop.trips or 1 for loop in body.loops)
    return Loop(instruction.op_name, hlo.trip_count(module, instruction), inner, body.kernels, body.bytes)


def _is_kernel(computation: Computation, instruction: Instruction) -> bool:
    opcode = instruction.opcode
    if opcode in _FREE or opcode in _CONTROL or opcode.endswith("-done"):
        return False
    if opcode in ("fusion", "custom-call"):
        return True
    operands = [computation.instructions[name] for name in instruction.operands]
    shapes = [shape for each in (instruction, *operands) for shape in each.shapes]
    return any(shape.sizes for shape in shapes)  # single numbers of a TPU's program are no kernels


def moved(module: Module, computation: Computation, kernel: Instruction) -> float:
    """Bytes that a kernel reads and writes: of arrays that it takes a slice of or puts a slice into, the slice."""
    operands = list(dict.fromkeys(kernel.operands))
    shapes = {name: computation.instructions[name].shapes for name in operands}
    if kernel.opcode == "fusion":
        fused = module.computations[kernel.called[0]]
        return _read_by_fusion(fused, kernel, shapes) + _written(fused, fused.root)
    if kernel.opcode in ("dynamic-slice", "slice", "gather"):
        return 2 * _size(kernel.shapes)
    if kernel.opcode == "dynamic-update-slice":
        return 2 * _size(shapes[kernel.operands[1]])
    if kernel.opcode in ("copy-start", "slice-start"):
        return _transferred(kernel, shapes[operands[0]][0])
    if kernel.opcode.endswith("-start"):  # the result may hold the operand as well
        return 2 * sum(map(_size, shapes.values()))
    return sum(map(_size, shapes.values())) + _size(kernel.shapes)


def _transferred(transfer: Instruction, source: hlo.Shape) -> float:
    """Bytes of a transfer that runs beside the program, between memories of a TPU or within one."""
    to = transfer.shapes[0 if transfer.opcode == "copy-start" else 1]
    return to.padded * (source.in_main_memory + to.in_main_memory)


def _size(shapes) -> float:
    return sum(shape.nbytes for shape in shapes)


def _read_by_fusion(fused: Computation, kernel: Instruction, shapes) -> float:
    seen, total = set(), 0.0
    for parameter in (each for each in fused.instructions.values() if each.opcode == "parameter"):
        name = kernel.operands[int(parameter.inside)]
        slices = _slices(fused, parameter)
        if slices is not None:
            total += slices
        elif name not in seen:
            seen.add(name)
            total += _size(shapes[name])
    return total


def _slices(fused: Computation, value: Instruction) -> float | None:
    """Bytes read of a value where slices of it are all that is used; None where it is used as a whole."""
    total = 0.0
    for user, place in _users(fused, value):
        if user.opcode in ("dynamic-slice", "slice") and place == 0:
            total += sum(shape.itemsize * _elements(shape) for shape in user.shapes) * value.shapes[0].in_main_memory
        elif user.opcode == "dynamic-update-slice" and place == 0:
            continue
        elif user.opcode in _VIEWS and user.shapes[0].sizes:
            inner = _slices(fused, user)
            if inner is None:
                return None
            total += inner
        else:
            return None
    return None if value.is_root else total


def _users(fused: Computation, value: Instruction) -> Iterator[tuple[Instruction, int]]:
    for user in fused.instructions.values():
        for place, name in enumerate(user.operands):
            if name == value.name:
                yield user, place


def _elements(shape: hlo.Shape) -> int:
    total = 1
    for size in shape.sizes:
        total *= size
    return total


def _written(fused: Computation, root: Instruction) -> float:
    """Bytes that a fusion writes: of each result the whole, or the slice that is put into an array in place."""
    if root.opcode == "tuple":
        return sum(_written(fused, fused.instructions[name]) for name in root.operands)
    source = root
    while source is not None and source.opcode in _VIEWS and source.opcode != "copy":
        source = fused.operand(source, 0)
    if source is not None and source.opcode == "dynamic-update-slice":
        update = fused.operand(source, 1)
        return sum(_elements(s) * s.itemsize for s in update.shapes) * root.shapes[0].in_main_memory
    return _size(root.shapes)
