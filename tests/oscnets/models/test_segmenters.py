"""Segmenters at small sizes: counts of parameters, two ways to a loss, gradients, what is kept, batch, seeds.

That they compute the published numbers is shown in test_interop_waves.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from oscnets import _platform, losses, models
from oscnets.models import pixel_head, unet
from tests.helpers import assert_close, assert_finite, random_like

MULTI = {"channels": 16, "hidden": (32,) * 5}
TETRIS = {"num_classes": 6}
COUNTS = [
    (models.NeuralWaveMachine(), 1, 176_545),
    (models.NeuralWaveMachine(**TETRIS), 3, 176_124),
    (models.NeuralWaveMachine(**MULTI), 1, 54_855),
    (models.NeuralWaveMachine(readout="fft"), 1, 171_445),
    (models.NeuralWaveMachine(readout="last"), 1, 145_845),
    (models.NeuralWaveMachine(readout="mean"), 1, 145_845),
    (models.NeuralWaveMachine(readout="max"), 1, 145_845),
    (models.ConvLSTM(), 1, 151_467),
    (models.ConvLSTM(**TETRIS), 3, 151_046),
    *[
        (models.CNN(depth=depth), 1, count)
        for depth, count in {2: 160_499, 4: 165_139, 8: 174_419, 16: 192_979, 32: 230_099}.items()
    ],
    *[
        (models.CNN(depth=depth, **TETRIS), 3, count)
        for depth, count in {2: 159_502, 4: 164_142, 8: 173_422, 16: 191_982, 32: 229_102}.items()
    ],
    *[(models.UNet(m), 1, count) for m, count in {2: 30_745, 3: 68_834, 4: 122_071, 5: 190_456}.items()],
]

SMALL = {"hidden": (6,), "num_classes": 4, "mid_channels": 3}
WAVES = models.NeuralWaveMachine(num_steps=8, dt=0.2, **SMALL)
LSTM = models.ConvLSTM(num_steps=3, readout="max", **SMALL)
CNN = models.CNN(depth=2, channels=3, bins=3, hidden=(6,), num_classes=4)
UNET = models.UNet(width=2, num_classes=4)
SEGMENTERS = {"waves": WAVES, "apart": WAVES.clone(hidden=(14,)), "lstm": LSTM, "cnn": CNN}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(("module", "colours", "expected"), COUNTS)
def test_counts_of_parameters(module, colours, expected):
    images = jnp.zeros((1, 16, 16, colours))
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), images))
    assert count(variables["params"]) == expected


def scenes(size=16, batch=2, colours=1):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(batch, size, size, colours)).astype(np.float32)
    return jnp.asarray(images), jnp.asarray(rng.integers(0, 4, size=(batch, size, size)))


def parameters(module, images, seed=0):
    """Drawn, not initialized: small, except for the wave machine's Laplacian."""
    variables = random_like(lambda: module.init(jax.random.key(seed), images))
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(lambda x: 1 + jnp.abs(x), variables["batch_stats"])
    return variables


entropy = optax.softmax_cross_entropy_with_integer_labels


@partial(jax.jit, static_argnums=0)
def run(module, variables, images):
    return module.apply(variables, images)


def pixel_entropy(module, params, features, labels):
    logits = module.apply({"params": params}, features, method="classify_pixels")
    return entropy(logits, labels)


@partial(jax.jit, static_argnums=(0, 1))
def loss_and_gradient(module, chunk, variables, images, labels):
    """The mean cross-entropy, over chunks of so many pixels or (None) of all logits at once."""

    def value(params, images):
        if chunk is None:
            return entropy(module.apply({"params": params}, images).logits, labels).mean()
        features = module.apply({"params": params}, images, method="features").pixels
        return losses.mean_over_pixels(partial(pixel_entropy, module), params, features, labels, chunk=chunk)

    return jax.value_and_grad(value, argnums=(0, 1))(variables["params"], images)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_loss_in_chunks_is_the_loss_of_the_logits(name):
    module, (images, labels) = SEGMENTERS[name], scenes()
    variables = parameters(module, images)
    expected = loss_and_gradient(module, None, variables, images, labels)
    assert_close(loss_and_gradient(module, 100, variables, images, labels), expected, 1e-5)
    assert min(jnp.abs(x).max() for x in jax.tree.leaves(expected[1][0])) > 0  # every parameter matters
    assert_finite(loss_and_gradient(module, 100, variables, 0 * images, labels))


