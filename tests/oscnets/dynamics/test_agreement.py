"""Couplings of queries and keys against their equations pair by pair, and by blocks against all at once."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import agreement, kuramoto
from tests.helpers import assert_close, assert_gradients, float64, in_float64

LAYERS = ((3, 4), (2, 2), (3,), (2,))
GAINS = agreement.Gains(5.0, -0.9, 7.0)


def arrays(lead=(2,), layers=LAYERS, dim=3, seed=0):
    rng = np.random.default_rng(seed)
    size = sum(np.prod(layer) for layer in layers)
    return rng.uniform(-4, 4, (*lead, size)), *rng.normal(size=(2, *lead, size, dim))


def naive_coupling(queries, keys, layers, gains):
    places = [(layer, *place) for layer, shape in enumerate(layers) for place in np.ndindex(shape)]
    r = np.zeros((len(places),) * 2)
    for i, to in enumerate(places):
        for j, start in enumerate(places):
            dense = len(to) == 2 or len(start) == 2
            apart = [abs(a - b) for a, b in zip(to[1:], start[1:], strict=False)]
            near = not dense and to[0] == start[0] and max(apart) <= 1
            r[i, j] = queries[i] @ keys[j] * (gains.neighbour if near else 1) - gains.offset
            r[i, j] *= gains.dense if dense else 1
    return r


def naive_step(phases, r, rate, floor):
    pulls = [sum(r[i, j] * np.sin(b - a) for j, b in enumerate(phases)) for i, a in enumerate(phases)]
    return phases + rate * np.array(pulls) / (np.abs(r).sum(-1) + floor)


@pytest.mark.parametrize("gains", [GAINS, agreement.Gains(1.0, 0.9, 0.01)], ids=str)
def test_coupling_and_step_are_equations_3_to_6(gains):
    phases, queries, keys = arrays()
    expected = [naive_coupling(q, k, LAYERS, gains) for q, k in zip(queries, keys, strict=True)]
    found = in_float64(lambda *args: agreement.coupling(*args, LAYERS, gains), queries, keys)
    assert_close(found, np.stack(expected), 1e-12)
    step = lambda *args: agreement.attention_step(*args, LAYERS, gains, rate=0.3, floor=1e-2)  # noqa: E731
    moved = np.stack([naive_step(x, r, 0.3, 1e-2) for x, r in zip(phases, expected, strict=True)])
    assert_close(in_float64(step, phases, queries, keys), moved, 1e-12)


def test_frozen_couplings_are_the_graph():
    phases, queries, keys = arrays()
    graph = lambda *args: kuramoto.agreement_step(args[0], agreement.coupling(*args[1:], LAYERS, GAINS), rate=0.4)  # noqa: E731
    step = lambda *args: agreement.attention_step(*args, LAYERS, GAINS, rate=0.4)  # noqa: E731
    assert_close(in_float64(step, phases, queries, keys), in_float64(graph, phases, queries, keys), 1e-13)
    shifted = in_float64(step, phases + 0.7, queries, keys) - 0.7
    assert_close(shifted, in_float64(graph, phases, queries, keys), 1e-13)


@pytest.mark.parametrize("lead", [(), (2, 2)], ids=str)
def test_blocks_are_the_whole_with_its_gradients(lead):
    """Blocks of one row, and of four, which do not divide the 21."""
    args, target = arrays(lead), np.linspace(-1, 1, 21)

    def run(limit):
        def value(*args):
            step = agreement.attention_step(*args, LAYERS, GAINS, rate=0.3, max_couplings=limit)
            return jnp.sum(jnp.asarray(target, step.dtype) * jnp.sin(step)), step

        return jax.value_and_grad(value, (0, 1, 2), has_aux=True)

    all_of_them = lambda *args: [run(limit)(*args) for limit in (args[0].size, 4 * args[0].size, 2**24)]  # noqa: E731
    *blocks, whole = in_float64(all_of_them, *args)
    for found in blocks:
        assert_close(found, whole, 1e-12)
    if lead:
        single = jax.jit(run(4 * args[0].size))(*(x.astype(np.float32) for x in args))
        assert_close(single, jax.tree.map(np.float32, whole), 1e-5)


def test_gradients_by_finite_differences():
    phases, queries, keys = arrays(())
    target = np.arange(1.0, 22.0) / 10

    def value(phases, queries, keys, rate, gains):
        step = agreement.attention_step(
            phases, queries, keys, LAYERS, agreement.Gains(*gains), rate=rate, max_couplings=100
        )
        return jnp.sum(target * jnp.sin(step))

    with float64():
        assert_gradients(value, phases, queries, keys, 0.3, np.array([3.0, -0.5, 2.0]))


def test_silent_oscillators_stay_with_finite_gradients():
    phases, queries, keys = (x.astype(np.float32) for x in arrays())
    value = lambda *args: jnp.sin(agreement.attention_step(*args, LAYERS, agreement.Gains(), rate=0.3)).sum()  # noqa: E731
    step = jax.jit(lambda *args: agreement.attention_step(*args, LAYERS, agreement.Gains(), rate=0.3))
    assert_close(step(phases, 0 * queries, keys), phases, 0)
    chex.assert_tree_all_finite(jax.jit(jax.grad(value, (0, 1, 2)))(phases, 0 * queries, 0 * keys))


def test_seeds_of_a_vmap():
    args = arrays((3,))
    step = lambda *args: agreement.attention_step(*args, LAYERS, GAINS, rate=0.3, max_couplings=100)  # noqa: E731
    run = lambda *args: (jax.vmap(step)(*args), jnp.stack([step(*(x[i] for x in args)) for i in range(3)]))  # noqa: E731
    assert_close(*in_float64(run, *args), 1e-13)


def test_memory_of_16384_positions():
    """The temporaries that XLA plans for value and gradient; the couplings would be 1 GiB each time they are stored."""
    value = lambda *args: jnp.sum(agreement.attention_step(*args, [(128, 128)], GAINS, rate=0.3) ** 2)  # noqa: E731
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((2**14,), (2**14, 32), (2**14, 32))]
    compiled = jax.jit(jax.value_and_grad(value, (0, 1, 2))).lower(*shapes).compile()
    assert 2**20 < compiled.memory_analysis().temp_size_in_bytes < 2**29


def test_a_cached_strength_is_not_summed_again():
    """Of a part of the first layer, and of the whole of it, with the gradients through the cache."""
    args, target = arrays(), np.linspace(-1, 1, 21)

    def value(cached, *args):
        step = agreement.attention_step(*args, LAYERS, GAINS, rate=0.3, cached_strength=cached(*args[1:]))
        return jnp.sum(target * jnp.sin(step))

    def part(queries, keys):
        return jnp.abs(agreement.coupling(queries, keys, LAYERS, GAINS)[:, :5, :5]).sum(-1)

    def layer(queries, keys):
        return agreement.strength(queries[:, :12], keys[:, :12], LAYERS[:1], GAINS)

    def run(*args):
        caches = (part, layer, lambda *_: None)
        return [jax.value_and_grad(partial(value, cached), (0, 1, 2))(*args) for cached in caches]

    *found, expected = in_float64(run, *args)
    for one in found:
        assert_close(one, expected, 1e-12)


@pytest.mark.parametrize("layers", [(), ((2, 2, 2),), ((3, 0),), ((), (3,))])
def test_layers_that_are_none(layers):
    with pytest.raises(ValueError, match=r"layers must be \(H, W\) or \(n,\) with positive sizes, got \("):
        agreement.coupling(jnp.zeros((3, 2)), jnp.zeros((3, 2)), layers, GAINS)


@pytest.mark.parametrize(
    ("phases", "queries", "keys", "options", "message"),
    [
        ((2, 21), (2, 21, 3), (2, 21, 4), {}, r"both be \(\.\.\., N, D\), got \(2, 21, 3\) and \(2, 21, 4\)"),
        ((2, 20), (2, 20, 3), (2, 20, 3), {}, r"have 21 oscillators, but queries are \(2, 20, 3\)"),
        ((21,), (2, 21, 3), (2, 21, 3), {}, r"phases must be \(2, 21\) .* got \(21,\)"),
        ((21,), (21,), (21,), {}, r"both be \(\.\.\., N, D\), got \(21,\)"),
        ((21,), (21, 3), (21, 3), {"max_couplings": 0}, "max_couplings must be >= 1, got 0"),
    ],
)
def test_shapes_that_do_not_fit(phases, queries, keys, options, message):
    with pytest.raises(ValueError, match=message):
        agreement.attention_step(*map(jnp.zeros, (phases, queries, keys)), LAYERS, GAINS, rate=0.1, **options)
