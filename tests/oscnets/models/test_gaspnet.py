"""GASPnet against its equations written out unit by unit, and against its baseline."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets.dynamics import agreement, kuramoto
from oscnets.models.gaspnet import FeedforwardNet, GASPnet
from tests.helpers import assert_close, assert_finite, float64, in_float64, random_like

SMALL = {"channels": (3, 4, 2), "hidden": 5, "num_classes": 3, "dim": 2, "num_steps": 2}
BATCH, SIDE = 2, 16


def arrays(net, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    count = sum(np.prod(layer) for layer in net.layers((SIDE, SIDE)))
    images = rng.uniform(size=(BATCH, SIDE, SIDE, channels)).astype(np.float32)
    return images, rng.normal(size=(BATCH, count)).astype(np.float32)


def parameters(net, images, **options):
    return random_like(lambda: net.init({"params": jax.random.key(0), "phases": jax.random.key(1)}, images, **options))


def naive_block(x, kernel, bias, norm, phase_in=None, phase_out=None, strength=0.0):
    """One image (H, W, C), tap by tap."""
    height, width, _ = x.shape
    y = np.zeros((height, width, kernel.shape[-1]))
    for row, column, i, j in itertools.product(range(height), range(width), range(3), range(3)):
        at = row + i - 1, column + j - 1
        if 0 <= at[0] < height and 0 <= at[1] < width:
            scale = 1
            if phase_in is not None:
                scale += strength * np.cos(phase_out[row // 2, column // 2] - phase_in[at])
            y[row, column] += scale * x[at] @ kernel[i, j]
    normalized = lambda x: (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5)  # noqa: E731
    y = np.maximum((normalized(y) if norm == "first" else y) + bias, 0)
    y = y.reshape(height // 2, 2, width // 2, 2, -1).max((1, 3))
    return normalized(y) if norm == "last" else y


def naive_dense(x, kernel, bias, phase_in=None, phase_out=None, strength=0.0):
    scale = 1 if phase_in is None else 1 + strength * np.cos(phase_out - phase_in[:, None])
    return (scale * kernel * x[:, None]).sum(0) + bias


def naive_pass(net, p, image, phases=None):
    """Activities of every layer from the image on; phases one array a layer with phases."""
    layers, skipped = [image], 0 if net.input_phases else 1
    ends = lambda i: () if phases is None or i < 0 else (phases[i], phases[i + 1], net.strength)  # noqa: E731
    for i in (1, 2, 3):
        block = p[f"block{i}_kernel"], p[f"block{i}_bias"]
        layers.append(naive_block(layers[-1], *block, net.norm, *ends(i - 1 - skipped)))
    flat, last = layers[-1].transpose(2, 0, 1).ravel(), 3 - skipped
    phase_in = (
        () if phases is None else (np.tile(phases[last].ravel(), net.channels[-1]), phases[last + 1], net.strength)
    )
    layers.append(np.maximum(naive_dense(flat, p["hidden_kernel"], p["hidden_bias"], *phase_in), 0))
    return [*layers, naive_dense(layers[-1], p["output_kernel"], p["output_bias"], *ends(last + 1))]


def naive_maps(net, p, layers, of):
    """Queries or keys of all oscillators, (N, D)."""
    rows = []
    for level, activity in enumerate(layers[:4]):
        if level or net.input_phases:
            rows.append(activity.reshape(-1, activity.shape[-1]) @ p[f"block{level}_{of}"])
    for name, activity in zip(("hidden", "output"), layers[4:], strict=True):
        vectors = p[f"{name}_{of}"]
        rows.append(activity[:, None] * np.repeat(vectors, len(activity) // len(vectors), axis=0))
    return np.concatenate(rows)


@partial(jax.jit, static_argnums=(3, 4, 5))
def couple_and_step(phases, queries, keys, shapes, gains, rate):
    """One step by the matrix of all couplings."""
    return kuramoto.agreement_step(phases, agreement.coupling(queries, keys, shapes, gains), rate=rate)


def naive(net, p, image, phases):
    """Logits and phases of one image at every step."""
    shapes = net.layers(image.shape[:2])
    cuts = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    gains = agreement.Gains(net.neighbour_gain, net.offset, net.dense_gain)
    layers = naive_pass(net, p, image)
    logits, trajectory = [layers[-1]], [phases]
    for _ in range(net.num_steps):
        maps = (naive_maps(net, p, layers, of) for of in ("query", "key"))
        with float64():
            phases = np.asarray(couple_and_step(phases, *maps, shapes, gains, net.rate))
        split = [part.reshape(shape) for part, shape in zip(np.split(phases, cuts), shapes, strict=True)]
        layers = naive_pass(net, p, image, split)
        logits.append(layers[-1])
        trajectory.append(phases)
    return np.array(logits), np.array(trajectory)


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({}, 1),
        ({"num_heads": 2, "start": "learned", "dense_maps": "node", "strength": 0.8, "norm": "first"}, 3),
        ({"input_phases": True, "rate": 2.0, "offset": 0.7, "dense_gain": 0.1}, 2),
    ],
    ids=str,
)
def test_logits_and_phases_step_by_step(options, channels):
    net = GASPnet(**SMALL | options)
    images, phases0 = (x.astype(np.float64) for x in arrays(net, channels))
    params = jax.tree.map(np.float64, parameters(net, images.astype(np.float32)))
    if net.start == "learned":
        phases0 = np.broadcast_to(params["params"]["start"], phases0.shape)
        out = in_float64(net.apply, params, images)
    else:
        out = in_float64(lambda *args: net.apply(*args[:2], phases0=args[2]), params, images, phases0)
    expected = [naive(net, params["params"], *pair) for pair in zip(images, phases0, strict=True)]
    logits, phases = (np.stack(each, axis=1) for each in zip(*expected, strict=True))
    assert_close(out.logits, logits.reshape(3, BATCH, *(2, 3) if net.num_heads == 2 else (3,)), 1e-9)
    assert_close(out.phases, phases, 1e-9)
    skipped = SIDE**2 if net.input_phases else 0
    assert_close(out.first_phases, phases[..., skipped : skipped + 64].reshape(3, BATCH, 8, 8), 1e-9)


@pytest.fixture(scope="module")
def small():
    """The network, its parameters, images and initial phases, float32."""
    net = GASPnet(**SMALL)
    images, phases0 = arrays(net)
    return net, parameters(net, images), images, phases0


def outputs_and_gradients(params, images, phases0):
    """Output, and gradients of a square of the logits in all arguments."""

    def value(*args):
        out = GASPnet(**SMALL).apply(args[0], args[1], phases0=args[2])
        return jnp.sum(out.logits**2), out

    return jax.grad(value, (0, 1, 2), has_aux=True)(params, images, phases0)[::-1]


@pytest.fixture(scope="module")
def solo(small):
    """One compiled program, and what it gives for the plain case."""
    run = jax.jit(outputs_and_gradients)
    return run, run(*small[1:])


def test_strength_0_is_the_plain_network_exactly(small):
    net, params, images, phases0 = small
    out = jax.jit(net.clone(strength=0.0).apply)(params, images, phases0=phases0)
    plain = FeedforwardNet(**{name: SMALL[name] for name in ("channels", "hidden", "num_classes")})
    shared = {"params": {k: v for k, v in params["params"].items() if not k.endswith(("query", "key"))}}
    expected = jax.jit(plain.apply)(shared, images)
    for logits in out.logits:
        assert np.array_equal(logits, expected)
    block = [np.asarray(shared["params"][f"block1_{name}"], np.float64) for name in ("kernel", "bias")]
    first = np.stack([naive_block(image, *block, plain.norm) for image in images])
    assert_close(jax.jit(partial(plain.apply, method="features"))(shared, images), first, 1e-4)
    assert np.abs(out.phases[-1] - phases0).max() > 0.1


def test_a_common_shift_of_the_phases_changes_nothing_but_them(small, solo):
    _, params, images, phases0 = small
    run, (here, gradients) = solo
    there, _ = run(params, images, phases0 + 1.3)
    assert_close(there.logits, here.logits, 1e-5)
    assert_close(there.phases - 1.3, here.phases, 1e-5)
    assert np.abs(here.logits[1:] - here.logits[0]).max() > 0.01
    # A common shift of the phases of an image has no derivative.
    assert_close(gradients[2].sum(1), np.zeros(BATCH, np.float32), 1e-4)


def test_gradients_at_zero_activity_are_finite(small, solo):
    _, params, images, phases0 = small
    run, (_, gradients) = solo
    assert_finite(run(params, 0 * images, phases0))
    assert_finite(run(jax.tree.map(jnp.zeros_like, params), images, phases0))
    assert np.abs(gradients[0]["params"]["block1_query"]).max() > 1e-3


def test_a_seed_of_a_vmap_is_a_solo_run(small, solo):
    net, params, images, phases0 = small
    run, (plain, _) = solo
    half = jax.tree.map(lambda x: 0.5 * x, params)
    both = jax.tree.map(lambda *x: jnp.stack(x), params, half)
    together = jax.jit(jax.vmap(lambda params: net.apply(params, images, phases0=phases0)))(both)
    for i, expected in enumerate((plain, run(half, images, phases0)[0])):
        assert_close(jax.tree.map(lambda x, i=i: x[i], together), expected, 1e-5)


def test_phases_are_drawn_anew_or_learned(small):
    net, params, images, _ = small
    run = jax.jit(lambda key: net.apply(params, images, rngs={"phases": key}).phases[0])
    drawn = np.concatenate([run(jax.random.key(seed)) for seed in range(20)])
    assert abs(drawn.mean()) < 0.1 and abs(drawn.std() - 1) < 0.1
    learned = net.clone(start="learned")
    shapes = jax.eval_shape(lambda: learned.init(jax.random.key(0), images))["params"]
    assert shapes["start"].shape == (8 * 8 + 4 * 4 + 2 * 2 + 5 + 3,)


def count(net, channels):
    keys = {"params": jax.random.key(0), "phases": jax.random.key(1)}
    shapes = jax.eval_shape(lambda: net.init(keys, jnp.zeros((1, 32, 32, channels))))
    return sum(x.size for x in jax.tree.leaves(shapes["params"]))


def test_sizes_of_the_model_and_its_baseline():
    """With two heads they match within 0.1 %; for multi-MNIST the published baseline is the smaller by 8 %."""
    assert sum(np.prod(layer) for layer in GASPnet().layers((32, 32))) == 362
    two_heads = GASPnet(num_heads=2, dim=16, start="learned")
    assert sum(np.prod(layer) for layer in two_heads.layers((32, 32))) == 372
    assert (count(two_heads, 3), count(FeedforwardNet(num_heads=2), 3)) == (28_282, 28_311)
    assert (count(GASPnet(), 1), count(FeedforwardNet(), 1)) == (30_120, 27_637)


@pytest.mark.parametrize(
    ("options", "images", "phases", "message"),
    [
        ({}, (2, 32, 20, 1), None, r"divisible by 8, got shape \(2, 32, 20, 1\)"),
        ({}, (32, 32, 1), None, r"divisible by 8, got shape \(32, 32, 1\)"),
        ({}, (2, 16, 16, 1), (2, 91), r"phases0 must be \(2, 92\).*got \(2, 91\)"),
        ({"norm": "none"}, (2, 16, 16, 1), (2, 92), "norm must be 'last' or 'first', got 'none'"),
        ({"dense_maps": "all"}, (2, 16, 16, 1), (2, 92), "dense_maps must be 'layer' or 'node', got 'all'"),
        ({"start": "zero"}, (2, 16, 16, 1), (2, 92), "start must be 'normal' or 'learned', got 'zero'"),
    ],
)
def test_bad_input(options, images, phases, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda: GASPnet(**SMALL | options).init(
                jax.random.key(0), jnp.zeros(images), phases0=None if phases is None else jnp.zeros(phases)
            )
        )