@pytest.mark.parametrize("name", ["waves", "lstm"])
def test_images_encoded_few_at_a_time_are_encoded_alike(name, monkeypatch):
    module, (images, labels) = SEGMENTERS[name], scenes(5, batch=6)
    variables = parameters(module, images)
    expected = loss_and_gradient(module, None, variables, images, labels)  # six images are 150 pixels: at once
    loops = lambda: str(jax.make_jaxpr(partial(module.apply, variables))(images)).count("scan[")  # noqa: E731
    at_once = loops()
    for pixels, more in ((100, 1), (10, 0)):  # three images at a time; none fits into 10
        with monkeypatch.context() as patch:
            patch.setattr("oscnets._platform._CPU", _platform._CPU._replace(encoder_pixels=pixels))
            jax.clear_caches()  # of programs with another number
            assert loops() == at_once + more
            if more:
                again = jax.jit(lambda *args: loss_and_gradient.__wrapped__(module, None, *args))
                assert_close(again(variables, images, labels), expected, 1e-5)


def test_logits_and_states_of_a_call_are_those_of_its_two_parts():
    images, _ = scenes(5)
    variables = parameters(WAVES, images)
    whole = run(WAVES, variables, images)
    features = jax.jit(partial(WAVES.apply, method="features"))(variables, images)
    some = WAVES.apply(variables, features.pixels[0, 1], method="classify_pixels")
    assert_close(some, whole.logits[0, 1], 1e-5)
    assert_close(features.states, whole.states, 1e-6)
    assert whole.logits.shape == (2, 5, 5, 4)
    assert whole.states.shape == (8, 2, 5, 5, 2)
    assert whole.inverted is None


WAYS = [
    {"gradient": "checkpoint"},
    {"gradient": "checkpoint", "checkpoint_every": 3},
    {"gradient": "reverse"},
    {"gradient": "reverse", "keep": "readout"},
    {"keep": "readout"},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "_".join(map(str, way.values())))
def test_gradients_do_not_depend_on_how_they_are_taken_and_what_is_kept(way):
    images, labels = scenes(5)
    variables = parameters(WAVES, images)
    expected = loss_and_gradient(WAVES, 50, variables, images, labels)
    assert_close(loss_and_gradient(WAVES.clone(**way), 50, variables, images, labels), expected, 1e-4)


def test_a_readout_alone_keeps_no_states_and_the_output_says_whether_steps_are_inverted():
    images, _ = scenes(5)
    variables = parameters(WAVES, images)
    module = WAVES.clone(keep="readout", gradient="reverse")
    out = run(module, variables, images)
    assert out.states is None
    assert out.inverted
    assert_close(out.logits, run(WAVES, variables, images).logits, 1e-5)
    variables["params"]["damping_encoder"]["bias_2"] += 4.5
    assert not run(module, variables, images).inverted


def test_an_image_does_not_depend_on_its_batch():
    images, _ = scenes(5)
    variables = parameters(WAVES, images)
    whole, alone = run(WAVES, variables, images), run(WAVES, variables, images[1:])
    assert_close(whole.logits[1:], alone.logits, 1e-5)
    assert_close(whole.states[:, 1:], alone.states, 1e-5)


def test_a_vmapped_seed_is_a_solo_run():
    images, labels = scenes(5)
    seeds = [parameters(WAVES, images), jax.tree.map(lambda x: -0.5 * x, parameters(WAVES, images))]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *seeds)
    every = jax.jit(jax.vmap(lambda variables: loss_and_gradient(WAVES, 50, variables, images, labels)))(stacked)
    assert_close(jax.tree.map(lambda x: x[1], every), loss_and_gradient(WAVES, 50, seeds[1], images, labels), 1e-5)


