"""The layer of oscillators on spheres and its readout: published numbers and gradients, positions, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _platform, models, ops
from oscnets.models import attention
from tests.helpers import assert_finite, golden_case, golden_cases, random_like

NORMS = {"none": "none", "gn": "group", "sandb": "scale"}
BLOCKS = dict(zip(attention.BLOCKS, ("mat_q", "mat_k", "mat_v", "mat_o"), strict=True))
LAYERS = golden_cases("akorn_klayer_*.npz")


def last(x):
    """Channels last, of (..., C, H, W)."""
    return np.moveaxis(x, -3, -1)


def kernel(x):
    return x.transpose(2, 3, 1, 0)


def as_params(state):
    """Published names and layouts as those of the module; of gradients too."""
    params = {}
    for key, x in state.items():
        name = key.rpartition(".")[2]
        if key == "omg.omg_param":
            params["rotation"] = x
        elif key.startswith("c_norm."):
            params["shift" if name == "bias" else "scale"] = x
        elif name.startswith("mat_"):
            params[f"{next(to for to, of in BLOCKS.items() if of == name)}_blocks"] = x
        elif "W_" in key:
            to = "qkv" if "W_qkv" in key else "out"
            params[f"{to}_bias" if name == "bias" else f"{to}_kernel"] = x if name == "bias" else kernel(x)[0, 0]
        else:
            params["bias" if name == "bias" else "kernel"] = x if name == "bias" else kernel(x)
    return params


def under(arrays, folder):
    return {key.removeprefix(folder): x for key, x in arrays.items() if key.startswith(folder)}


def layer_of(cfg):
    rotation = ("shared" if cfg["global_omg"] else "pairs") if cfg["use_omega"] else "none"
    return models.KuramotoLayer(
        components=cfg["n"],
        coupling="attention" if cfg["J"] == "attn" else "conv",
        heads=cfg["heads"] or 1,
        positions=cfg["gta"],
        grid=tuple(cfg["hw"]),
        kernel_size=cfg["ksize"] or 1,
        norm=NORMS[cfg["c_norm"]],
        rotation=rotation,
        project=cfg["apply_proj"],
        num_steps=cfg["T"],
        rate=cfg["gamma"],
    )


def assert_gradient(found, expected, tolerance=1e-3):
    """Within `tolerance` of an array's largest number; some arrays are 0 but for the rounding of the largest of all."""
    assert found.keys() == expected.keys()
    rounding = 3e-6 * max((np.abs(x).max() for x in expected.values()), default=0)
    for name, x in expected.items():
        np.testing.assert_allclose(found[name], x, rtol=0, atol=tolerance * np.abs(x).max() + rounding, err_msg=name)


@pytest.mark.parametrize(("file", "case"), LAYERS)
def test_golden_akorn_layers(file, case):
    cfg, arrays = golden_case(file, case)
    layer, params = layer_of(cfg), as_params(under(arrays, "param/"))
    x, stimulus, weights = (last(arrays[name]) for name in ("x0", "c", "grad_w"))

    def loss(params, x, stimulus):
        out = layer.apply({"params": params}, x, stimulus, keep_states=True)
        return (out.states * weights).sum() + 0.01 * out.energies[-1].sum(), out

    ((value, out), gradients) = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, x, stimulus)
    np.testing.assert_allclose(out.trajectory, last(arrays["xs"]), rtol=0, atol=2e-4)
    np.testing.assert_array_equal(out.states, out.trajectory[-1])
    energies = arrays["es"]
    assert not energies[0].any()
    np.testing.assert_allclose(out.energies, energies[1:], rtol=0, atol=1e-5 * np.abs(energies).max())
    np.testing.assert_allclose(value, arrays["grad_loss"], rtol=1e-4, atol=1e-4)
    assert_gradient(gradients[0], as_params(under(arrays, "grad/")))
    found = dict(zip(("x0", "c"), gradients[1:], strict=True))
    assert_gradient(found, {name: last(arrays[f"grad_{name}"]) for name in found})


