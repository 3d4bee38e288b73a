"""Several processes that make one run: start, work of the first process for all, and agreement.

Every process runs the same program on its devices (JAX's multi-controller SPMD). Only the first touches the workdir;
it sends results and errors to the others, so that no file system need be shared. A single process is the first, and
nothing here costs it anything.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.engine.process.errors import CheckpointError, NonFiniteError, OutOfMemoryError, RunError, UsageError

_ERRORS = {kind.__name__: kind for kind in (UsageError, RunError, CheckpointError, NonFiniteError, OutOfMemoryError)}


def start(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Join the other processes; must come before JAX starts its backends.

    Args:
        coordinator: HOST:PORT of the first process, or "auto": all three come from the cluster (Slurm, Open MPI,
            Kubernetes, Cloud TPU). None: this process is alone.
        num_processes, process_id: how many there are, and which this is.

    Raises:
        UsageError: they do not make sense together, or the others cannot be reached.
    """
    if coordinator is None:
        if num_processes is not None or process_id is not None:
            raise UsageError("--num_processes and --process_id need --coordinator=HOST:PORT")
        return
    if coordinator == "auto":
        given = {}
    else:
        check(coordinator, num_processes, process_id)
        given = {"coordinator_address": coordinator, "num_processes": num_processes, "process_id": process_id}
    try:
        jax.distributed.initialize(**given)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"--coordinator={coordinator}: {' '.join(str(error).split())}") from error


def check(coordinator: str, num_processes: int | None, process_id: int | None) -> None:
    """Raise UsageError where the address, or the numbers with it, make no sense."""
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"--coordinator={coordinator}: expected HOST:PORT or auto")
    if num_processes is None or process_id is None:
        raise UsageError("--coordinator=HOST:PORT needs --num_processes and --process_id")
    if num_processes < 1:
        raise UsageError(f"--num_processes={num_processes}: expected an int >= 1")
    if not 0 <= process_id < num_processes:
        raise UsageError(f"--process_id={process_id}: expected 0 to {num_processes - 1}")


def leave(status: int) -> None:
    """End this process with a status if there are others, who may wait for it in vain; returns where there are none."""
    if jax.distributed.is_initialized() and jax.process_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def count() -> int:
    """Number of processes."""
    return jax.process_count()


def is_first() -> bool:
    """Whether this is the process that touches the workdir."""
    return jax.process_index() == 0


def on_first(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a function on the first process, a JSON value, on all of them; likewise a run's error."""
    if count() == 1:
        return function(*args)
    message = b""
    if is_first():
        try:
            answer = {"value": function(*args)}
        except (UsageError, RunError) as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        message = json.dumps(answer).encode()
    answer = json.loads(_from_first(message))
    if "error" in answer:
        raise _ERRORS[answer["error"]](answer["text"])
    return answer["value"]


def arrays_on_first(function: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays by name that a function gives on the first process, on all of them; it must not raise."""
    if count() == 1:
        return function()
    arrays = function() if is_first() else {}
    kinds = on_first(lambda: {name: [leaf.dtype.str, leaf.shape] for name, leaf in arrays.items()})
    sent = {name: _from_first(np.ascontiguousarray(arrays[name]).tobytes() if arrays else b"") for name in kinds}
    # A copy, because an array that shares memory with bytes cannot be written to.
    return {name: np.frombuffer(sent[name], dtype).reshape(shape).copy() for name, (dtype, shape) in kinds.items()}


def agree(values: list[int]) -> np.ndarray:
    """The values (P, V) of every process; all must come to this call in the same order."""
    if count() == 1:
        return np.array([values])
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.array(values, np.int32)))


def from_first(number: int) -> int:
    """A number of the first process on all of them, which must come to this call in the same order."""
    return int(agree([number])[0, 0])


def _from_first(content: bytes) -> bytes:
    from jax.experimental import multihost_utils

    # int32, which holds for JAX's default precision: no more than 2 GiB at once.
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(length, np.uint8)
    if is_first():
        padded[:] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).astype(np.uint8).tobytes()
