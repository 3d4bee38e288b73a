"""Floating-point operations of the products of a program, as it is before the compiler touches it."""

import math
import re
from typing import NamedTuple

from experiments.bench.aot import hlo
from experiments.bench.aot.hlo import Computation, Instruction, Module


class Flops(NamedTuple):
    """Floating-point operations of products, convolutions and Fourier transforms; all others are not counted.

    Attributes:
        total: of one run of the program on each device.
        highest: those of precision `highest`, and Fourier transforms.
    """

    total: float
    highest: float

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(self.total + other.total, self.highest + other.highest)

    def times(self, count: int) -> "Flops":
        """Of several runs."""
        return Flops(self.total * count, self.highest * count)


def flops(text: str) -> Flops:
    """Of a program, from its text; a loop whose length the text does not tell counts as one run."""
    module = hlo.parse(text)
    return _of(module, module.computations[module.entry], {})


def _of(module: Module, computation: Computation, known: dict[str, Flops]) -> Flops:
    if computation.name in known:
        return known[computation.name]
    total = Flops(0, 0)
    for each in computation.instructions.values():
        inner = [_of(module, module.computations[name], known) for name in each.called]
        if each.opcode == "while":
            body = _of(module, module.computations[each.attribute("body")], known)
            total += body.times(hlo.trip_count(module, each) or 1)
        elif each.opcode == "conditional":
            total += max(inner)
        elif each.opcode in ("call", "fusion", "custom-call", "async-start"):
            total = sum(inner, total)
        elif each.opcode in _COUNTED:
            number = _COUNTED[each.opcode](computation, each)
            exact = each.opcode == "fft" or "operand_precision={highest" in each.rest
            total += Flops(number, number * exact)
    known[computation.name] = total
    return total


def _dot(computation: Computation, dot: Instruction) -> float:
    left = computation.operand(dot, 0).shapes[0].sizes
    axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", dot.rest)
    summed = math.prod(left[int(axis)] for axis in axes[1].split(",") if axis) if axes else 1
    return 2.0 * math.prod(dot.shapes[0].sizes) * summed


def _convolution(computation: Computation, convolution: Instruction) -> float:
    """All places of the window, also those that lie in the padding or on zeros that dilation puts in."""
    kernel = computation.operand(convolution, 1).shapes[0].sizes
    labels = re.search(r"dim_labels=\w+_(\w+)->", convolution.rest)[1]
    summed = math.prod(kernel) / kernel[labels.index("o")]
    return 2.0 * math.prod(convolution.shapes[0].sizes) * summed


def _fft(computation: Computation, fft: Instruction) -> float:
    """5 N log2 N of each transform of N complex numbers, half of it where one side is real."""
    length = math.prod(map(int, re.search(r"fft_length=\{([\d,]+)\}", fft.rest)[1].split(",")))
    shapes = [shape for each in (fft, computation.operand(fft, 0)) for shape in each.shapes]
    number = max(math.prod(shape.sizes) for shape in shapes) / length
    real = any(shape.dtype.startswith("f") for shape in shapes)
    return number * 5 * length * math.log2(max(length, 2)) / (2 if real else 1)


_COUNTED = {"dot": _dot, "convolution": _convolution, "fft": _fft}