def test_the_wave_machine_starts_as_the_laplacian_and_encoders_as_pytorch_or_the_identity():
    kernel = models.laplace_kernel(3)
    assert kernel[1, 1, 2, 2] == -4
    assert kernel[0, 1, 1, 1] == 1
    assert (kernel[:, :, 0, 1] == 0).all()
    x = scenes(5, colours=3)[0].transpose(3, 1, 2, 0)
    identity = pixel_head.Encoder((4, 2), "relu", "identity")
    assert_close(jax.jit(identity.init_with_output)(jax.random.key(0), x)[0], x[:2], 1e-6)
    params = jax.jit(pixel_head.Encoder((40,), "relu").init)(jax.random.key(0), x)["params"]
    bound = 1 / np.sqrt(27)
    for drawn in params.values():
        assert 0.8 * bound < jnp.abs(drawn).max() <= bound


def test_the_receptive_field_of_a_cnn_grows_with_its_depth():
    images, _ = scenes(12, 1)
    module = models.CNN(depth=3, channels=4, bins=3, hidden=(6,), num_classes=4)
    variables = jax.tree.map(jnp.abs, parameters(module, images))  # so that no relu is 0
    logit = lambda x: module.apply(variables, x).logits[0, 6, 6].sum()  # noqa: E731
    field = jax.jit(jax.grad(logit))(images)[0, ..., 0]
    rows, columns = np.nonzero(field)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 9, 3, 9)


def test_batch_norm_trains_as_pytorch_does():
    """Normalization by the batch's biased variance; running statistics a tenth of the way, with the unbiased one."""
    images, _ = scenes(3, 2, colours=2)
    x = jnp.moveaxis(images, (0, 3), (3, 0))
    module = unet.BatchNorm()
    variables = module.init(jax.random.key(0), x, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
    out, changed = module.apply(variables, x, train=True, mutable=["batch_stats"])
    flat = np.asarray(x).reshape(2, -1)
    expected = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-5)
    assert_close(np.asarray(out).reshape(2, -1), expected, 1e-5)
    assert_close(changed["batch_stats"]["mean"], 0.1 * flat.mean(1), 1e-6)
    assert_close(changed["batch_stats"]["variance"], 0.9 + 0.1 * flat.var(1, ddof=1), 1e-6)
    assert_close(module.apply(variables, x, train=False), np.asarray(x) / np.float32(np.sqrt(1 + 1e-5)), 1e-6)


@pytest.mark.parametrize("size", [16, 21])
def test_a_unet_of_any_size_gives_every_pixel_its_logits(size):
    images, _ = scenes(size, 1)
    variables = parameters(UNET, images)
    out, changed = jax.jit(partial(UNET.apply, train=True, mutable=["batch_stats"]))(variables, images)
    assert out.logits.shape == (1, size, size, 4)
    assert changed["batch_stats"]["down_4"]["norm_1"]["mean"].shape == (32,)
    assert_finite((out, changed))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (WAVES.clone(gradient="none"), "gradient must be one of store, checkpoint, reverse, auto, got 'none'"),
        (WAVES.clone(keep="all"), "keep must be one of states, readout, got 'all'"),
        (WAVES.clone(checkpoint_every=3), "checkpoint_every needs gradient='checkpoint', got 'store'"),
        (WAVES.clone(readout="median"), "readout must be one of .* got 'median'"),
        (WAVES.clone(readout="fft", keep="readout"), "fft of a time series cannot be streamed"),
        (WAVES.clone(omega_start="zero"), "start must be 'default' or 'identity', got 'zero'"),
        (CNN.clone(depth=0), "depth must be >= 1, got 0"),
        (UNET, "at least 16 x 16"),
    ],
)
def test_bad_settings(module, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((2, 8, 8, 1))))


@pytest.mark.parametrize("module", [WAVES, LSTM, CNN, UNET])
def test_images_must_have_four_axes(module):
    with pytest.raises(ValueError, match=r"images must be \(B, H, W, C\), got shape \(16, 16, 1\)"):
        module.init(jax.random.key(0), jnp.zeros((16, 16, 1)))
