"""Batches sharded over a mesh with Explicit axes, which `jax.make_mesh` makes by default from jax 0.10 on.

Where axes are Explicit, every operation must say how its output is sharded. The library's layouts merge and move the
batch axis, so the axes are Auto inside a function, and only its outputs state their sharding: that of the batch.
Without Explicit axes (one device, Auto axes, inside `jax.shard_map`) nothing is done.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import jax
from jax.sharding import NamedSharding, PartitionSpec

P = ParamSpec("P")
R = TypeVar("R")

WHOLE = -1  # of an output without a batch


def batch_sharded(of: str, *, core: int, out: Any = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take arrays with Explicit sharding; `of`, `core` and `out` as for `run_sharded`.

    Args:
        of: the name of the argument whose leading axes are the batch.
        core: number of axes after them.
        out: place of the first batch axis in the outputs.
    """

    def decorate(fn: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(fn)

        @wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            batch = signature.bind(*args, **kwargs).arguments.get(of)
            return run_sharded(fn, args, kwargs, batch=batch, core=core, out=out)

        return call

    return decorate


def run_sharded(fn: Callable[..., R], args: Any, kwargs: Any, *, batch: Any, core: int, out: Any = 0) -> R:
    """Call a function with arrays that may lie on a mesh with Explicit axes.

    Args:
        fn: the function; inside it these axes are Auto.
        args, kwargs: its arguments, pytrees of arrays and other values.
        batch: the array among them whose leading axes are the batch.
        core: number of its axes after these.
        out: place of the first batch axis in each output, a prefix of the pytree of outputs; `WHOLE` where there is
            none.

    Returns:
        Its outputs, sharded along their batch axes as `batch` is, else replicated.
    """
    leaves, tree = jax.tree.flatten((args, kwargs))
    mesh = explicit_mesh(leaves)
    if mesh is None:
        return fn(*args, **kwargs)
    places = [i for i, x in enumerate(leaves) if isinstance(x, jax.Array)]

    def of_arrays(*arrays: Any) -> R:
        found = dict(zip(places, arrays, strict=True))
        args, kwargs = tree.unflatten([found.get(i, x) for i, x in enumerate(leaves)])
        return fn(*args, **kwargs)

    lead = _spec(batch)[: max(getattr(batch, "ndim", 0) - core, 0)]
    place = lambda axis: PartitionSpec() if axis == WHOLE else PartitionSpec(*[None] * axis, *lead)  # noqa: E731
    shardings = jax.tree.map(lambda axis: NamedSharding(mesh, place(axis)), out)
    arrays = [leaves[i] for i in places]
    return jax.sharding.auto_axes(of_arrays, axes=_explicit_axes(mesh), out_sharding=shardings)(*arrays)


def replicated(tree: Any) -> Any:
    """The arrays of a pytree, those with Explicit sharding whole on every device: no operation is ambiguous then."""

    def whole(x: Any) -> Any:
        return jax.sharding.reshard(x, PartitionSpec()) if any(_spec(x)) else x

    return jax.tree.map(whole, tree)


def explicit_mesh(leaves: list[Any]) -> Any:
    """The mesh with Explicit axes that some of the arrays lie on, else that of the context; None if there is none."""
    if not hasattr(jax.sharding, "auto_axes"):
        return None
    meshes = (getattr(_sharding(x), "mesh", None) for x in leaves if isinstance(x, jax.Array))
    return next((mesh for mesh in (*meshes, jax.sharding.get_abstract_mesh()) if _explicit_axes(mesh)), None)


def _explicit_axes(mesh: Any) -> tuple[str, ...]:
    if mesh is None or mesh.empty:
        return ()
    pairs = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return tuple(name for name, kind in pairs if kind == jax.sharding.AxisType.Explicit)


def _sharding(x: Any) -> Any:
    return getattr(jax.typeof(x), "sharding", None)


def _spec(x: Any) -> PartitionSpec:
    return getattr(_sharding(x), "spec", PartitionSpec()) if isinstance(x, jax.Array) else PartitionSpec()
