"""Neighbourhood sum: every unit receives the field of its neighbours through one learned kernel.

    out[y, o] = sum_{d, i} kernel[d, i, o] field[y + d, i]  +  uniform * sum_{x, i} field[x, i]

zero padded, same size, no flip (a cross-correlation). Three methods compute the same sum:

- `direct`: `lax.conv_general_dilated`, the reference. Its gradient is very slow on a CPU for large kernels.
- `fft`: real FFTs padded so that nothing wraps around.
- `transform`: the same transform written as products with small constant matrices. Along an axis of n pixels and a
  kernel of radius r, cosines and sines of period n + r suffice, since wrapped values fall outside the image only. A
  kernel is diagonal in frequency up to a rotation of each (cos, sin) pair, so that between the two transforms stands
  one product per frequency pair, over channels and the four combinations of cos and sin. Forward, backward and the
  kernel's gradient are matrix products. Of many channels that product is two complex ones, half of the arithmetic. On a
  GPU, of many small images, the height alone is transformed, and the product of a frequency is over cos and sin, all
  columns and channels: more arithmetic, but three products without a transposition, not five with two.

The kernel's own transform does not depend on the field: `prepare_kernel` does it once, outside a loop over time.
`tune` measures which method is the fastest on the device at hand.
"""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from oscnets._inputs import at_least_float32, floats, precision, standard_promotion, whole_number
from oscnets._platform import complex_products, coupling_axes, coupling_method
from oscnets.dynamics._transform import Plan, kernel_to_frequency, periods_of, transformed_sum

__all__ = ["Method", "PreparedKernel", "choose_method", "forget", "neighbourhood_sum", "prepare_kernel", "tune"]


def __dir__() -> list[str]:
    return __all__


Method = Literal["auto", "direct", "fft", "transform"]
METHODS = tuple(method for method in get_args(Method) if method != "auto")


@partial(jax.tree_util.register_dataclass, data_fields=["weights", "transposed", "uniform"], meta_fields=["plan"])
class PreparedKernel:
    """Transform of a kernel for images of one size, made by `prepare_kernel`; a pytree."""

    weights: Array
    transposed: Array | None
    uniform: Array
    plan: Plan

    def __init__(self, weights: Array, transposed: Array | None, uniform: Array, plan: Plan):
        self.weights, self.transposed, self.uniform, self.plan = weights, transposed, uniform, plan


def choose_method(image: Sequence[int], kernel: Sequence[int] = (13, 13, 8, 8)) -> str:
    """The method that `auto` stands for: the fastest that `tune` has found in this process, else by device and size.

    Args:
        image: (H, W).
        kernel: shape of the kernel, (kh, kw, C_in, C_out).
    """
    return _tuned.get(_case(image, kernel)) or coupling_method(image, kernel)


@standard_promotion
def prepare_kernel(
    kernel: Array,
    image: tuple[int, int],
    *,
    uniform: Array | float = 0.0,
    method: Method = "auto",
    batch_size: int | None = None,
) -> PreparedKernel:
    """Transform a kernel once, to be used at every step of a dynamics.

    Args:
        kernel: (kh, kw, C_in, C_out), odd sizes.
        image: (H, W) of the fields that it will be applied to.
        uniform: scalar, coupling of every unit to every unit, added to the kernel's.
        method: `direct`, `fft`, `transform`, or `auto`, which picks one (`choose_method`).
        batch_size: last axis of the fields, if it is known: twice the number of images where fields are complex. The
            kernel serves others as well; on a GPU it is laid out for this one.

    Raises:
        ValueError: a kernel that is not 4-D or of even size, a uniform coupling that is no scalar, an unknown method.
    """
    (kernel,) = floats(kernel=kernel)
    if kernel.ndim != 4:
        raise ValueError(f"kernel must be (kh, kw, C_in, C_out), got shape {kernel.shape}")
    _check_odd(kernel.shape)
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
    if method == "auto":
        method = choose_method(image, kernel.shape)
    uniform = floats(uniform=uniform)[0].astype(kernel.dtype)
    if uniform.ndim:
        raise ValueError(f"uniform must be a scalar, got shape {uniform.shape}")
    channels, axes = kernel.shape[2], coupling_axes(image, kernel.shape[2], batch_size)
    by_complex = method == "transform" and axes == 2 and complex_products(channels)
    plan = Plan(method, tuple(image), kernel.shape[:2], channels, axes, by_complex)
    transposed = None
    if method == "transform":
        kernel = kernel_to_frequency(kernel, uniform, plan)
        transposed = lax.optimization_barrier(kernel.swapaxes(1, 2))
    elif method == "fft":
        kernel = kernel.astype(at_least_float32(kernel.dtype))
        kernel = jnp.conj(jnp.fft.rfft2(_centred(kernel, periods_of(plan)), axes=(0, 1)))
    return PreparedKernel(kernel, transposed, uniform, plan)