@pytest.mark.parametrize(("file", "case"), LAYERS)
def test_golden_akorn_layers_start_as_published(file, case):
    cfg, arrays = golden_case(file, case)
    layer, x = layer_of(cfg), last(arrays["x0"])
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), x, x))["params"]
    shapes = {name: x.shape for name, x in as_params(under(arrays, "param/")).items()}
    assert {name: x.shape for name, x in params.items()} == shapes
    initial = as_params(under(arrays, "initial_mat/"))
    if initial:
        params = layer.init(jax.random.key(0), x, x)["params"]
    for name, expected in initial.items():
        np.testing.assert_allclose(params[name], expected, atol=1e-6)


@pytest.mark.parametrize(("file", "case"), golden_cases("akorn_readout.npz"))
def test_golden_akorn_readout(file, case):
    cfg, arrays = golden_case(file, case)
    options = {"kernel_size": cfg["kernel_size"], "strides": cfg["stride"]}
    readout = models.NormReadout(cfg["outch"], cfg["ro_N"], **options)
    names = {"invconv.weight": "kernel", "invconv.bias": "kernel_bias", "bias": "bias"}
    layouts = lambda state: {names[key]: kernel(x) if x.ndim == 4 else x for key, x in state.items()}  # noqa: E731
    loss = lambda params, x: (readout.apply({"params": params}, x) * last(arrays["grad_w"])).sum()  # noqa: E731
    x, params = last(arrays["x"]), layouts(under(arrays, "param/"))
    np.testing.assert_allclose(readout.apply({"params": params}, x), last(arrays["y"]), rtol=0, atol=3e-5)
    of_params, of_x = jax.jit(jax.grad(loss, (0, 1)))(params, x)
    expected = layouts(under(arrays, "grad/"))
    assert_gradient({name: of_params[name] for name in expected}, expected)
    assert_gradient({"x": of_x}, {"x": last(arrays["grad_x"])})


def test_attention_is_a_loop_over_tokens_and_heads():
    rng, heads, channels, grid = np.random.default_rng(0), 2, 8, (2, 3)
    module = models.KuramotoLayer(heads=heads, num_steps=1)
    x = rng.normal(size=(1, *grid, channels)).astype(np.float32)
    params = random_like(lambda: module.init(jax.random.key(0), x, x))["params"]
    blocks = {name: params[f"{name}_blocks"] for name in attention.BLOCKS}
    weights = attention.Attention(*(params[f"{a}_{b}"] for a in ("qkv", "out") for b in ("kernel", "bias")), blocks)
    found = attention.attention(weights, heads)(jnp.asarray(x))
    tokens, size = x.reshape(-1, channels), channels // heads
    qkv = (tokens @ params["qkv_kernel"] + params["qkv_bias"]).reshape(-1, 3, size, heads)
    turn = lambda name, y, t: np.concatenate([m @ y[2 * p : 2 * p + 2] for p, m in enumerate(blocks[name][t])])  # noqa: E731
    out = np.zeros((len(tokens), size, heads))
    for h in range(heads):
        q, k, v = (
            np.stack([turn(name, qkv[t, i, :, h], t) for t in range(len(tokens))])
            for i, name in enumerate(("query", "key", "value"))
        )
        scores = np.exp(q @ k.T / size**0.5)
        mixed = scores / scores.sum(1, keepdims=True) @ v
        out[:, :, h] = [turn("output", mixed[t], t) for t in range(len(tokens))]
    expected = out.reshape(-1, channels) @ params["out_kernel"] + params["out_bias"]
    np.testing.assert_allclose(found.reshape(-1, channels), expected, atol=1e-5)


def test_a_dense_coupling_is_that_of_the_convolution_whose_matrix_it_has():
    shape = (2, 3, 2, 8)
    x, stimulus = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    conv, dense = (models.KuramotoLayer(coupling=name, rotation="shared", num_steps=3) for name in ("conv", "dense"))
    params = random_like(lambda: conv.init(jax.random.key(0), x, stimulus))["params"]
    applied = lambda x: ops.conv(x[None], params["kernel"])[0]  # noqa: E731
    matrix = jax.jacobian(applied)(x[0]).reshape(x[0].size, -1).T
    made = {"matrix": matrix, "bias": np.broadcast_to(params["bias"], shape[1:]), "rotation": params["rotation"]}
    assert jax.tree.map(jnp.shape, dense.init(jax.random.key(0), x, stimulus)["params"]) == jax.tree.map(
        jnp.shape, made
    )
    found, expected = dense.apply({"params": made}, x, stimulus), conv.apply({"params": params}, x, stimulus)
    np.testing.assert_allclose(found.states, expected.states, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-5)


