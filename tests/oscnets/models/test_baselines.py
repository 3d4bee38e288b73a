"""The real networks against their layers written out in float64, and the initializers of all models."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import models
from tests.helpers import assert_close, assert_finite, random_like

MODEL = models.RealNet(channels=3, conv_channels=2, hidden=5, num_classes=4)
IMAGES = np.random.default_rng(0).uniform(size=(3, 6, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def params():
    return random_like(lambda: MODEL.init(jax.random.key(0), IMAGES))


def conv(x, kernel, stride):
    padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
    rows, columns = range(0, x.shape[0], stride), range(0, x.shape[1], stride)
    at = lambda i, j: np.einsum("hwi,hwio->o", padded[i : i + 3, j : j + 3], kernel)  # noqa: E731
    return np.array([[at(i, j) for j in columns] for i in rows])


def rectify(x, axes, scale, shift):
    spread = np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return np.maximum((x - x.mean(axes, keepdims=True)) / spread * scale + shift, 0)


def naive(weights, image):
    w = {name: np.asarray(x, np.float64) for name, x in weights.items()}
    x = np.maximum(conv(image.astype(np.float64), w["encoder_kernel"], 1), 0)
    x = rectify(conv(x, w["conv_kernel"], 2) + w["conv_bias"], (0, 1), w["conv_scale"], w["conv_shift"])
    x = rectify(x.ravel() @ w["hidden_kernel"] + w["hidden_bias"], 0, w["hidden_scale"], w["hidden_shift"])
    return x @ w["output_kernel"] + w["output_bias"]


def test_logits_are_the_layers_written_out(params):
    expected = np.stack([naive(params["params"], image) for image in IMAGES])
    assert_close(jax.jit(MODEL.apply)(params, IMAGES), expected, 1e-5)


def test_features_are_the_first_layer(params):
    kernel = np.asarray(params["params"]["encoder_kernel"], np.float64)
    expected = np.stack([np.maximum(conv(image.astype(np.float64), kernel, 1), 0) for image in IMAGES])
    assert_close(jax.jit(partial(MODEL.apply, method="features"))(params, IMAGES), expected, 1e-5)


def test_numbers_of_parameters():
    def count(model):
        made = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 1))))
        return sum(x.size for x in jax.tree.leaves(made))

    assert count(models.larger_real_net()) == 107_339
    assert count(models.RealNet()) == 114_548 - 13**2 * 64  # KomplexNet without its kernel


def test_black_images_and_vmapped_seeds(params):
    value = lambda params, images: (MODEL.apply(params, images) ** 2).sum()  # noqa: E731
    images = IMAGES.copy()
    images[1] = 0
    other = jax.tree.map(np.negative, params)
    both = jax.tree.map(lambda *x: np.stack(x), params, other)
    found = jax.jit(jax.vmap(jax.value_and_grad(value, (0, 1)), (0, None)))(both, images)
    alone = jax.jit(jax.value_and_grad(value, (0, 1)))(params, images)
    assert_finite(found)
    assert_close(jax.tree.map(lambda x: x[0], found), alone, 1e-5)


@pytest.mark.parametrize("shape", [(6, 8, 1), (2, 5, 8, 1), (2, 6, 7, 1)])
def test_bad_images(shape):
    with pytest.raises(ValueError, match="even H and W") as raised:
        jax.eval_shape(lambda: MODEL.init(jax.random.key(0), jnp.zeros(shape)))
    assert str(shape) in str(raised.value)


def test_kernels_and_biases_start_uniform_by_fan_in():
    weights = jax.jit(lambda: models.RealNet().init(jax.random.key(0), jnp.zeros((1, 32, 32, 1))))()["params"]
    for name, fan_in in (("encoder", 9), ("conv", 72), ("hidden", 2048), ("output", 50)):
        bound = fan_in**-0.5
        kernel = weights[f"{name}_kernel"]
        assert 0.9 * bound < np.max(np.abs(kernel)) <= bound
        assert np.std(kernel) == pytest.approx(bound / 3**0.5, rel=0.2)
        if name != "encoder":
            bias = weights[f"{name}_bias"]
            assert 0.5 * bound < np.max(np.abs(bias)) <= bound


VIT = models.VisionTransformer(patch=2, width=4, heads=2, mlp=3, blocks=1, num_classes=3)


def naive_attention(w, x):
    """Self-attention of tokens (N, D), every head by itself."""
    q, k, v = (
        np.einsum("nd,dhe->hne", x, w[name]["kernel"]) + w[name]["bias"][:, None] for name in ("query", "key", "value")
    )
    scores = np.exp(np.einsum("hne,hme->hnm", q, k) / np.sqrt(q.shape[-1]))
    heads = np.einsum("hnm,hme->hne", scores / scores.sum(-1, keepdims=True), v)
    return np.einsum("hne,hed->nd", heads, w["out"]["kernel"]) + w["out"]["bias"]


def naive_transformer(w, image, last=False):
    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * w[name]["scale"] + w[name]["bias"]

    dense = lambda x, name: x @ w[name]["kernel"] + w[name]["bias"]  # noqa: E731
    gelu = lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))  # noqa: E731
    rows, columns = range(0, image.shape[0], 2), range(0, image.shape[1], 2)
    patches = np.stack([image[i : i + 2, j : j + 2].ravel() for i in rows for j in columns])
    x = dense(patches, "embedding") + w["positions"]
    if last:
        x = norm(x + naive_attention(w["attention_0"], x), "norm_0")
        x = norm(x + dense(np.maximum(dense(x, "wide_0"), 0), "narrow_0"), "mlp_norm_0")
        return dense(x.mean(0), "output")
    x = x + naive_attention(w["attention_0"], norm(x, "norm_0"))
    x = x + dense(gelu(dense(norm(x, "mlp_norm_0"), "wide_0")), "narrow_0")
    return dense(norm(x, "norm").mean(0), "output")


@pytest.mark.parametrize("norm", ["first", "last"])
def test_the_transformer_is_its_layers_written_out(norm):
    vit = VIT.clone(norm=norm)
    params = random_like(lambda: vit.init(jax.random.key(0), IMAGES))
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    expected = np.stack([naive_transformer(weights, image.astype(np.float64), norm == "last") for image in IMAGES])
    assert_close(jax.jit(vit.apply)(params, IMAGES), expected, 1e-5)


def test_dropout_is_of_the_training_alone():
    vit = VIT.clone(norm="last", dropout=0.3)
    params = random_like(lambda: vit.init(jax.random.key(0), IMAGES))
    plain = VIT.clone(norm="last").apply(params, IMAGES)
    assert_close(vit.apply(params, IMAGES), plain, 1e-6)
    train = lambda key: vit.apply(params, IMAGES, train=True, rngs={"dropout": key})  # noqa: E731
    first, again, other = (train(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3 and np.abs(first - plain).max() > 1e-3
    with pytest.raises(ValueError, match="'first' or 'last', got 'middle'"):
        VIT.clone(norm="middle").apply(params, IMAGES)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5, float("nan")])
def test_dropout_is_a_share(dropout):
    with pytest.raises(ValueError, match=rf"dropout must lie in \[0, 1\), got {dropout}"):
        VIT.clone(dropout=dropout).init(jax.random.key(0), IMAGES)


def test_sides_of_patches():
    with pytest.raises(ValueError, match=r"sides divisible by 4, got \(1, 6, 8, 1\)"):
        models.VisionTransformer().init(jax.random.key(0), IMAGES[:1])
