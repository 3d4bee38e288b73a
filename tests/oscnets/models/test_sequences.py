"""Models of sequences: published numbers, initial values, and what holds for every model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import models
from tests.helpers import assert_close, golden_case, golden_cases, random_variables
from tests.oscnets import test_sharding
from tests.oscnets.models import test_modules, test_program

LINOSS = models.LinOSS(num_outputs=3, channels=4, state_size=3, num_blocks=2)
MODELS = {
    "linoss": LINOSS,
    "damped": LINOSS.clone(damped=True, form="imex", method="chunk", num_blocks=1, read_every=2),
    "cornn": models.CoRNN(num_outputs=3, units=4, dt=0.3),
    "wrnn": models.WaveRNN(num_outputs=3, places=5, channels=2, hidden=(4,), activation="tanh"),
    "wrnn of every step": models.WaveRNN(num_outputs=3, places=4, channels=2, every_step=True, activation="tanh"),
}
SEQUENCES = np.random.default_rng(0).integers(0, 2, size=(2, 6, 2)).astype(np.float32)
KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
CHECKS = [
    test_program.test_images_of_every_type_give_the_logits_of_float32,
    test_program.test_derivatives_of_both_modes_agree,
    test_program.test_a_parameter_that_is_nan_is_seen_in_the_logits,
]


def relative(found, expected, tolerance):
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_as_of_every_model(check, name, monkeypatch):
    monkeypatch.setattr(test_program, "MODELS", MODELS)
    monkeypatch.setattr(test_program, "IMAGES", SEQUENCES)
    monkeypatch.setattr(test_program.variables_of, "__defaults__", (SEQUENCES,))
    check(name)


@pytest.mark.parametrize("name", ["damped", "cornn", "wrnn"])
def test_on_explicit_axes(name, monkeypatch):
    monkeypatch.setattr(test_sharding, "MODELS", MODELS)
    monkeypatch.setattr(test_sharding, "IMAGES", np.concatenate([SEQUENCES, 2 * SEQUENCES]))
    test_sharding.test_models_on_explicit_axes(name)


def linear(prefix, p):
    return {"kernel_0": p[f"{prefix}/weight"].T, "bias_0": p[f"{prefix}/bias"]}


def linoss(cfg, p):
    """A module and its variables from published parameters."""
    read_every = None if cfg["classification"] else cfg["output_step"]
    sizes = {"num_outputs": cfg["output_dim"], "channels": cfg["H"], "num_blocks": cfg["num_blocks"]}
    form = cfg["discretization"].lower()
    module = models.LinOSS(**sizes, state_size=cfg["ssm_size"], form=form, dropout=0, read_every=read_every)
    params = {"encoder": linear("linear_encoder", p), "head": linear("linear_layer", p)}
    stats = {}
    for i in range(cfg["num_blocks"]):
        block = f"blocks.{i}"
        params[f"gate_{i}"], params[f"value_{i}"] = linear(f"{block}.glu.w2", p), linear(f"{block}.glu.w1", p)
        names = {
            "A_diag": "stiffness",
            "B": "input_weights",
            "C": "output_weights",
            "D": "feedthrough",
            "steps": "step",
        }
        params[f"oscillators_{i}"] = {name: p[f"{block}.ssm/{key}"] for key, name in names.items()}
        norm = {"mean": p[f"{block}.norm/mean"], "variance": p[f"{block}.norm/var"], "started": np.float32(1)}
        stats[f"norm_{i}"] = norm
    return module, {"params": params, "batch_stats": stats}


@pytest.mark.parametrize(("name", "case"), golden_cases("linoss_model*.npz"))
def test_golden_linoss_model(name, case):
    cfg, arrays = golden_case(name, case)
    module, variables = linoss(cfg, {key[6:]: x for key, x in arrays.items() if key.startswith("param/")})
    shapes = lambda tree: jax.tree.map(np.shape, tree)  # noqa: E731
    assert shapes(jax.eval_shape(module.init, KEYS, arrays["x"])) == shapes(variables)
    logits = module.apply(variables, arrays["x"])
    trained, after = module.apply(variables, arrays["x"], train=True, mutable=["batch_stats"])
    outputs = [jax.nn.softmax(y) if cfg["classification"] else y for y in (logits, trained)]
    for found, key in zip(outputs, ("y", "y_train_nodrop"), strict=True):
        np.testing.assert_allclose(found, arrays[key], atol=5e-5)
    for i in range(cfg["num_blocks"]):
        for key, name in (("mean", "mean"), ("var", "variance")):
            relative(after["batch_stats"][f"norm_{i}"][name], arrays[f"after_train/blocks.{i}.norm/{key}"], 1e-5)
    if "loss" in arrays:
        loss = -(arrays["labels"] * np.log(outputs[0] + 1e-8)).sum(1).mean()
        np.testing.assert_allclose(loss, arrays["loss"], rtol=1e-5)


def parts_of(arrays, kind):
    return {key.removeprefix(kind): x for key, x in arrays.items() if key.startswith(kind)}


def cornn_params(p):
    """Module parameters from published ones, and from their gradients."""
    weight = p["cell.i2h.weight"]
    if "cell.h2h1.weight" in p:
        inputs, position, velocity = weight, p["cell.h2h1.weight"], p["cell.h2h2.weight"]
    else:
        units = len(weight)
        inputs, velocity, position = np.split(weight, [weight.shape[1] - 2 * units, weight.shape[1] - units], axis=1)
    return {
        "input_kernel": inputs.T,
        "position_coupling": position,
        "velocity_coupling": velocity,
        "bias": p["cell.i2h.bias"],
        "readout": {"kernel_0": p["readout.weight"].T, "bias_0": p["readout.bias"]},
    }


def wrnn_params(p, places, channels, size):
    ring = lambda x: np.moveaxis(x.reshape(*x.shape[:-1], channels, places), -1, -2)  # noqa: E731
    kernel = p["cell.Wy.weight"].reshape(channels, channels, size).transpose(2, 1, 0)
    readout = ring(p["readout.weight"]).reshape(len(p["readout.weight"]), -1).T
    return {
        "input_kernel": ring(p["cell.Wx.weight"].T),
        "input_bias": ring(p["cell.Wx.bias"]),
        "ring_kernel": kernel,
        "ring_bias": p["cell.Wy.bias"],
        "readout": {"kernel_0": readout, "bias_0": p["readout.bias"]},
    }


def check_recurrent(module, params, gradients, arrays, states, tolerance):
    x = np.moveaxis(arrays["x"], 0, 1)
    shapes = lambda tree: jax.tree.map(np.shape, tree)  # noqa: E731
    assert shapes(jax.eval_shape(module.init, KEYS, x)["params"]) == shapes(params)

    def loss(params):
        output = module.apply({"params": params}, x)
        return (output.logits * arrays["grad_w"]).sum(), output

    found, output = jax.grad(loss, has_aux=True)(params)
    tolerance(states(output.states), np.moveaxis(arrays["h"], 0, 1))
    tolerance(output.logits, arrays["out"])
    jax.tree.map(lambda a, b: relative(a, b, 5e-4), found, gradients)


@pytest.mark.parametrize(("name", "case"), golden_cases("cornn*.npz"))
def test_golden_cornn(name, case):
    cfg, arrays = golden_case(name, case)
    numbers = {"dt": cfg["dt"], "stiffness": cfg["gamma"], "damping": cfg["epsilon"]}
    module = models.CoRNN(cfg["n_out"], cfg["n_hid"], **numbers)
    trees = [cornn_params(parts_of(arrays, kind)) for kind in ("param/", "grad/")]
    near = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5)  # noqa: E731
    check_recurrent(module, *trees, arrays, lambda x: x, near)


@pytest.mark.parametrize(("name", "case"), golden_cases("wrnn*.npz"))
def test_golden_wrnn(name, case):
    cfg, arrays = golden_case(name, case)
    waves = "n_ch" in cfg
    places, channels, size = (cfg["n_hid"], cfg["n_ch"], cfg["ksize"]) if waves else (1, cfg["n_hid"], 1)
    options = {"kernel_size": size, "activation": cfg["act"], "start": "identity"}
    module = models.WaveRNN(cfg["n_out"], places, channels, **options)
    trees = [wrnn_params(parts_of(arrays, kind), places, channels, size) for kind in ("param/", "grad/")]
    flat = lambda x: np.moveaxis(x, -1, -2).reshape(*x.shape[:2], -1)  # noqa: E731
    check_recurrent(module, *trees, arrays, flat, lambda a, b: relative(a, b, 1e-4))
    start = {"fwd": "shift", "eye": "identity"}.get(cfg["init"])
    if cfg.get("solo_init") == "yes" and waves:
        first = module.clone(start=start, one_source=True).init(KEYS, np.moveaxis(arrays["x"], 0, 1))["params"]
        for key in ("input_kernel", "input_bias", "ring_kernel"):
            np.testing.assert_array_equal(first[key], trees[0][key])


def test_linoss_drops_values_in_training_only():
    module = LINOSS.clone(dropout=0.5)
    variables = random_variables(lambda: module.init(KEYS, SEQUENCES))
    plain = module.apply(variables, SEQUENCES)
    run = lambda seed, **options: module.apply(  # noqa: E731
        variables, SEQUENCES, train=True, rngs={"dropout": jax.random.key(seed)}, mutable=["batch_stats"], **options
    )[0]
    assert_close(run(0), run(0), 0)
    assert np.abs(run(0) - run(1)).max() > 1e-3
    assert_close(module.apply(variables, SEQUENCES), plain, 0)
    mean = np.mean([run(seed) for seed in range(40)], 0)
    assert np.abs(mean - plain).max() < np.abs(plain).max()


def test_running_statistics_start_at_the_first_batch():
    module = LINOSS.clone(dropout=0, num_blocks=1)
    variables = module.init(KEYS, SEQUENCES)
    _, once = module.apply(variables, SEQUENCES, train=True, mutable=["batch_stats"])
    _, twice = module.apply(variables | once, SEQUENCES, train=True, mutable=["batch_stats"])
    encoder = variables["params"]["encoder"]
    x = SEQUENCES @ np.asarray(encoder["kernel_0"]) + encoder["bias_0"]
    for stats in (once, twice):
        np.testing.assert_allclose(stats["batch_stats"]["norm_0"]["mean"], x.mean((0, 1)), atol=1e-6)
        np.testing.assert_allclose(stats["batch_stats"]["norm_0"]["variance"], x.var((0, 1)), atol=1e-6)


def test_every_method_gives_the_same_network():
    x = np.random.default_rng(0).normal(size=(2, 150, 2)).astype(np.float32)
    module = LINOSS.clone(damped=True, form="imex")
    variables = module.init(KEYS, x)
    right = module.clone(method="scan").apply(variables, x)
    for method in ("auto", "associative", "chunk", "fft"):
        assert_close(module.clone(method=method).apply(variables, x), right, 2e-5)


def test_steps_are_read_as_they_are_and_know_no_later_input():
    module = LINOSS.clone(read_every=1, bounded=False)
    variables = random_variables(lambda: module.init(KEYS, SEQUENCES))
    changed = SEQUENCES.copy()
    changed[:, 4:] += 1
    steps, other = (module.apply(variables, x) for x in (SEQUENCES, changed))
    assert steps.shape == (2, 6, 3)
    assert_close(other[:, :4], steps[:, :4], 1e-5)
    assert np.abs(other[:, 4:] - steps[:, 4:]).max() > 1e-3
    every_other = module.clone(read_every=2, bounded=True).apply(variables, SEQUENCES)
    assert_close(every_other, np.tanh(steps[:, 1::2]), 1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_in_a_larger_module(name):
    module = MODELS[name]
    output, variables = jax.eval_shape(lambda: module.init_with_output(KEYS, SEQUENCES))
    applied = jax.eval_shape(lambda variables: module.apply(variables, SEQUENCES), variables)
    assert jax.tree.map(jnp.shape, output) == jax.tree.map(jnp.shape, applied)
    if not name.startswith(("linoss", "damped")):
        jax.eval_shape(lambda: test_modules.Larger(module).init_with_output(KEYS, SEQUENCES))
    assert (
        jax.tree.leaves(module.apply(random_variables(lambda: module.init(KEYS, SEQUENCES)), SEQUENCES[:0]))[0].shape[0]
        == 0
    )


def test_what_is_not_right_is_refused():
    for module in (LINOSS, MODELS["cornn"], MODELS["wrnn"]):
        with pytest.raises(ValueError, match=r"inputs must be \(B, T, C_in\) with T >= 1, got shape \(2, 3\)"):
            module.init(KEYS, np.ones((2, 3)))
    with pytest.raises(ValueError, match="start must be shift, identity or random, got 'left'"):
        MODELS["wrnn"].clone(start="left").init(KEYS, SEQUENCES)
    with pytest.raises(ValueError, match="start='shift' needs kernel_size >= 2, got 1"):
        MODELS["wrnn"].clone(kernel_size=1).init(KEYS, SEQUENCES)
