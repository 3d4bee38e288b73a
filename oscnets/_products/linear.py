"""Linear maps with a transpose of their own, for derivatives of either mode and of any order.

The transpose that automatic differentiation makes of a product keeps neither the order of its axes nor the choice of
what is stored, and costs a multiple of one written by hand. `jax.custom_vjp` takes such a transpose but has no forward
mode. Here the rule of a `jax.custom_jvp` gives the tangent as a `linear_map`, and reverse mode takes its transpose.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from oscnets._inputs import precision, standard_promotion

PyTree = Any


class Linear(NamedTuple):
    """A map that is linear in its last argument, and its transpose; both close over no array.

    Attributes:
        forward: (static, residuals, tangents) -> tangents of the output; an entry of the tangents that is None is 0.
        transpose: (static, residuals, cotangents of the output) -> cotangents, one for each entry of the tangents, also
            for those that are None.
    """

    forward: Callable[[Any, PyTree, tuple[PyTree, ...]], PyTree]
    transpose: Callable[[Any, PyTree, PyTree], tuple[PyTree, ...]]


def linear_map(linear: Linear, static: Hashable, residuals: PyTree, tangents: tuple[PyTree, ...]) -> PyTree:
    """Apply a linear map, for the rule of a `jax.custom_jvp` with symbolic zeros.

    Args:
        linear: the map.
        static: hashable, given to both of its functions.
        residuals: pytree of arrays. Derivatives in them, those of higher order, are taken of the functions' operations.
        tangents: pytrees of float arrays; symbolic zeros mark what does not vary.

    Returns:
        The output's tangents.
    """
    tangents = tuple(None if _is_zero(x) else jax.tree.map(_dense, x, is_leaf=_is_symbolic) for x in tangents)
    (flat_residuals, of_residuals), (flat, of_tangents) = map(jax.tree.flatten, (residuals, tangents))
    flat = _vary_alike(flat_residuals, flat)
    _, out = jax.make_jaxpr(partial(linear.forward, static), return_shape=True)(residuals, tangents)
    trees = (of_residuals, of_tangents, jax.tree.structure(out))
    spec = _Map(linear, static, trees, precision())
    return jax.tree.unflatten(spec.trees[2], _bind(spec, flat_residuals, flat))


def bilinear(
    product: Callable[[Any, Array, Array], Array], transpose: Callable[[Any, PyTree, Array], tuple[Array, Array]]
) -> Callable[[Any, Array, Array], Array]:
    """A product that is linear in each of two arrays, with a transpose written by hand.

    Args:
        product: (static, a, b) -> output, of the module itself.
        transpose: (static, (a, b), cotangent of the output) -> cotangents of a and b.

    Returns:
        The product, with derivatives of either mode and of any order.
    """

    def tangent(static: Any, factors: tuple[Array, Array], tangents: tuple[Array | None, Array | None]) -> Array:
        (a, b), (da, db) = factors, tangents
        parts = [] if da is None else [product(static, da, b)]
        parts += [] if db is None else [product(static, a, db)]
        return sum(parts)

    linear = Linear(tangent, transpose)
    fn = jax.custom_jvp(product, nondiff_argnums=(0,))

    @standard_promotion
    def rule(static: Any, factors: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
        return fn(static, *factors), linear_map(linear, static, factors, tangents)

    fn.defjvp(rule, symbolic_zeros=True)
    return fn


def _is_symbolic(x: Any) -> bool:
    return isinstance(x, SymbolicZero)


def _is_zero(tangent: PyTree) -> bool:
    return all(map(_is_symbolic, jax.tree.leaves(tangent, is_leaf=_is_symbolic)))


def _dense(x: Any) -> Array:
    return jnp.zeros(x.shape, x.dtype) if _is_symbolic(x) else x


def _vary_alike(residuals: list[Array], linear: list[Array]) -> list[Array]:
    """Inside a `shard_map`: linear arguments that vary over all axes that any argument varies over.

    The transpose of this conversion sums the cotangents over the axes.
    """
    axes = [_varies_over(x) for x in (*residuals, *linear)]
    everywhere = frozenset().union(*axes)
    missing = [tuple(everywhere - of_x) for of_x in axes[len(residuals) :]]
    vary = getattr(lax, "pcast", None)
    vary = partial(vary, to="varying") if vary else lax.pvary
    return [vary(x, names) if names else x for x, names in zip(linear, missing, strict=True)]


def _varies_over(x: Array) -> frozenset[str]:
    """Axes of a mesh, in JAX before 0.10 by another attribute."""
    kind = jax.typeof(x)
    return kind.mat.varying if hasattr(kind, "mat") else getattr(kind, "vma", frozenset())


@dataclass(frozen=True)
class _Map:
    """A linear map, or its transpose, of flat lists of arrays; hashable."""

    linear: Linear
    static: Hashable
    trees: tuple[Any, Any, Any]  # of residuals, tangents and output
    precision: str  # of its products: it is traced again where it is transposed, and where a program is lowered
    transposed: bool = False
    batch: tuple[tuple[bool, ...], ...] = ()  # for every vmap, the innermost first: which residuals have its axis

    def __call__(self, residuals: list[Array], linear: list[Array]) -> list[Array]:
        fn = self._run
        for mapped in self.batch:
            fn = jax.vmap(fn, in_axes=([0 if x else None for x in mapped], 0))
        with jax.default_matmul_precision(self.precision):
            return fn(list(residuals), list(linear))

    @standard_promotion
    def _run(self, residuals: list[Array], linear: list[Array]) -> list[Array]:
        of_residuals, of_tangents, of_out = self.trees
        residuals = jax.tree.unflatten(of_residuals, residuals)
        if not self.transposed:
            tangents = jax.tree.unflatten(of_tangents, linear)
            return jax.tree.leaves(self.linear.forward(self.static, residuals, tangents))
        cotangents = self.linear.transpose(self.static, residuals, jax.tree.unflatten(of_out, linear))
        wanted = [child.num_leaves > 0 for child in of_tangents.children()]
        return jax.tree.leaves(tuple(ct for ct, want in zip(cotangents, wanted, strict=True) if want))


_linear_map_p = Primitive("linear_map")
_linear_map_p.multiple_results = True


def _bind(spec: _Map, residuals: list[Array], linear: list[Array]) -> list[Array]:
    out = jax.make_jaxpr(spec)(residuals, linear).out_avals
    return _linear_map_p.bind(*residuals, *linear, spec=spec, count=len(residuals), out=tuple(out))


def _apply(*args: Array, spec: _Map, count: int, out: tuple) -> list[Array]:
    return spec(list(args[:count]), list(args[count:]))


def _jvp(primals, tangents, *, spec, count, out):
    del out
    residuals, linear = list(primals[:count]), list(primals[count:])
    value, total = _bind(spec, residuals, linear), None
    if not all(isinstance(x, ad.Zero) for x in tangents[count:]):
        total = _bind(spec, residuals, [ad.instantiate_zeros(x) for x in tangents[count:]])
    varying = [i for i, x in enumerate(tangents[:count]) if not isinstance(x, ad.Zero)]
    if varying:

        def of_varying(*some):
            replaced = dict(zip(varying, some, strict=True))
            return spec([replaced.get(i, x) for i, x in enumerate(residuals)], linear)

        _, more = jax.jvp(of_varying, [residuals[i] for i in varying], [tangents[i] for i in varying])
        total = more if total is None else [lax.add(a, b) for a, b in zip(total, more, strict=True)]
    return value, total


def _transpose(cotangents, *args, spec, count, out):
    del out
    cotangents = [ad.instantiate_zeros(ct) for ct in cotangents]
    results = _bind(replace(spec, transposed=not spec.transposed), list(args[:count]), cotangents)
    wanted = [ad.is_undefined_primal(x) for x in args[count:]]
    return [*[None] * count, *(ct if want else None for ct, want in zip(results, wanted, strict=True))]


def _batch(args, axes, *, spec, count, out):
    del out
    size = next(x.shape[axis] for x, axis in zip(args, axes, strict=True) if axis is not None)
    mapped = [x if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(args, axes, strict=True)]
    linear = [
        jnp.broadcast_to(x, (size, *jnp.shape(x))) if axis is None else x
        for x, axis in zip(mapped[count:], axes[count:], strict=True)
    ]
    has_axis = tuple(axis is not None for axis in axes[:count])
    results = _bind(replace(spec, batch=(*spec.batch, has_axis)), mapped[:count], linear)
    return results, [0] * len(results)


_linear_map_p.def_impl(jax.jit(_apply, static_argnames=("spec", "count", "out")))
_linear_map_p.def_abstract_eval(lambda *_, out, **__: out)
ad.primitive_jvps[_linear_map_p] = _jvp
ad.primitive_transposes[_linear_map_p] = _transpose
batching.primitive_batchers[_linear_map_p] = _batch
mlir.register_lowering(_linear_map_p, mlir.lower_fun(_apply, multiple_results=True))
