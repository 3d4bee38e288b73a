"""Methods of a model as compiled programs.

A call of a model is one program, under `jax.jit`, that is kept by the model's class and attributes, the method, and the
shapes and types of the arrays: a second call outside `jax.jit` compiles nothing and keeps nothing. Inside `jax.jit` the
operations become a part of the program around them.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import unfreeze
from jax import Array

from oscnets._inputs import at_least_float32, dense_array, float_type, standard_promotion
from oscnets._sharding import WHOLE, replicated, run_sharded

PyTree = Any


class _Call(NamedTuple):
    """What is static of a call."""

    module: type[nn.Module]
    attributes: tuple[tuple[str, Any], ...]
    method: str
    options: tuple[tuple[str, Any], ...]
    mutable: tuple[str, ...]
    batch: str  # the array whose leading axes are the batch
    core: int
    out: PyTree


@standard_promotion
def run(
    module: nn.Module,
    method: str,
    arrays: Mapping[str, PyTree],
    *,
    core: int,
    out: PyTree,
    rng: str | None = None,
    **options: Any,
) -> Any:
    """Run a method of a bound module as one program.

    All arrays, parameters too, are computed in one floating type: the widest of the first array's and the parameters',
    at least float32. A batch of no image gives empty outputs and changes no variables.

    Args:
        module: bound to variables.
        method: name of a method that takes `arrays` and `options` by name, with `rng` a `key` too, which it draws by
            itself if that is None.
        arrays: arrays or pytrees of them, or None; the leading axes of the first are the batch.
        core: number of the first array's axes after the batch.
        out: place of the first batch axis in each output, see `oscnets._sharding.run_sharded`.
        rng: PRNG stream of the key.
        **options: hashable values.

    Returns:
        What the method returns.

    Raises:
        TypeError: an array that is sparse, complex, or not of numbers; the message names it.
        ValueError: an attribute that is an array where a number is meant; the message names it.
    """
    variables = {} if module.scope is None else module.variables
    arrays = {name: _real_arrays(name, x) for name, x in arrays.items()}
    batch = next(iter(arrays))
    arrays = _cast(arrays, _dtype(arrays[batch], variables))
    attributes, numbers = _attributes(module)
    mutable = ("batch_stats",) if module.scope is not None and module.is_mutable_collection("batch_stats") else ()
    call = _Call(type(module), attributes, method, tuple(options.items()), mutable, batch, core, out)
    empty = not arrays[batch].size
    if empty:
        arrays = jax.tree.map(_fill, arrays)
    if _must_run_in_place(module, call):
        outputs, updates = _run_in_place(module, call, arrays), {}
    else:
        keys = {} if rng is None else {"key": module.make_rng(rng)}
        program = partial(jax.eval_shape, partial(_program, call)) if empty else partial(_program, call)
        outputs, updates = program(numbers, variables, arrays, keys)
    if empty:
        return _without_batch(out, outputs)
    for collection, values in updates.items():
        for name, value in values.items():
            module.put_variable(collection, name, value)
    return outputs


@partial(jax.jit, static_argnums=0)
def _program(call: _Call, numbers: PyTree, variables: PyTree, arrays: dict[str, PyTree], keys: dict[str, Array]):
    """The outputs of a call, and the collections that it changed."""
    args, out = (numbers, variables, arrays, keys), (call.out, WHOLE)
    return run_sharded(partial(_apply, call), args, {}, batch=arrays[call.batch], core=call.core, out=out)


def _apply(call: _Call, numbers: PyTree, variables: PyTree, arrays: dict[str, PyTree], keys: dict[str, Array]):
    dtype = arrays[call.batch].dtype
    numbers = _cast(numbers, dtype)
    params = jax.tree.map(lambda x: x.astype(dtype) if _is_floating(x) else x, variables)
    module = call.module(**dict(call.attributes), **numbers, parent=None)
    inputs = {**arrays, **keys, **dict(call.options)}
    if not call.mutable:
        return module.apply(params, **inputs, method=call.method), {}
    outputs, updates = module.apply(params, **inputs, method=call.method, mutable=list(call.mutable))
    kept = {name: variables[name] for name in updates}
    return outputs, jax.tree.map(lambda new, old: new.astype(old.dtype), unfreeze(updates), unfreeze(kept))


def _must_run_in_place(module: nn.Module, call: _Call) -> bool:
    """Whether variables are made, or values inside the module are asked for; or the attributes cannot be compared."""
    if module.scope is None or module.is_initializing():
        return True
    if any(map(module.is_mutable_collection, ("params", "intermediates"))):
        return True
    try:
        hash(call)
    except TypeError:
        return True
    return any(isinstance(x, nn.Module) for x in jax.tree.leaves(call.attributes))


def _run_in_place(module: nn.Module, call: _Call, arrays: dict[str, PyTree]) -> Any:
    """As a part of the caller's module, operation by operation. The method draws its key by itself."""
    arrays = replicated(arrays)
    return getattr(module, call.method)(**arrays, **dict(call.options))