@standard_promotion
def neighbourhood_sum(field: Array, prepared: PreparedKernel) -> Array:
    """Apply a prepared kernel to a real field in the layout (H, W, C, B).

    Args:
        field: (H, W, C_in, B); batch last makes products with the constant matrices wide.
        prepared: by `prepare_kernel`, for these sizes.

    Returns:
        (H, W, C_out, B), in the field's floating type; FFTs of half precision are taken in float32.

    Raises:
        ValueError: a field of another size than the kernel was prepared for.
    """
    (field,), plan, weights = floats(field=field), prepared.plan, prepared.weights
    expected = (*plan.image, plan.channels)
    if field.ndim != 4 or field.shape[:3] != expected:
        raise ValueError(f"prepared for fields (H, W, C_in, B) = {(*expected, 'B')}, got shape {field.shape}")
    if plan.method == "transform":
        # The gradient's product needs the transpose; made by `prepare_kernel`, it stays outside a loop over time.
        return transformed_sum(plan, field, weights, prepared.transposed)
    from_all = prepared.uniform * field.sum((0, 1, 2))
    if plan.method == "direct":
        near = lax.conv_general_dilated(
            field, weights, (1, 1), "SAME", dimension_numbers=("HWCN", "HWIO", "HWCN"), precision=precision()
        )
    else:
        periods = periods_of(plan)
        spectrum = jnp.fft.rfft2(field.astype(at_least_float32(field.dtype)), periods, axes=(0, 1))
        mixed = jnp.einsum("uvin,uvio->uvon", spectrum, weights, precision=precision())
        near = jnp.fft.irfft2(mixed, periods, axes=(0, 1))[: plan.image[0], : plan.image[1]]
    return near.astype(field.dtype) + from_all


def _check_odd(shape: tuple[int, ...]) -> None:
    if shape[0] % 2 == 0 or shape[1] % 2 == 0:
        raise ValueError(f"kernel must have odd height and width to have a centre, got {shape[0]} x {shape[1]}")


