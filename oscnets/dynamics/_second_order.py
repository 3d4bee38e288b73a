"""Linear recurrences of two states per unit with constant coefficients, in four ways of one contract.

    (z, y)_k = M (z, y)_{k-1} + F u_k,    k = 1 ... L

Arrays have the layout (L, P, N): steps, units, and the sequences of a batch. A matrix M is a tuple of its entries, row
by row, (P, 1) each; a pair holds the two states.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from oscnets._inputs import precision
from oscnets._platform import on_cpu

Matrix = tuple[Array, Array, Array, Array]
Pair = tuple[Array, Array]
CHUNK = 32  # steps of a matrix product; the work grows with it, the number of products falls


def apply(matrix: Matrix, state: Pair) -> Pair:
    """M (z, y)."""
    (a, b, c, d), (z, y) = matrix, state
    return a * z + b * y, c * z + d * y


def product(left: Matrix, right: Matrix) -> Matrix:
    """The matrix product, unit by unit."""
    (a, b, c, d), (e, f, g, h) = left, right
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def by_scan(matrix: Matrix, gain: Pair, drive: Array, start: Pair) -> Pair:
    """Step by step."""

    def step(state: Pair, u: Array) -> tuple[Pair, Pair]:
        state = jax.tree.map(jnp.add, apply(matrix, state), (gain[0] * u, gain[1] * u))
        return state, state

    return jax.lax.scan(step, start, drive)[1]


def by_associative_scan(matrix: Matrix, gain: Pair, drive: Array, start: Pair) -> Pair:
    """In a number of rounds that grows with the logarithm of L. M is constant: each round squares one matrix."""
    received = gain[0] * drive, gain[1] * drive
    return _accumulate(matrix, _add_to_first(received, apply(matrix, start)))


def _add_to_first(received: Pair, state: Pair) -> Pair:
    return tuple(x.at[0].add(s) for x, s in zip(received, state, strict=True))  # type: ignore[return-value]


def _accumulate(matrix: Matrix, received: Pair) -> Pair:
    """sum_j M^(k-j) received_j: pairs of steps are merged, half as many solved, and the steps between filled in."""
    length = len(received[0])
    if length <= 1:
        return received
    even, odd = (jax.tree.map(lambda x, i=i: x[i::2], received) for i in (0, 1))
    paired = jax.tree.map(lambda x: x[: length // 2], even)
    merged = jax.tree.map(jnp.add, apply(matrix, paired), odd)
    solved = _accumulate(product(matrix, matrix), merged)
    before = jax.tree.map(lambda x: jnp.concatenate([jnp.zeros_like(x[:1]), x])[: (length + 1) // 2], solved)
    between = jax.tree.map(jnp.add, apply(matrix, before), even)
    return jax.tree.map(lambda a, b: _interleave(a, b, length), between, solved)


def _interleave(even: Array, odd: Array, length: int) -> Array:
    odd = jnp.pad(odd, ((0, len(even) - len(odd)), *[(0, 0)] * (odd.ndim - 1)))
    return jnp.stack([even, odd], axis=1).reshape(-1, *even.shape[1:])[:length]


def by_chunks(matrix: Matrix, gain: Pair, drive: Array, start: Pair) -> Pair:
    """By matrix products of each chunk of steps with the impulse response; the chunks' last states follow in order."""
    length, units, batch = drive.shape
    size = min(CHUNK, length)
    chunks = -(-length // size)
    blocks = jnp.pad(drive, ((0, chunks * size - length), (0, 0), (0, 0))).reshape(chunks, size, units, batch)
    response, through = _powers(matrix, gain, size), _power(matrix, size)
    ends = tuple(jnp.einsum("kp,ckpn->cpn", x[::-1], blocks, precision=precision()) for x in response)

    before = _before_each(through, ends, start)
    one, zero = jnp.ones_like(gain[0]), jnp.zeros_like(gain[0])
    decay = [_powers(matrix, apply(matrix, unit), size) for unit in ((one, zero), (zero, one))]
    lags = jnp.arange(size)[:, None] - jnp.arange(size)

    def of_state(i: int) -> Array:
        toeplitz = jnp.where((lags >= 0)[..., None], response[i][jnp.maximum(lags, 0)], 0)
        weights = jnp.concatenate([toeplitz, *(d[i][:, None] for d in decay)], axis=1)
        inputs = jnp.concatenate([blocks, *(x[:, None] for x in before)], axis=1)
        out = jnp.einsum("ijp,cjpn->cipn", weights, inputs, precision=precision())
        return out.reshape(chunks * size, units, batch)[:length]

    return of_state(0), of_state(1)


def _before_each(matrix: Matrix, received: Pair, start: Pair) -> Pair:
    """States before each step of x_k = M x_{k-1} + received_k."""
    if on_cpu():

        def step(state: Pair, new: Pair) -> tuple[Pair, Pair]:
            return jax.tree.map(jnp.add, apply(matrix, state), new), state

        return jax.lax.scan(step, start, received)[1]
    # Compiled for an H100, a layer of 4,096 steps has 19 kernels, and 90 with gradients; with a loop 526 and 1,848.
    after = _accumulate(matrix, _add_to_first(received, apply(matrix, start)))
    return jax.tree.map(lambda first, x: jnp.concatenate([first[None], x[:-1]]), start, after)


def by_fft(matrix: Matrix, gain: Pair, drive: Array, start: Pair) -> Pair:
    """By a product with the Fourier transform of the impulse response, padded so that its end does not wrap around."""
    length = len(drive)
    size = 1 << (2 * length - 1).bit_length()
    spectrum = jnp.fft.rfft(drive, size, axis=0)
    own = _trajectory(matrix, start, length)

    def of_state(response: Array, own: Array) -> Array:
        kernel = jnp.fft.rfft(response[..., None], size, axis=0)
        return jnp.fft.irfft(kernel * spectrum, size, axis=0)[:length] + own

    return tuple(map(of_state, _powers(matrix, gain, length), own))  # type: ignore[return-value]


def _powers(matrix: Matrix, state: Pair, length: int) -> Pair:
    """M^j (z, y) for j = 0 ... length - 1, (length, P) each, of a state (P, 1)."""
    return tuple(x[..., 0] for x in _doubled(matrix, state, length))  # type: ignore[return-value]


def _trajectory(matrix: Matrix, start: Pair, length: int) -> Pair:
    """M^k (z, y) for k = 1 ... length, (length, P, N) each."""
    return _doubled(matrix, apply(matrix, start), length)


def _doubled(matrix: Matrix, state: Pair, length: int) -> Pair:
    found = jax.tree.map(lambda x: x[None], state)
    while len(found[0]) < length:
        found = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), found, apply(matrix, found))
        matrix = product(matrix, matrix)
    return jax.tree.map(lambda x: x[:length], found)


def _power(matrix: Matrix, exponent: int) -> Matrix:
    """M^exponent, exponent >= 1, by squaring."""
    result = None
    while True:
        if exponent % 2:
            result = matrix if result is None else product(result, matrix)
        exponent //= 2
        if not exponent:
            return result  # type: ignore[return-value]
        matrix = product(matrix, matrix)


METHODS: dict[str, Callable[[Matrix, Pair, Array, Pair], Pair]] = {
    "scan": by_scan,
    "associative": by_associative_scan,
    "chunk": by_chunks,
    "fft": by_fft,
}
