"""Seeds: keys, the plan by which seeds share the devices, and one function compiled for many seeds.

Every random number of a run derives from (seed, purpose, position), so that nothing depends on which other seeds run,
on the number of devices, or on where a run was resumed.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.engine.process import devices as devices_lib
from experiments.engine.process.errors import UsageError

# Which strategy "auto" is, by kind of device. CPU, measured: one training step of batch 32 on two devices of a busy
# two-core machine, jax 0.10.2, in turns, the least of 5, in seconds, and the first call with its compilation:
#                      loop          vmap
# KomplexNet, 3 seeds  1.40 (19)     1.70 (39)
# real CNN, 3 seeds    0.030 (6.7)   0.036 (22)
# real CNN, 4 seeds    0.036 (7.0)   0.028 (25)
# No faster by vmap but for tiny steps, and compiled in a half to a quarter of the time by loop. GPU and TPU are not
# measured: there a step is many small kernels, bound by their launches, which vmap shares among the seeds.
_AUTO = {"cpu": "loop", "gpu": "vmap", "tpu": "vmap"}

_INIT, _ORDER, _STEP, _EVALUATE = range(4)


def init_key(seed: Array) -> Array:
    """Key of a seed's initial parameters."""
    return _stream(seed, _INIT)


def order_key(seed: Array, epoch: Array) -> Array:
    """Key of the order of a seed's examples in an epoch."""
    return jax.random.fold_in(_stream(seed, _ORDER), epoch)


def step_keys(seed: Array, step: Array, positions: Array) -> Array:
    """Keys (B,) of the examples at `positions` of the batch of a training step."""
    return _each(jax.random.fold_in(_stream(seed, _STEP), step), positions)


def evaluation_keys(seed: Array, split: Array, indices: Array) -> Array:
    """Keys (B,) of the examples at `indices` of a split, given by its number (`split_number`)."""
    return _each(jax.random.fold_in(_stream(seed, _EVALUATE), split), indices)


def split_number(name: str) -> np.uint32:
    """A number for a split that depends on its name only."""
    return np.uint32(zlib.crc32(name.encode()))


def _stream(seed, purpose):
    return jax.random.fold_in(jax.random.key(seed), purpose)


def _each(key, positions):
    return jax.vmap(jax.random.fold_in, (None, 0))(key, positions)


class Plan(NamedTuple):
    """The plan by which the seeds of a run share its devices.

    Attributes:
        mesh: devices (seed, data).
        seeds: (S,) int32, the seeds themselves.
        group: number of seeds that one call serves; it divides S, and the mesh's seed axis divides it.
        slice_size: the largest number of examples that a device computes at a time; None: all of its part of a batch.
        precision: of products, a name of `jax.default_matmul_precision`.
    """

    mesh: Mesh
    seeds: np.ndarray
    group: int
    slice_size: int | None = None
    precision: str = "highest"

    def groups(self) -> list[int]:
        """The numbers of seeds that one call may serve, the largest first."""
        count, step = len(self.seeds), self.mesh.shape["seed"]
        return [group for group in range(count, 0, -step) if count % group == 0]

    def split(self, tree: Any) -> list[Any]:
        """Arrays with leading axis S -> one pytree per group, on the devices."""
        sharding = NamedSharding(self.mesh, P("seed"))
        tree = jax.tree.map(np.asarray, tree)
        starts = range(0, len(self.seeds), self.group)
        return [devices_lib.place(jax.tree.map(lambda x, a=a: x[a : a + self.group], tree), sharding) for a in starts]

    def join(self, groups: list[Any]) -> Any:
        """The inverse of `split`, as numpy arrays."""
        return jax.tree.map(lambda *parts: np.concatenate(parts), *devices_lib.fetch(groups))


def make_plan(
    first_seed: int,
    num_seeds: int,
    batch_size: int,
    strategy: str,
    devices: Sequence[jax.Device] | None = None,
    mesh: str = "auto",
    *,
    at_once: int | None = None,
    slice_size: int | None = None,
    precision: str = "highest",
) -> Plan:
    """Plan seeds first_seed ... first_seed + num_seeds - 1.

    "vmap" serves all of them in one call, "loop" as many as the mesh has places on its seed axis, one group after the
    other; "auto" chooses by kind of device. No call serves more than `at_once`, where that is given. Results agree to
    float tolerance. For `devices` and `mesh` see `devices.make_mesh`; `slice_size` and `precision` are the plan's.

    Raises:
        UsageError: as `devices.make_mesh`; `at_once` is less than the mesh's seed axis.
    """
    mesh = devices_lib.make_mesh(num_seeds, batch_size, devices, mesh)
    if strategy == "auto":
        strategy = _AUTO.get(mesh.devices.flat[0].platform, "vmap")
    numbers = np.arange(first_seed, first_seed + num_seeds, dtype=np.int32)
    plan = Plan(mesh, numbers, mesh.shape["seed"], slice_size, precision)
    if strategy == "loop":
        return plan
    fitting = [group for group in plan.groups() if at_once is None or group <= at_once]
    if not fitting:
        raise UsageError(f"config.seeds_at_once={at_once}: expected at least the {plan.group} seeds of the mesh")
    return plan._replace(group=fitting[0])


def spread(function: Callable, plan: Plan, in_specs: tuple[P, ...], out_specs: Any) -> Callable:
    """Compile a function of one seed for a group of them over the mesh.

    Arguments whose spec starts with "seed" have a leading axis over the group's seeds, which the function does not see;
    the others are the same for every seed. All results have the seed axis. Products have the plan's precision.
    """
    axes = tuple(0 if spec and spec[0] == "seed" else None for spec in in_specs)
    of_seeds = _over_seeds(function, plan.group // plan.mesh.shape["seed"], axes)

    def local(*args):
        with jax.default_matmul_precision(plan.precision):
            return of_seeds(*args)

    # Without the check of varying axes a task may use custom gradients and scans that know nothing of the mesh, and the
    # gradients stay those of the local batch until the step averages them itself.
    return jax.jit(jax.shard_map(local, mesh=plan.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False))


def _over_seeds(function, count, axes):
    if count > 1:
        return jax.vmap(function, axes)

    def solo(*args):
        # A vmap over one seed would still make every convolution a grouped one.
        first = [jax.tree.map(lambda leaf: leaf[0], x) if axis == 0 else x for x, axis in zip(args, axes, strict=True)]
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), function(*first))

    return solo
