"""A matrix product whose gradients are as fast on a CPU as the product itself."""

from functools import partial

import jax.numpy as jnp
from jax import Array

from oscnets._inputs import precision
from oscnets._platform import cpu_barrier
from oscnets._products.linear import bilinear


def _product(_: None, a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=precision())


def _gradients(_: None, factors: tuple[Array, Array], ct_out: Array) -> tuple[Array, Array]:
    a, b = (jnp.swapaxes(x, -1, -2) for x in factors)
    # XLA's fast product on a CPU takes no transposed first matrix, and a transposition is merged into the product.
    return _product(None, ct_out, b), _product(None, cpu_barrier(a), ct_out)


# (..., M, K) times (..., K, N), with the same leading axes. The first one should be the smaller: it is transposed.
matmul = partial(bilinear(_product, _gradients), None)