def _attributes(module: nn.Module) -> tuple[tuple[tuple[str, Any], ...], dict[str, PyTree]]:
    """Attributes that are static, and those that hold arrays."""
    fields = [field for field in dataclasses.fields(module) if field.init and field.name not in ("parent", "name")]
    values = {field.name: _plain(field, getattr(module, field.name)) for field in fields}
    dynamic = {name: x for name, x in values.items() if any(isinstance(y, jax.Array) for y in jax.tree.leaves(x))}
    return tuple((name, x) for name, x in values.items() if name not in dynamic), dynamic


def _plain(field: dataclasses.Field, value: Any) -> Any:
    """Sequences as tuples, arrays as Python numbers; floating JAX arrays, which may be traced, as they are."""
    many = isinstance(field.default, tuple)
    if isinstance(value, np.ndarray | jax.Array) and value.ndim == 1 and many:
        value = list(value)
    if isinstance(value, list | tuple):
        return tuple(_plain(field, x) for x in value)
    if not isinstance(value, np.generic | np.ndarray | jax.Array):
        return value
    if value.ndim:
        expected = "a sequence of numbers" if many else "a number"
        raise ValueError(f"{field.name} must be {expected}, got an array of shape {value.shape}")
    stays = isinstance(value, jax.core.Tracer) or (isinstance(value, jax.Array) and _is_floating(value))
    return value if stays else value.item()


def _real_arrays(name: str, tree: PyTree) -> PyTree:
    """JAX arrays of a pytree, in which lists are arrays."""
    arrays = jax.tree.map(partial(dense_array, name), tree, is_leaf=lambda x: isinstance(x, list))
    for x in jax.tree.leaves(arrays):
        if not any(jnp.issubdtype(x.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
            raise TypeError(f"{name} must be real, got {x.dtype}")
    return arrays


def _dtype(batch: Array, variables: PyTree) -> Any:
    """The type of all computations: the widest of the batch's and the parameters', at least float32."""
    return at_least_float32(float_type(batch, *filter(_is_floating, jax.tree.leaves(variables))))


def _cast(tree: PyTree, dtype: Any) -> PyTree:
    return jax.tree.map(lambda x: x.astype(dtype), tree)


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _fill(x: Array) -> Array:
    """An array of one image in place of one of none."""
    return x if x.size else jnp.zeros([n or 1 for n in x.shape], x.dtype)


def _without_batch(out: PyTree, outputs: PyTree) -> PyTree:
    """Outputs for no image, of the shapes and types of those for one."""

    def of_one(axis: int, x: Any) -> Array:
        shape = [0 if i == axis else n for i, n in enumerate(x.shape)]
        return jnp.zeros(shape, x.dtype)

    return jax.tree.map(lambda axis, tree: jax.tree.map(partial(of_one, axis), tree), out, outputs)
