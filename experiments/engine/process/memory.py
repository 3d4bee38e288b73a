"""Memory of the devices: how much there is, and the error of a run that has too little."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from experiments.engine.process.errors import OutOfMemoryError

_USABLE = 0.9  # of the limit: the states of the other seeds, and steps under way, take some
_EXHAUSTED = "RESOURCE_EXHAUSTED"


class Limit(NamedTuple):
    """What a program may take.

    Attributes:
        bytes: of one memory; None where nothing tells.
        devices: that share it, and in it their arguments.
    """

    bytes: float | None
    devices: int = 1


def limit(mesh: Mesh) -> Limit:
    """Of each device of a mesh nine tenths of what its allocator may use; of a CPU half of the machine's memory."""
    device = next(each for each in mesh.devices.flat if each.process_index == jax.process_index())
    if device.platform == "cpu":
        physical = _physical()
        return Limit(None if physical is None else physical / 2, mesh.size)
    stats = device.memory_stats() or {}
    return Limit(_USABLE * stats["bytes_limit"] if "bytes_limit" in stats else None)


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None


def is_exhausted(error: BaseException) -> bool:
    """Whether an error of JAX says that a device, or its compiler, has too little memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and (
        _EXHAUSTED in str(error) or "Out of memory" in str(error) or "Ran out of memory" in str(error)
    )


@contextmanager
def named(model: str) -> Iterator[None]:
    """Raise OutOfMemoryError, with the entries of the config to lower, in place of JAX's error about a model."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_exhausted(error):
            raise
        first = str(error).strip().partition("\n")[0][:300]
        raise OutOfMemoryError(
            f"model {model}: the memory of a device does not suffice: {first}. Nothing is lost: lower "
            "--config.seeds_at_once, with one seed at a time --config.slice_size, and give the same command again"
        ) from error