def _centred(kernel: Array, periods: tuple[int, int]) -> Array:
    """The kernel on the full period with its centre at the origin; wrapped taps stay outside the image."""
    rows, columns = ((np.arange(k) - k // 2) % p for k, p in zip(kernel.shape[:2], periods, strict=True))
    return jnp.zeros((*periods, *kernel.shape[2:]), kernel.dtype).at[np.ix_(rows, columns)].add(kernel)


# Measuring

_TOO_SLOW = 10  # times the fastest first run: a method that takes longer is not run again
_tuned: dict[tuple[Any, ...], str] = {}
_tuning = threading.Lock()


def _case(image: Sequence[int], kernel: Sequence[int]) -> tuple[Any, ...]:
    return jax.default_backend(), precision(), tuple(image), tuple(kernel)


def tune(
    image: Sequence[int],
    kernel: Sequence[int],
    *,
    batch_size: int,
    methods: Sequence[str] = METHODS,
    rounds: int = 5,
    num_steps: int = 15,
) -> dict[str, float]:
    """Measure the methods on the device at hand. From then on, `auto` is the fastest one for this case in this process.

    A case is the platform, the precision of products (`jax.default_matmul_precision`), the image's size and the
    kernel's shape; the last call for a case decides. Each method computes `num_steps` sums of a field in float32 by one
    prepared kernel, with the gradients in field and kernel. The methods take turns, but for those whose first run takes
    ten times as long as the fastest one's.

    `auto` is replaced where a program is traced: those that are compiled already keep their method, until
    `jax.clear_caches()` drops them. `forget` drops what was found. Calls from several threads wait for each other.

    Args:
        image: (H, W).
        kernel: shape of the kernel, (kh, kw, C_in, C_out), odd sizes.
        batch_size: last axis of the fields. Of phases it is twice the number of images: real and imaginary parts.
        methods: those to measure.
        rounds: turns of each.
        num_steps: sums in each.

    Returns:
        Seconds per sum by method, the median of the turns; the fastest first.

    Raises:
        ValueError: sizes that are not positive whole numbers, a kernel of even size, no method or an unknown one.
        TypeError: sizes that are no sequence, or no numbers.
        RuntimeError: it is called while a program is traced.
    """
    image, kernel = _sizes("image", image, ("H", "W")), _sizes("kernel", kernel, ("kh", "kw", "C_in", "C_out"))
    numbers = {"batch_size": batch_size, "rounds": rounds, "num_steps": num_steps}
    batch_size, rounds, num_steps = (whole_number(name, value, 1) for name, value in numbers.items())
    if not methods or not set(methods) <= set(METHODS):
        raise ValueError(f"methods must be some of {', '.join(METHODS)}, got {methods!r}")
    if isinstance(jnp.zeros(()), jax.core.Tracer):
        raise RuntimeError("tune measures programs that run, and cannot be called while one is traced")
    rng = np.random.default_rng(0)
    shapes = (*image, kernel[2], batch_size), kernel
    arrays = [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]
    with _tuning:
        runs = {method: _compiled(method, num_steps, *arrays) for method in dict.fromkeys(methods)}
        taken = {method: [_seconds(run)] for method, run in runs.items()}
        limit = _TOO_SLOW * min(first for (first,) in taken.values())
        turns = {method: run for method, run in runs.items() if taken[method][0] <= limit}
        for _ in range(rounds):
            for method, run in turns.items():
                taken[method].append(_seconds(run))
        # The first run counts where it is the only one.
        medians = {method: statistics.median(times[1:] or times) / num_steps for method, times in taken.items()}
        found = dict(sorted(medians.items(), key=lambda item: item[1]))
        _tuned[_case(image, kernel)] = next(iter(found))
    return found


def forget() -> None:
    """Drop what `tune` has found: `auto` is by device and size again, in programs that are traced from then on."""
    _tuned.clear()


def _sizes(name: str, sizes: Sequence[int], axes: tuple[str, ...]) -> tuple[int, ...]:
    try:
        sizes = tuple(sizes)
    except TypeError:
        raise TypeError(f"{name} must be ({', '.join(axes)}), got {sizes!r}") from None
    if len(sizes) != len(axes):
        raise ValueError(f"{name} must be ({', '.join(axes)}), got {sizes}")
    found = tuple(whole_number(f"{axis} of {name}", size, 1) for axis, size in zip(axes, sizes, strict=True))
    if name == "kernel":
        _check_odd(found)
    return found


def _compiled(method: str, num_steps: int, field: Array, kernel: Array) -> Callable[[], Any]:
    """Sums with their gradients in field and kernel, ready to run."""

    def total(field: Array, kernel: Array) -> Array:
        sizes = {"uniform": -1 / field[..., 0].size, "batch_size": field.shape[-1]}
        prepared = prepare_kernel(kernel, field.shape[:2], method=method, **sizes)
        step = lambda x, _: (-x, jnp.square(neighbourhood_sum(x, prepared)).sum())  # noqa: E731
        return lax.scan(step, field, length=num_steps)[1].sum()

    program = jax.jit(jax.grad(total, (0, 1))).lower(field, kernel).compile()
    return lambda: jax.block_until_ready(program(field, kernel))


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
