"""Devices: how many, how they are arranged, and how arrays get onto them and back."""

import functools
import math
import os
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.engine.process import hosts
from experiments.engine.process.errors import UsageError

STRATEGIES = ("vmap", "loop", "auto")  # how seeds share the devices, see `seeds.make_plan`
_ALIGNMENT = 64  # bytes; XLA's CPU client uses a numpy buffer in place, without a copy, where it is aligned so


def usable_cores() -> int:
    """Number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def configure_cpu_devices(count: int | None) -> None:
    """Split the CPU into `count` JAX devices; None: one per usable core, unless the number was chosen before.

    XLA runs most small batched products on one thread, so that several host devices are needed to use the cores. To be
    called before JAX starts its backends.

    Args:
        count: number of devices, >= 1, or None.

    Raises:
        UsageError: JAX has already started with another number of CPU devices than the one asked for.
    """
    if count is None and jax.config.jax_num_cpu_devices > 0:
        return
    try:
        jax.config.update("jax_num_cpu_devices", count or usable_cores())
    except RuntimeError as error:
        present = len(jax.local_devices(backend="cpu"))
        if count not in (None, present):
            raise UsageError(f"cpu_devices={count}: JAX has already started with {present} CPU devices") from error


def parse_sizes(text: str) -> tuple[int, int] | None:
    """Sizes of the mesh's axes (seed, data) from "SEEDxDATA"; None for "auto".

    Raises:
        UsageError: it is neither.
    """
    if text == "auto":
        return None
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise UsageError(f"config.mesh={text!r}: expected 'auto', or SEEDxDATA such as '2x4'")
    return int(match[1]), int(match[2])


def is_mesh(text: str) -> bool:
    """Whether `parse_sizes` understands a text."""
    try:
        parse_sizes(text)
    except UsageError:
        return False
    return True


def make_mesh(
    num_seeds: int, batch_size: int, devices: Sequence[jax.Device] | None = None, sizes: str = "auto"
) -> Mesh:
    """A (seed, data) mesh over the devices, those of all processes.

    With sizes "auto" the seed axis is the largest divisor of the number of seeds that divides the number of devices;
    the data axis is the largest divisor of the batch size that divides the rest. Devices left over stay idle.

    Raises:
        UsageError: given sizes do not divide seeds and batch, there are too few devices, or a process has none of them.
    """
    devices = list(jax.devices() if devices is None else devices)
    chosen = parse_sizes(sizes)
    if chosen is None:
        seed = math.gcd(num_seeds, len(devices))
        chosen = seed, math.gcd(batch_size, len(devices) // seed)
    else:
        _check_sizes(sizes, chosen, num_seeds, batch_size, len(devices))
    used = devices[: chosen[0] * chosen[1]]
    if without := {device.process_index for device in devices} - {device.process_index for device in used}:
        raise UsageError(
            f"mesh {chosen[0]}x{chosen[1]} of {num_seeds} seeds and batches of {batch_size}: processes "
            f"{', '.join(map(str, sorted(without)))} have no part in it; choose another number of seeds, batch or mesh"
        )
    grid = np.array(used, dtype=object).reshape(chosen)
    return Mesh(grid, ("seed", "data"), axis_types=(AxisType.Auto, AxisType.Auto))


def _check_sizes(text, sizes, num_seeds, batch_size, present):
    for size, total, name in zip(sizes, (num_seeds, batch_size), ("seeds", "examples of a batch"), strict=True):
        if total % size:
            raise UsageError(f"config.mesh={text!r}: {size} does not divide the {total} {name}")
    if math.prod(sizes) > present:
        raise UsageError(f"config.mesh={text!r}: it takes {math.prod(sizes)} devices, and there are {present}")


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Numpy arrays, the same in every process, onto the devices of a sharding."""
    if hosts.count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: x[index]), tree)


def fetch(tree: Any) -> Any:
    """The inverse of `place`: numpy arrays, in every process all of them."""
    if hosts.count() > 1:
        tree = jax.tree.map(lambda leaf: leaf.addressable_data(0), _everywhere(tree))
    return jax.tree.map(np.asarray, tree)


def _everywhere(tree):
    mesh = jax.tree.leaves(tree)[0].sharding.mesh
    return _replicator(mesh)(tree)


@functools.cache
def _replicator(mesh):
    return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, P()))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Numpy arrays of any dtype onto every device of the mesh; CPU devices share one copy."""
    if mesh.devices.flat[0].platform == "cpu":
        tree = jax.tree.map(_aligned, tree)
    return place(tree, NamedSharding(mesh, P()))


def _aligned(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    if array.ctypes.data % _ALIGNMENT == 0:
        return array
    raw = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
