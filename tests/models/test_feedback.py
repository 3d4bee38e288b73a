"""KomplexNet with feedback: published numbers, each layer's pull, what is carried on, gradients, black images."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import interop, losses, models
from oscnets.models.komplexnet import LAYERS
from tests.helpers import assert_close, assert_finite, assert_gradients, float64, random_like

GOLDEN = Path(__file__).parents[1] / "golden"
SIZES = {"channels": 2, "hidden": 5, "num_classes": 4, "kernel_size": 3, "feedback_kernel_size": 3, "num_steps": 3}
MODEL = models.KomplexNet(**SIZES, rate=0.1, feedback=LAYERS, feedback_rates=(0.3, 0.2, 0.1))
IMAGE = (6, 8)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(3, *IMAGE, 1)).astype(np.float32)
    return images, rng.uniform(-np.pi, np.pi, (3, *IMAGE, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def params(inputs):
    return random_like(lambda: MODEL.init(jax.random.key(0), inputs[0], phases0=inputs[1]))


@partial(jax.jit, static_argnames=("model", "num_steps"))
def run(model, params, images, phases0, layers0=None, num_steps=3):
    return model.apply(params, images, phases0=phases0, layers0=layers0, num_steps=num_steps)


@pytest.fixture(scope="module")
def whole(params, inputs):
    return run(MODEL, params, *inputs)


def without(params, *names):
    return {"params": {name: x for name, x in params["params"].items() if name not in names}}


@pytest.mark.parametrize(("size", "parameters"), [(5, 116_628), (11, 122_772)])
def test_published_numbers(size, parameters):
    with np.load(GOLDEN / f"komplexnet_feedback{size}.npz") as stored:
        golden = {key: np.moveaxis(x, 1, -1) if x.ndim == 4 and "/" not in key else x for key, x in stored.items()}
    state = {key.removeprefix("state/"): array for key, array in golden.items() if key.startswith("state/")}
    settings = {name: float(golden[name]) for name in ("rate", "epsilon")}
    module, variables = interop.from_torch("komplexnet", state, feedback_rates=golden["feedback_rates"], **settings)
    assert (module.feedback, module.feedback_kernel_size) == (LAYERS, size)
    assert sum(x.size for x in jax.tree.leaves(variables)) == parameters
    out = jax.jit(lambda x, phases: module.apply(variables, x, phases0=phases))(golden["x"], golden["phases0"])
    for found, expected in (
        (out.logits, golden["logits"]),
        (out.phases, golden["phases_last"]),
        (out.trajectory[0], golden["phases_first"]),
        (out.amplitude, golden["amplitude"]),
        (losses.cluster_synchrony(out.phases, golden["masks"], out.amplitude, silent="zero"), golden["synchrony"]),
    ):
        assert found.shape == expected.shape
        assert np.max(np.abs(found - expected)) <= 1e-4 * np.max(np.abs(expected))


def test_kernels_start_unfelt():
    images, phases = jnp.zeros((1, *IMAGE, 1)), jnp.zeros((1, *IMAGE, 2))
    made = jax.jit(lambda: MODEL.init(jax.random.key(0), images, phases0=phases))()["params"]
    shapes = {name: x.shape for name, x in made.items() if name.startswith("feedback")}
    assert shapes == {"feedback_l2_kernel": (3, 3, 2, 2), "feedback_l3_kernel": (5, 2), "feedback_l4_kernel": (4, 2)}
    assert all(np.all(made[name] == np.float32(1e-6)) for name in shapes)


def test_the_first_step_has_nothing_to_look_back_at(params, inputs, whole):
    names = [f"feedback_{layer}_kernel" for layer in LAYERS]
    alone = run(MODEL.clone(feedback=()), without(params, *names), *inputs)
    assert_close(whole.trajectory[0], alone.trajectory[0], 1e-6)
    assert_close(whole.logits[0], alone.logits[0], 1e-5)
    assert np.max(np.abs(whole.phases - alone.phases)) > 0.05


@pytest.mark.parametrize("layer", LAYERS)
def test_one_layer_is_all_of_them_with_the_others_rates_at_zero(params, inputs, layer):
    others = [f"feedback_{name}_kernel" for name in LAYERS if name != layer]
    alone = run(MODEL.clone(feedback=(layer,)), without(params, *others), *inputs)
    rates = tuple(rate * (name == layer) for name, rate in zip(LAYERS, MODEL.feedback_rates, strict=True))
    assert_close(run(MODEL.clone(feedback_rates=rates), params, *inputs)[:4], alone[:4], 1e-5)


def test_layers_pull_as_equation_6_says(params, inputs, whole):
    """The second step: its phases minus those of a step without feedback, in complex NumPy."""
    first = run(MODEL, params, *inputs, num_steps=1)
    names = [f"feedback_{layer}_kernel" for layer in LAYERS]
    alone = run(MODEL.clone(feedback=()), without(params, *names), inputs[0], first.phases, num_steps=1)
    pulls = {layer: np.tanh(z.magnitude) * (z.cosine + 1j * z.sine) for layer, z in first.layers.items()}
    kernels = {layer: np.asarray(params["params"][f"feedback_{layer}_kernel"]) for layer in LAYERS}
    field = sum(rate * pulls[n] @ kernels[n] for n, rate in (("l3", 0.2), ("l4", 0.1)))[:, None, None]
    field = np.tile(field, (1, *IMAGE, 1))
    for row, column in np.ndindex(IMAGE[0] // 2, IMAGE[1] // 2):
        for i, j in np.ndindex(3, 3):
            y, x = 2 * row + i - 1, 2 * column + j - 1
            if 0 <= y < IMAGE[0] and 0 <= x < IMAGE[1]:
                field[:, y, x] += 0.3 * pulls["l2"][:, row, column] @ kernels["l2"][i, j]
    expected = np.imag(np.exp(-1j * np.asarray(first.phases)) * field)
    assert_close(np.asarray(whole.trajectory[1] - alone.phases), expected.astype(np.float32), 1e-5)


def test_layers_are_those_of_the_last_step(params, inputs, whole):
    l4 = whole.layers["l4"].magnitude
    assert_close(l4 - l4.max(-1, keepdims=True) / 3, whole.logits[-1], 1e-6)
    assert {name: z.magnitude.shape for name, z in whole.layers.items()} == {
        "l2": (3, 3, 4, 2), "l3": (3, 5), "l4": (3, 4),
    }  # fmt: skip


def test_a_run_goes_on_where_another_stopped(params, inputs, whole):
    first = run(MODEL, params, *inputs, num_steps=2)
    rest = run(MODEL, params, inputs[0], first.phases, first.layers, num_steps=1)
    assert_close((rest.phases, rest.logits[0], rest.layers), (whole.phases, whole.logits[2], whole.layers), 1e-5)


def mean_square(logits, targets):
    return jnp.mean((logits - targets) ** 2)


def loss(params, images, phases0, targets, by_step=False):
    options = {"step_loss": mean_square, "targets": targets} if by_step else {}
    out = MODEL.apply(params, images, phases0=phases0, **options)
    return out.loss if by_step else jnp.mean((out.logits - targets) ** 2)


plain = jax.jit(jax.value_and_grad(loss))
TARGETS = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def test_step_loss_is_the_mean_over_time(params, inputs):
    each = [
        jax.jit(jax.value_and_grad(partial(loss, by_step=flag)))(params, *inputs, TARGETS) for flag in (True, False)
    ]
    assert_close(*each, 1e-6)
    assert all(np.any(x != 0) for x in jax.tree.leaves(each[0][1]))


def test_gradients_are_the_slopes(params, inputs):
    kernels = [f"feedback_{layer}_kernel" for layer in LAYERS] + ["coupling_kernel"]
    with float64():
        wide = jax.tree.map(lambda x: np.asarray(x, np.float64), (params, inputs, TARGETS))

        def of_kernels(phases0, *values):
            changed = {"params": wide[0]["params"] | dict(zip(kernels, values, strict=True))}
            return 100 * loss(changed, wide[1][0], phases0, wide[2])

        assert_gradients(of_kernels, wide[1][1], *(wide[0]["params"][name] for name in kernels), tolerance=1e-6)


def test_a_vmapped_seed_is_a_solo_seed(params, inputs):
    stacked = jax.tree.map(lambda x: jnp.stack([1.1 * x, x]), params)
    found = jax.jit(jax.vmap(lambda one: jax.value_and_grad(loss)(one, *inputs, TARGETS)))(stacked)
    solo = plain(params, *inputs, TARGETS)
    assert_close(jax.tree.map(lambda x: x[1], found), solo, 1e-5)


def test_black_images(params, inputs):
    """Without biases all layers are silent: nothing pulls, and no gradient is undefined."""
    unbiased = jax.tree.map_with_path(lambda path, x: x * ("bias" not in str(path)), params)
    value, gradient = plain(unbiased, np.zeros_like(inputs[0]), inputs[1], TARGETS)
    assert_finite((value, gradient))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feedback": ("l5",)}, r"feedback must be some of l2, l3, l4, each once, got \('l5',\)"),
        ({"feedback": ("l2", "l2")}, r"each once, got \('l2', 'l2'\)"),
        ({"phases": "random"}, "feedback needs the dynamics of phases='kuramoto', got 'random'"),
        ({"feedback_rates": (0.1, 0.2)}, r"feedback_rates must be three, of l2, l3, l4, got \(0\.1, 0\.2\)"),
        ({"feedback_kernel_size": 4}, "odd height and width, got 4 x 4"),
    ],
)
def test_bad_settings(inputs, settings, message):
    model = MODEL.clone(**settings)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda: model.apply(
                model.init(jax.random.key(0), inputs[0], phases0=inputs[1]), inputs[0], phases0=inputs[1]
            )
        )
