"""Rotating Features and the Complex AutoEncoder: published numbers and gradients, the equations, gradients at 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import grouping, interop, models
from oscnets.models.rotating_features import RotatingLayer
from tests.helpers import assert_finite, golden_case, golden_cases, random_like, random_variables
from tests.oscnets.models.test_kuramoto_layer import assert_gradient, last, under

ROTATING = [pytest.param(*found, id=found[0]) for found in golden_cases("rf_autoencoder*.npz")]


def as_stored(features):
    """(B, H, W, C, n) -> (B, n, C, H, W)."""
    return np.transpose(features, (0, 4, 3, 1, 2))


def complex_of(x):
    return np.asarray(x[..., 0] + 1j * x[..., 1])


def flat(tree):
    return {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(tree)}


def trained(module, variables, images, target):
    """Loss, output, running statistics after the pass, and gradient of one step in training."""

    def loss(params):
        options = {"train": True, "mutable": ["batch_stats"]}
        out, updates = module.apply({**variables, "params": params}, images, **options)
        return ((out.reconstruction - target) ** 2).mean(), (out, updates["batch_stats"])

    (value, (out, stats)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    return value, out, stats, gradients


def variables_of(kind, arrays, folder):
    """Variables of a state dict whose keys in a folder replace those of param/."""
    state = under(arrays, "param/")
    return interop.from_torch(kind, {key: arrays.get(f"{folder}{key}", x) for key, x in state.items()})


def assert_autoencoder(kind, arrays, gradient_tolerance, check):
    module, variables = variables_of(kind, arrays, "param/")
    images = last(arrays["x"])
    capture = {"capture_intermediates": True, "mutable": ["intermediates"]}
    evaluated, kept = jax.jit(lambda *x: module.apply(*x, **capture))(variables, images)
    loss = ((evaluated.reconstruction - images) ** 2).mean()
    value, out, stats, gradients = trained(module, variables, images, images)
    for name, found, error in (("eval", evaluated, loss), ("train", out, value)):
        check(found, under(arrays, f"{name}/"))
        np.testing.assert_allclose(error, arrays[f"{name}/loss"], rtol=0, atol=1e-6)
    after = variables_of(kind, arrays, "train/after/")[1]["batch_stats"]
    for name, expected in flat(after).items():
        np.testing.assert_allclose(flat(stats)[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    expected = variables_of(kind, arrays, "train/grad/")[1]["params"]
    assert_gradient(flat(gradients), flat(expected), gradient_tolerance)
    own = jax.eval_shape(lambda: module.init(jax.random.key(0), images))
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, variables)
    return module, kept["intermediates"]


@pytest.mark.parametrize(("file", "case"), ROTATING)
def test_golden_rf_autoencoder(file, case):
    cfg, arrays = golden_case(file, case)

    def check(out, stored):
        np.testing.assert_allclose(out.reconstruction, last(stored["reconstruction"]), rtol=0, atol=5e-5)
        np.testing.assert_allclose(np.swapaxes(out.latent, 1, 2), stored["latent"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(as_stored(out.features), stored["rotation_output"], rtol=0, atol=1e-3)

    module, kept = assert_autoencoder("rotating_features", arrays, 1e-3, check)
    assert (module.components, module.channels, module.latent) == (cfg["n"], cfg["h"], cfg["lin"])
    grouped = grouping.orientation_features(np.moveaxis(arrays["eval/rotation_output"], (1, 2), (4, 3)))
    expected = np.moveaxis(arrays["eval/normed_output"][:, :, 0], 1, -1)
    np.testing.assert_allclose(grouped, expected, rtol=0, atol=1e-5)
    names = {"encoder.convolutional.": "encoder_", "decoder.convolutional.": "decoder_", ".linear": "_dense"}
    for key, expected in under(arrays, "eval/layer/").items():
        for of, to in names.items():
            key = key.replace(of, to)
        found = kept[key]["__call__"][0]
        found = jnp.transpose(found, (4, 3, 2, 0, 1) if found.ndim == 5 else (2, 1, 0))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("file", "case"), golden_cases("cae_autoencoder.npz"))
def test_golden_cae_autoencoder(file, case):
    cfg, arrays = golden_case(file, case)

    def check(out, stored):
        np.testing.assert_allclose(out.reconstruction, last(stored["reconstruction"]), rtol=0, atol=3e-4)
        np.testing.assert_allclose(complex_of(out.latent), stored["latent"], rtol=0, atol=5e-4)
        np.testing.assert_allclose(complex_of(out.features), last(stored["complex_output"]), rtol=0, atol=3e-3)

    module, _ = assert_autoencoder("complex_autoencoder", arrays, 1e-2, check)
    assert (module.components, module.channels, module.latent) == (2, cfg["h"], cfg["lin"])
    phase, weight = (last(arrays[f"eval/{name}"]) for name in ("phase", "norm_magnitude"))
    features = 0.1 * weight[..., None] * np.stack([np.cos(phase), np.sin(phase)], -1)
    found = grouping.orientation_features(features, convention="polar")
    expected = np.moveaxis(arrays["eval/kmeans_input"], (1, 2), (4, 3)).reshape(found.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("biases", ["rotation", "polar"])
def test_a_layer_is_the_equation(biases):
    rng, count = np.random.default_rng(0), 2
    z = rng.normal(size=(5, count, 3)).astype(np.float32)
    layer = RotatingLayer(4, "dense", biases=biases)
    params = random_like(lambda: layer.init(jax.random.key(0), z, train=False))
    found = layer.apply(params, z, train=False)
    p = params["params"]
    for b in range(3):
        psi, chi = p["kernel"].T @ z[..., b], p["kernel"].T @ np.linalg.norm(z[..., b], axis=-1)
        magnitude = np.linalg.norm(psi, axis=-1) / 2 + chi / 2
        if biases == "polar":
            magnitude = magnitude + p["magnitude_bias"]
            turned = np.angle(psi[:, 0] + 1j * psi[:, 1]) + p["phase_bias"]
            direction = np.stack([np.cos(turned), np.sin(turned)], -1)
        else:
            direction = (psi + p["bias"]) / np.linalg.norm(psi + p["bias"], axis=-1, keepdims=True)
        normed = (magnitude - magnitude.mean()) / np.sqrt(magnitude.var() + 1e-5)
        expected = np.maximum(normed * p["norm"]["scale"] + p["norm"]["shift"], 0)[:, None] * direction
        np.testing.assert_allclose(found[..., b], expected, atol=1e-5)


@pytest.mark.parametrize("n", [3, 4])
def test_a_rotation_of_inputs_and_biases_rotates_the_output(n):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 4, 3, n, 2)).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0].astype(np.float32)
    layer = RotatingLayer(5, strides=2)
    variables = random_variables(lambda: layer.init(jax.random.key(0), z, train=False))
    turned = {**variables, "params": {**variables["params"], "bias": variables["params"]["bias"] @ turn}}
    found = layer.apply(turned, np.einsum("hwcnb,nm->hwcmb", z, turn), train=False)
    expected = np.einsum("hwcnb,nm->hwcmb", layer.apply(variables, z, train=False), turn)
    np.testing.assert_allclose(found, expected, atol=1e-5)


MODELS = {
    "rotating": models.RotatingFeatures(components=3, channels=2, latent=4),
    "complex": models.complex_autoencoder(channels=2, latent=4),
    "features": models.RotatingFeatures(components=3, channels=2, latent=4, frozen_features=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_finite_of_black_pictures(name):
    module, side = MODELS[name], 14 if name == "features" else 16
    images = np.zeros((2, side, side, 2), np.float32)
    variables = random_variables(lambda: module.init(jax.random.key(0), images))
    value, out, stats, gradients = trained(module, variables, images, 0.5)
    assert_finite((value, out, stats, gradients))
    assert out.reconstruction.shape == images.shape
    assert out.features.shape == (*images.shape, module.components)
    assert out.latent.shape == (2, 4, module.components)


def made(module, side=8):
    return module.init(jax.random.key(0), np.zeros((1, side, 8, 1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made(models.RotatingFeatures(), 12), "divisible by 8"),
        (lambda: made(MODELS["rotating"].clone(components=0)), "components must be >= 1"),
        (lambda: made(MODELS["complex"].clone(components=3)), "components must be 2"),
        (lambda: made(MODELS["complex"].clone(biases="none")), "biases must be one of"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
