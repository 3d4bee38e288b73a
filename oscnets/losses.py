"""Training objectives, and sums of them over time or pixels whose gradients are taken in the same pass."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import Array
from jax.custom_derivatives import SymbolicZero

from oscnets._groups import direction, group_sums
from oscnets._inputs import (
    at_least_float32,
    floats,
    hot_targets,
    standard_promotion,
    whole_number,
)
from oscnets._platform import sizes
from oscnets._sharding import WHOLE, batch_sharded
from oscnets.phase import modulus, powers

__all__ = ["binary_cross_entropy", "cluster_synchrony", "mean_over_pixels", "mean_over_time", "streaming_sum"]

PyTree = Any
_SMALL = 256  # numbers; gradients of so many at most are summed in one array, which takes one kernel


def __dir__() -> list[str]:
    return __all__


@standard_promotion
def cluster_synchrony(
    phases: Array,
    masks: Array,
    amplitude: Array | None = None,
    silent: Literal["exclude", "zero"] = "exclude",
    normalization: Literal["bounded", "half"] = "bounded",
) -> Array:
    """Distance of phases from one tight cluster per group, the clusters evenly spread (KomplexNet, equation 2).

        [ mean_g V_g + sum_{m=1..G//2} |sum_g e^{i m <phase>_g}|^2 / (2 G m^2) ] / (1 + (G/2) sum_{m=1..G//2} 1/m^2)

    V_g is the circular variance of group g in a channel, averaged over channels; <phase>_g is the angle of the sum of
    e^{i phase} over its pixels and channels (after Ricci et al. 2021).

    Args:
        phases: (..., H, W, C) radians. Half precision is computed in float32.
        masks: (..., H, W, G), bool or 0/1; leading axes broadcast against those of `phases`.
        amplitude: (..., H, W, C) or None. A unit of amplitude 0 is silent.
        silent: "exclude" leaves silent units out of means and sizes; "zero" counts them with phase 0, as the published
            code does. Without `amplitude` nothing is silent.
        normalization: "bounded" divides as in the equation; "half" divides by 2 whatever G is (GASPnet, equation 7).
            They are equal for two groups.

    Returns:
        (...,), to rounding in [0, 1] where it is "bounded"; 0 is perfect. A group without units has V = 0 and mean
        phase 0. Gradients are finite everywhere, and 0 in the phases of units that do not count: those in no mask and
        silent ones, whose phases may be NaN. NaN where phase or amplitude of another unit is.

    Raises:
        ValueError: shapes that do not fit, no group, class indices in place of masks (integers of several values,
            unless they are traced), or another value of `silent` or `normalization`.
    """
    if normalization not in ("bounded", "half"):
        raise ValueError(f"normalization must be 'bounded' or 'half', got {normalization!r}")
    size, real, imag = group_sums(phases, masks, amplitude, silent)
    variance = jnp.where(size > 0, 1 - modulus(real, imag) / jnp.where(size > 0, size, 1), 0)
    value, groups = variance.mean((-2, -1)), size.shape[-2]
    for m, (cosines, sines) in enumerate(powers(*direction(real.sum(-1), imag.sum(-1)), groups // 2), start=1):
        value += (cosines.sum(-1) ** 2 + sines.sum(-1) ** 2) / (2 * groups * m**2)
    whole = 1 + groups / 2 * sum(1 / m**2 for m in range(1, groups // 2 + 1))
    return value / (whole if normalization == "bounded" else 2)


@standard_promotion
def binary_cross_entropy(logits: Array, targets: Array) -> Array:
    """Binary cross-entropy with logits, nats, averaged over the last axis.

    Args:
        logits: (..., K). Half precision is computed in float32.
        targets: (..., K) in [0, 1]; of logits (T, B, ..., K) over time also (B, ..., K), the same at every step.

    Returns:
        (...,), NaN where a logit is.

    Raises:
        ValueError: targets of another shape, as class indices have; values outside [0, 1], unless they are traced.
    """
    (logits,) = floats(logits=logits)
    logits = logits.astype(at_least_float32(logits.dtype))
    return (jax.nn.softplus(logits) - logits * hot_targets(logits, targets)).mean(-1)


def streaming_sum(
    fn: Callable[[PyTree, PyTree, PyTree], tuple[Array, PyTree]], shared: PyTree, xs: PyTree, data: PyTree = ()
) -> tuple[Array, PyTree]:
    """The sum over t of a scalar `fn(shared, xs[t], data[t])`, without storing the intermediates of `fn`.

    When it is differentiated, the gradient of each term is taken in the same pass as its value. Memory then does not
    grow with the number of terms, except for the gradient in `xs` itself. It sums a loss over time, over chunks of
    pixels or over slices of a batch.

    Args:
        fn: returns (scalar, auxiliary pytree); closes over no traced array.
        shared: pytree of float arrays that every term uses; differentiated.
        xs: pytree of float arrays, terms along the first axis; differentiated.
        data: pytree of arrays of any dtype, terms along the first axis; not differentiated.

    Returns:
        The sum, and the auxiliary values stacked along a new first axis; these carry no gradient. Derivatives of either
        mode and any order are right.
    """
    return _streaming_sum(fn, shared, xs, data)


@standard_promotion
@batch_sharded("states", core=0, out=WHOLE)
def mean_over_time(
    step_loss: Callable[[PyTree, PyTree, PyTree], Array], shared: PyTree, states: PyTree, targets: PyTree = ()
) -> Array:
    """Mean over time of a loss of each step, by `streaming_sum`: nothing inside `step_loss` is stored for gradients.

    A CPU takes one step at a time, other devices as many as have 16 million numbers in their states.

    For a KomplexNet, with `run = network.apply(variables, images, method="synchronize")`:

        def step_loss(shared, state, targets):
            variables, context = shared
            logits = network.apply(variables, state, context, method="classify_step")
            return losses.binary_cross_entropy(logits, targets).mean()

        loss = losses.mean_over_time(step_loss, (variables, run.context), run.states, targets)

    Args:
        step_loss: (shared, state of one step, targets) -> scalar; closes over no traced array.
        shared: pytree of float arrays that every step uses; differentiated.
        states: pytree of float arrays (T, B, ...); differentiated.
        targets: pytree of arrays of any dtype, the same at every step; not differentiated.

    Returns:
        (), the mean over the T steps.

    Raises:
        ValueError: states of different numbers of steps, or of none.
    """
    lengths = {np.shape(x)[:1] for x in jax.tree.leaves(states)}
    if len(lengths) != 1 or not all(lengths) or (0,) in lengths:
        raise ValueError(f"states must have a first axis of T >= 1 steps, got lengths {sorted(lengths)}")
    ((length,),) = lengths
    # Batch last, as the models compute: their transposition, this one and that of each step cancel in XLA.
    batch_last = jax.tree.map(lambda x: rearrange(x, "t b ... -> t ... b"), states)
    numbers = sum(x.size for x in jax.tree.leaves(batch_last)) // length
    count = _largest_divisor(length, sizes().state_numbers // max(numbers, 1))
    batch_last = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]), batch_last)
    repeated = jax.tree.map(lambda x: jnp.broadcast_to(x, (length // count, *jnp.shape(x))), targets)

    def of_steps(shared: PyTree, states: PyTree, targets: PyTree) -> tuple[Array, tuple[()]]:
        def of_step(state: PyTree) -> Array:
            return step_loss(shared, jax.tree.map(lambda x: rearrange(x, "... b -> b ..."), state), targets)

        if count == 1:
            return of_step(jax.tree.map(lambda x: x[0], states)), ()
        return jax.vmap(of_step)(states).sum(), ()

    return streaming_sum(of_steps, shared, batch_last, repeated)[0] / length


def _largest_divisor(number: int, limit: int) -> int:
    """The largest divisor up to a limit; at least 1."""
    return max((n for n in range(1, min(limit, number) + 1) if number % n == 0), default=1)


@standard_promotion
@batch_sharded("features", core=3, out=WHOLE)
def mean_over_pixels(
    pixel_loss: Callable[[PyTree, Array, Array], Array],
    shared: PyTree,
    features: Array,
    targets: Array,
    *,
    chunk: int | None = None,
) -> Array:
    """Mean over pixels of a loss of each pixel, by `streaming_sum` over chunks: no hidden layer of a pixel is stored.

    For a segmenter, with `features = network.apply(variables, images, method="features").pixels`:

        def pixel_loss(variables, features, labels):
            logits = network.apply(variables, features, method="classify_pixels")
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels)

        loss = losses.mean_over_pixels(pixel_loss, variables, features, labels)

    Args:
        pixel_loss: (shared, features (n, F), targets (n, ...)) -> (n,); closes over no traced array.
        shared: pytree of float arrays that every pixel uses; differentiated.
        features: (B, H, W, F); differentiated.
        targets: (B, H, W, ...), of any dtype; not differentiated.
        chunk: the largest number of pixels taken at a time; the largest divisor of B H W up to it is. None: 4,096 on a
            CPU, whose caches hold their layers, and 65,536 elsewhere.

    Returns:
        (), the mean over the B H W pixels; of no pixels NaN.

    Raises:
        ValueError: features of another rank, targets that do not fit them, chunk below 1.
    """
    (features,), targets = floats(features=features), jnp.asarray(targets)
    if features.ndim != 4 or targets.shape[:3] != features.shape[:3]:
        raise ValueError(
            f"features must be (B, H, W, F) and targets (B, H, W, ...), got {features.shape} and {targets.shape}"
        )
    chunk = sizes().classifier_pixels if chunk is None else whole_number("chunk", chunk, 1)
    pixels = math.prod(features.shape[:3])
    size = _largest_divisor(pixels, chunk)
    # Pixels last, as the models compute: their transposition, this one and that of each chunk cancel in XLA.
    flat = rearrange(features, "b h w f -> f (h w b)")
    labels = rearrange(targets, "b h w ... -> (h w b) ...")

    def of_chunk(shared: PyTree, features: Array, targets: Array) -> tuple[Array, tuple[()]]:
        return pixel_loss(shared, features.T, targets).sum(), ()

    chunks = rearrange(flat, "f (n p) -> n f p", p=size), rearrange(labels, "(n p) ... -> n p ...", p=size)
    return jnp.divide(streaming_sum(of_chunk, shared, *chunks)[0], pixels)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _streaming_sum(fn, shared, xs, data):
    def body(total, x):
        value, aux = fn(shared, *x)
        return total + value.astype(total.dtype), aux

    return jax.lax.scan(body, _zero(), (xs, data))


def _zero() -> Array:
    return jnp.zeros((), jnp.result_type(float))


@partial(_streaming_sum.defjvp, symbolic_zeros=True)
def _streaming_sum_jvp(fn, primals, tangents):
    """The gradient of every term, taken with its value; the tangent is its product with the arguments' tangents."""
    (shared, xs, data), (d_shared, d_xs, _) = primals, tangents
    varying = tuple(i for i, tangent in enumerate((d_shared, d_xs)) if not _is_constant(tangent))
    differentiate = jax.value_and_grad(fn, argnums=varying, has_aux=True)

    def body(state, x):
        (value, aux), gradients = differentiate(shared, *x)
        of_shared, of_x = (gradients[varying.index(i)] if i in varying else None for i in (0, 1))
        total, gradient = state
        return (total + value.astype(total.dtype), jax.tree.map(jnp.add, gradient, _pack(of_shared))), (aux, of_x)

    start = (_zero(), jax.tree.map(jnp.zeros_like, _pack(shared if 0 in varying else None)))
    (total, of_shared), (aux, of_xs) = jax.lax.scan(body, start, (xs, data))
    tangent = jnp.zeros_like(total)
    for i, gradient, change in ((0, _unpack(of_shared, shared), d_shared), (1, jax.tree.leaves(of_xs), d_xs)):
        if i in varying:
            products = map(_product, gradient, _leaves(change))
            tangent += sum(x.astype(tangent.dtype) for x in products)
    return (total, aux), (tangent, jax.tree.map(_no_tangent, aux))


def _is_small(x: Array) -> bool:
    return x.size <= _SMALL and x.dtype == jnp.float32


def _pack(tree: PyTree) -> tuple[list[Array], Array | None]:
    """The leaves of a pytree that are not small, and all that are in one vector; None where there is none."""
    leaves = list(map(jnp.asarray, jax.tree.leaves(tree)))
    small = [x.ravel() for x in leaves if _is_small(x)]
    return [x for x in leaves if not _is_small(x)], jnp.concatenate(small) if small else None


def _unpack(packed: tuple[list[Array], Array | None], like: PyTree) -> list[Array]:
    """The leaves of a pytree of which `like` has the shapes; [] where nothing was packed."""
    large, small = packed
    if small is None:
        return large
    leaves, sources = list(map(jnp.asarray, jax.tree.leaves(like))), iter(large)
    ends = np.cumsum([x.size for x in leaves if _is_small(x)])[:-1]
    parts = iter(jnp.split(small, ends))
    return [next(parts).reshape(x.shape) if _is_small(x) else next(sources) for x in leaves]


def _product(gradient: Array, change: Any) -> Array:
    return jnp.zeros(()) if isinstance(change, SymbolicZero) else (gradient * change).sum()


def _leaves(tangent: PyTree) -> list[Any]:
    return jax.tree.leaves(tangent, is_leaf=lambda x: isinstance(x, SymbolicZero))


def _is_constant(tangent: PyTree) -> bool:
    return all(isinstance(x, SymbolicZero) for x in _leaves(tangent))


def _no_tangent(x: Array) -> Any:
    return jnp.zeros_like(x) if jnp.issubdtype(x.dtype, jnp.inexact) else np.zeros(x.shape, jax.dtypes.float0)
