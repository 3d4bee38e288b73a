"""Devices: how many, how they are arranged, and how arrays get onto them."""

import math
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.engine.errors import UsageError

_ALIGNMENT = 64  # bytes; XLA's CPU client uses a numpy buffer in place, without a copy, where it is aligned so


def usable_cores() -> int:
    """Number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def configure_cpu_devices(count: int) -> None:
    """Split the CPU into `count` JAX devices, one a usable core where count is 0 and nobody chose before.

    XLA runs most small batched products on one thread, so that several host devices are what uses the cores. It must
    happen before JAX starts its backends.

    Args:
        count: number of devices, >= 0.

    Raises:
        UsageError: JAX has already started with another number of CPU devices than the one asked for.
    """
    chosen = jax.config.jax_num_cpu_devices
    if count == 0 and chosen > 0:
        return
    wanted = count or usable_cores()
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError as error:
        present = len(jax.local_devices(backend="cpu"))
        if count not in (0, present):
            raise UsageError(f"cpu_devices={count}: JAX has already started with {present} CPU devices") from error


def make_mesh(num_seeds: int, batch_size: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A (seed, data) mesh over the local devices.

    The seed axis is the largest divisor of the number of seeds that divides the number of devices; the data axis is the
    largest divisor of the batch size that divides the rest. Devices left over stay idle.
    """
    devices = list(jax.local_devices() if devices is None else devices)
    seed = math.gcd(num_seeds, len(devices))
    data = math.gcd(batch_size, len(devices) // seed)
    grid = np.array(devices[: seed * data], dtype=object).reshape(seed, data)
    return Mesh(grid, ("seed", "data"), axis_types=(AxisType.Auto, AxisType.Auto))


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Numpy arrays of any dtype onto every device of the mesh; CPU devices share one copy."""
    if mesh.devices.flat[0].platform == "cpu":
        tree = jax.tree.map(_aligned, tree)
    return jax.device_put(tree, NamedSharding(mesh, P()))


def _aligned(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    if array.ctypes.data % _ALIGNMENT == 0:
        return array
    raw = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