@pytest.mark.parametrize("coupling", ["attention", "conv", "dense"])
def test_every_oscillator_may_have_a_rate_of_its_own(coupling):
    x, stimulus = np.random.default_rng(0).normal(size=(2, 2, 2, 2, 8)).astype(np.float32)
    layer = models.KuramotoLayer(coupling=coupling, heads=2, rotation="shared", num_steps=1)
    params = random_like(lambda: layer.init(jax.random.key(0), x, stimulus))
    states = lambda rate: layer.apply(params, x, stimulus, rate=jnp.asarray(rate)).states  # noqa: E731
    slow, fast = states(0.1), states(0.7)
    second = np.arange(8) >= 4
    np.testing.assert_allclose(states([0.1, 0.7]), np.where(second, fast, slow), atol=1e-6)
    per_image = np.reshape([0.1, 0.7], (2, 1, 1, 1))
    np.testing.assert_allclose(states(per_image), np.stack([slow[0], fast[1]]), atol=1e-6)
    with pytest.raises(ValueError, match="rate"):
        states(np.ones(3))


def test_large_layers_convolve_without_a_spectrum(monkeypatch):
    x, stimulus = np.random.default_rng(0).normal(size=(2, 2, 4, 4, 8)).astype(np.float32)
    layer, found = models.KuramotoLayer(coupling="conv", num_steps=2), []
    params = random_like(lambda: layer.init(jax.random.key(0), x, stimulus))
    for limit in (2**25, 0):
        monkeypatch.setattr(_platform, "_CPU", _platform._CPU._replace(spectrum_numbers=limit))
        jax.clear_caches()
        run = jax.jit(lambda *args: layer.apply(*args).states)
        found.append((run.lower(params, x, stimulus).as_text(), run(params, x, stimulus)))
    assert found[0][0] != found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)


def test_table_of_positions():
    table = attention.position_table(3, 5, 8)
    np.testing.assert_allclose(table[2, 4, :2], [np.sin(4), np.cos(4)], atol=1e-6)
    np.testing.assert_allclose(table[2, 4, 2:4], [np.sin(4e-2), np.cos(4e-2)], atol=1e-6)
    np.testing.assert_allclose(table[2, 4, 4:6], [np.sin(2), np.cos(2)], atol=1e-6)
    with pytest.raises(ValueError, match="multiple of 4"):
        attention.position_table(2, 2, 6)


def test_gradients_are_finite_at_0():
    layer, x = models.KuramotoLayer(heads=1, norm="group", rotation="pairs"), np.zeros((1, 2, 2, 4), np.float32)
    params = jax.tree.map(jnp.zeros_like, jax.eval_shape(lambda: layer.init(jax.random.key(0), x, x)))
    assert_finite(jax.grad(lambda params, x: layer.apply(params, x, x).states.sum(), (0, 1))(params, x))
    readout = models.NormReadout(3)
    params = jax.tree.map(jnp.zeros_like, jax.eval_shape(lambda: readout.init(jax.random.key(0), x)))
    assert_finite(jax.grad(lambda params, x: readout.apply(params, x).sum(), (0, 1))(params, x))


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (1, 2, 8), r"x and stimulus must both be \(B, H, W, C\)"),
        ({"components": 3}, (1, 2, 2, 8), "multiple of the 3 components"),
        ({"components": 1, "rotation": "pairs"}, (1, 2, 2, 8), "even number of components"),
        ({"heads": 3}, (1, 2, 2, 8), "multiple of the 3 heads"),
        ({"heads": 8}, (1, 2, 2, 8), "even number of channels of a head"),
        ({"coupling": "none"}, (1, 2, 2, 8), "coupling must be one of attention, conv, dense, got 'none'"),
        ({"norm": "gn"}, (1, 2, 2, 8), "norm must be one of"),
        ({"rotation": "global"}, (1, 2, 2, 8), "rotation must be one of"),
        ({"num_steps": 0}, (1, 2, 2, 8), "num_steps must be >= 1"),
    ],
)
def test_errors(options, shape, message):
    x = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=message):
        models.KuramotoLayer(**options).init(jax.random.key(0), x, x)
