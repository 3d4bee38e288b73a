"""What helps one kind of device and hurts another, chosen in this one place.

The choice is made where a program is traced, by the platform that JAX computes on by default.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax

PyTree = Any


class Sizes(NamedTuple):
    """How much is computed at a time.

    Attributes:
        encoder_pixels: pixels whose hidden layers the encoders of a segmenter hold; None for all.
        classifier_pixels: the same of a classifier of pixels.
        state_numbers: numbers in the states of the steps whose losses are taken at once; at least one step is.
        loop_numbers: numbers in a sequence that a bank of linear oscillators filters step by step.
        matrix_numbers: numbers in a coupling from which on two sums over it are one product.
        spectrum_numbers: pixels times channels in and out up to which a layer's kernel is used by its spectrum; that
            is about four times as many numbers, kept twice, and as many in its gradient.
    """

    encoder_pixels: int | None
    classifier_pixels: int
    state_numbers: int
    loop_numbers: int
    matrix_numbers: int
    spectrum_numbers: int


# Hidden layers that stay in the cache of a CPU's core. A loop over 2^16 numbers (both parts of 4 sequences, 128 steps,
# 64 units) took 0.8 times as long as products of chunks, with gradients 0.9 times; over 2^17, 256 steps, 0.6 to 0.9 and
# 0.6 to 1.3 times; over 2^19, 128 steps, 1.1 and 1.7 times (experiments.bench filters, one JAX device of an AMD EPYC).
# Two sums over a matrix in its cache took 0.8 times as long as one product, over one of 3,000 x 3,000 1.5 times.
_CPU = Sizes(8192, 4096, 0, 2**16, 2**22, 2**25)
# Compiled, not measured: each chunk runs the classifier's kernels once. On an H100 a step of the Neural Wave Machine
# (MNIST, batch 64) has 49 chunks of 34 kernels at 4,096 pixels, 4 at 65,536; a layer of 256 units then takes 50 MiB.
# The loss of KomplexNet's 15 steps, 59 kernels each, is of all steps at once.
_ACCELERATOR = Sizes(None, 65_536, 2**24, 0, 0, 2**25)


def on_cpu() -> bool:
    """Whether programs are for a CPU."""
    return jax.default_backend() == "cpu"


# Compiled, not measured: with gradients of all steps at once an H100 ran 1,447 kernels in a training step of
# KomplexNet with feedback and 629 in one of GASPnet, where it ran 2,707 and 1,656. What a CPU's time goes by grows:
# products from 55.6 to 67.4 GFLOP and from 7.1 to 8.8. A TPU launches a program as a whole.
def on_gpu() -> bool:
    """Whether they are for a GPU, where every kernel is launched by itself."""
    return jax.default_backend() == "gpu"


def on_tpu() -> bool:
    """Whether they are for a TPU."""
    return jax.default_backend() == "tpu"


def sizes() -> Sizes:
    """Those of the platform."""
    return _CPU if on_cpu() else _ACCELERATOR


def coupling_method(image: Sequence[int], kernel: Sequence[int]) -> str:
    """The fastest way to sum over the neighbourhood of every pixel, see `oscnets.dynamics.coupling`.

    Measured on a CPU (experiments/results/bench/coupling_cpu.md; images of 16 to 128 pixels, kernels of 3 to 25,
    batches of 2 and 32): `transform` is the fastest throughout at batch 32; at batch 2 `fft` draws level and is up to
    twice as fast at 128 pixels. A transform by products grows with the third power of the size, so that beyond 128
    pixels `fft` is taken.

    Compiled, not measured (experiments/results/bench/coupling_compiled.md; kernels of 5 and 13): on a GPU `direct` has
    the fewest kernels and bytes, and with a kernel of 5 so little arithmetic that its least time is 0.4 to 0.7 of the
    next one's. With a kernel of 13 arithmetic decides, and the rule is that of a CPU. On a TPU memory decides, and
    `direct` moves less than half of the bytes of `transform`, a seventh of those of `fft`; but the gradient of a kernel
    of one, two or four channels took more than 75 to 100 s to compile (one step of 12 pixels, libtpu 0.0.42), where
    that of eight took 12, and of one channel by `transform` 11.

    Args:
        image: (H, W).
        kernel: (kh, kw, C_in, C_out).
    """
    few_taps = kernel[0] * kernel[1] <= 25
    if (on_tpu() and min(kernel[2:]) >= 8) or (on_gpu() and few_taps):
        return "direct"
    return "transform" if max(image) <= 128 else "fft"


def coupling_axes(image: Sequence[int], channels: int, batch_size: int | None) -> int:
    """Axes of an image that the method `transform` of a coupling transforms: 2, or 1, the height.

    Compiled, not measured: of KomplexNet (32 pixels, 8 channels, 128 images) a time step has 9 + 9 kernels on an H100,
    where it has 13 + 13 by both axes, and moves 411 MB, not 538. The matrices of 2 W C rows, read twice and their
    gradients written and read, are 84 MB of these: for fewer than 64 images they are more than is saved. With more rows
    the arithmetic exceeds what memory takes.

    Args:
        image: (H, W).
        channels: of the field.
        batch_size: last axis of the fields, None where it is unknown.
    """
    rows = image[1] * channels
    return 1 if on_gpu() and batch_size is not None and rows <= min(256, 2 * batch_size) else 2


def complex_products(channels: int) -> bool:
    """Whether `transform` by two axes has two complex products for a pair of frequencies, not one of four parts.

    That is half of the arithmetic, of matrices half as large. Measured on one core of an AMD EPYC alone: with gradients
    it took 0.5 times as long for 128 channels (8 pixels, a kernel of 5, 64 images), as long for 32 channels (16
    pixels), 1.2 times for 8 (32 pixels, a kernel of 13, 256 images).
    """
    return channels >= 32


def recomputed(fn: Callable) -> Callable:
    """`fn`, whose gradient on a CPU computes all again from its arguments; elsewhere it keeps what it needs.

    For functions between whose operations much is stored: of AKOrN's attention on one core of an AMD EPYC a training
    step took 0.8 times as long.
    """
    return jax.checkpoint(fn, prevent_cse=False) if on_cpu() else fn


def cpu_barrier(x: PyTree) -> PyTree:
    """`x`, arrays, stored before what follows uses it on a CPU; elsewhere the compiler may merge both."""
    return lax.optimization_barrier(x) if on_cpu() else x
