"""KomplexNet with feedback: published numbers, the force of each layer, continued runs, gradients, black images."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import interop, losses, models
from oscnets.models.komplexnet import LAYERS
from tests.helpers import assert_close, assert_finite, assert_gradients, float64, golden_files, random_like

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
    with np.load(*golden_files(f"komplexnet_feedback{size}.npz")) as stored:
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


def convolve(x, kernel, bias=None, stride=1):
    """Torch's layout without a batch: (C, H, W) and (O, C, k, k) -> (O, H / stride, W / stride), same padding."""
    size, (_, height, width) = kernel.shape[-1], x.shape
    padded = np.pad(x, ((0, 0), *((size // 2, size // 2),) * 2))
    total = 0 if bias is None else bias[:, None, None]
    for i, j in np.ndindex(size, size):
        total = total + np.einsum("oc,chw->ohw", kernel[:, :, i, j], padded[:, i : i + height, j : j + width])
    return total[:, ::stride, ::stride]


def transposed(z, kernel):
    """A transposed convolution of stride 2: zeros between the units, then the kernel turned."""
    apart = np.zeros((len(z), 2 * z.shape[1], 2 * z.shape[2]), complex)
    apart[:, ::2, ::2] = z
    return convolve(apart, kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def rectify(magnitude, scale, shift, axes):
    """Equation 5, of equation 4's magnitude."""
    centred = magnitude - magnitude.mean(axes, keepdims=True)
    shape = (-1,) + (1,) * (magnitude.ndim - 1)
    normalized = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)
    return np.maximum(normalized * scale.reshape(shape) + shift.reshape(shape), 0)


def mix(layer, z):
    """Equations 3 and 4: magnitude and phase factor."""
    psi = layer(z.real) + 1j * layer(z.imag)
    return 0.5 * np.abs(psi) + 0.5 * layer(np.abs(z)), np.exp(1j * np.angle(psi))


def by_the_equations(state, image, phases, steps, rate, epsilon, feedback_rates):
    """One image by equations 1 and 3 to 6 in complex128, on a published state: logits of each step, last phases."""
    w = {key: np.float64(array) for key, array in state.items()}
    kernels = {layer: w.get(f"kernel_kuramoto_{layer}") for layer in LAYERS}
    amplitude = np.maximum(convolve(image, w["downsampling.weight"]), 0)
    convolution = w["convA.kernel_conv.weight"], w["convA.kernel_conv.bias"], 2
    dense = lambda name: lambda x: w[f"{name}.weights.weight"] @ x + w[f"{name}.weights.bias"]  # noqa: E731
    layers, logits = {}, []
    for _ in range(steps):
        field = np.tanh(amplitude) * np.exp(1j * phases)
        pull = rate * (convolve(field, w["kernel_kuramoto"]) - epsilon * field.sum())
        for (layer, z), feedback_rate in zip(layers.items(), feedback_rates, strict=False):
            if kernels[layer] is not None:
                z = np.tanh(np.abs(z)) * np.exp(1j * np.angle(z))
                back = transposed(z, kernels[layer]) if layer == "l2" else (kernels[layer] @ z)[:, None, None]
                pull = pull + feedback_rate * back
        phases = phases + np.imag(np.exp(-1j * phases) * pull)
        magnitude, turn = mix(lambda x: convolve(x, *convolution), amplitude * np.exp(1j * phases))
        layers["l2"] = rectify(magnitude, w["convA.norm.weight"], w["convA.norm.bias"], (1, 2)) * turn
        magnitude, turn = mix(dense("classif1.1"), layers["l2"].ravel())
        layers["l3"] = rectify(magnitude, w["classif1.1.norm.weight"], w["classif1.1.norm.bias"], 0) * turn
        magnitude, turn = mix(dense("classif2"), layers["l3"])
        layers["l4"] = magnitude * turn
        logits.append(magnitude - magnitude.max() / 3)
    return np.stack(logits), phases


@pytest.mark.parametrize("name", ["komplexnet", "komplexnet_feedback5", "komplexnet_feedback11"])
def test_the_network_is_its_equations_on_published_weights(name):
    """In float64; a negative magnitude of l4 is a turned phase here, and a negative tanh there."""
    with np.load(*golden_files(f"{name}.npz")) as stored:
        golden = dict(stored)
    state = {key.removeprefix("state/"): array for key, array in golden.items() if key.startswith("state/")}
    settings = {name: float(golden[name]) for name in ("rate", "epsilon")}
    rates = tuple(map(float, golden["feedback_rates"]))
    image, phases = (np.float64(golden[key][1]) for key in ("x", "phases0"))
    logits, last = by_the_equations(state, image, phases, 4, **settings, feedback_rates=rates)
    chosen = settings | ({"feedback_rates": rates} if "feedback" in name else {})
    with float64():
        module, variables = interop.from_torch("komplexnet", state, num_steps=4, **chosen)
        variables = jax.tree.map(lambda x: jnp.asarray(x, np.float64), variables)
        out = jax.jit(lambda x, phases: module.apply(variables, x, phases0=phases))(
            np.moveaxis(image, 0, -1)[None], np.moveaxis(phases, 0, -1)[None]
        )
    assert out.logits.dtype == np.float64
    assert_close(out.logits[:, 0], logits, 1e-9)
    assert_close(np.moveaxis(out.phases[0], -1, 0), last, 1e-9)
    assert_close(logits, golden["logits"][:4, 1], 1e-4)


def test_kernels_start_effectively_off():
    images, phases = jnp.zeros((1, *IMAGE, 1)), jnp.zeros((1, *IMAGE, 2))
    made = jax.jit(lambda: MODEL.init(jax.random.key(0), images, phases0=phases))()["params"]
    shapes = {name: x.shape for name, x in made.items() if name.startswith("feedback")}
    assert shapes == {"feedback_l2_kernel": (3, 3, 2, 2), "feedback_l3_kernel": (5, 2), "feedback_l4_kernel": (4, 2)}
    assert all(np.all(made[name] == np.float32(1e-6)) for name in shapes)


def test_the_first_step_has_no_feedback(params, inputs, whole):
    names = [f"feedback_{layer}_kernel" for layer in LAYERS]
    alone = run(MODEL.clone(feedback=()), without(params, *names), *inputs)
    assert_close(whole.trajectory[0], alone.trajectory[0], 1e-6)
    assert_close(whole.logits[0], alone.logits[0], 1e-5)
    assert np.max(np.abs(whole.phases - alone.phases)) > 0.05


@pytest.mark.parametrize("layer", LAYERS)
def test_one_layer_is_all_of_them_with_the_other_kernels_at_zero(params, inputs, layer):
    others = [f"feedback_{name}_kernel" for name in LAYERS if name != layer]
    alone = run(MODEL.clone(feedback=(layer,)), without(params, *others), *inputs)
    zeroed = {"params": params["params"] | {name: 0 * params["params"][name] for name in others}}
    assert_close(run(MODEL, zeroed, *inputs)[:4], alone[:4], 1e-5)


def test_layers_act_as_equation_6_says(params, inputs, whole):
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
    first = run(MODEL, params, *inputs, num_steps=1)
    rest = run(MODEL, params, inputs[0], first.phases, first.layers, num_steps=2)
    assert_close((rest.phases, rest.logits, rest.layers), (whole.phases, whole.logits[1:], whole.layers), 1e-5)


def test_images_of_a_batch_are_independent(params, inputs, whole):
    """In another order, and beside a black image instead of the third: feedback stays in its image."""
    images, phases0 = (x[np.array([1, 0, 2])] for x in inputs)
    images[2] = 0
    other = run(MODEL, params, images, phases0)
    swapped = jax.tree.map(
        lambda x: x[np.array([1, 0])], (other.phases[:2], jax.tree.map(lambda x: x[:2], other.layers))
    )
    assert_close(swapped, jax.tree.map(lambda x: x[:2], (whole.phases, whole.layers)), 1e-5)
    assert np.max(np.abs(other.phases[2] - whole.phases[2])) > 0.05


def mean_square(logits, targets):
    return jnp.mean((logits - targets) ** 2)


def loss(params, images, phases0, targets):
    return mean_square(MODEL.apply(params, images, phases0=phases0).logits, targets)


plain = jax.jit(jax.value_and_grad(loss))
TARGETS = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


def step_square(shared, state, targets):
    params, context = shared
    return mean_square(MODEL.apply(params, state, context, method="classify_step"), targets)


@jax.jit
@jax.value_and_grad
def loss_by_step(params, images, phases0, targets):
    run = MODEL.apply(params, images, phases0=phases0, method="synchronize")
    return losses.mean_over_time(step_square, (params, run.context), run.states, targets)


@pytest.fixture(scope="module")
def solo(params, inputs):
    """The loss and its gradient by plain autodiff."""
    return plain(params, *inputs, TARGETS)


def test_a_loss_step_by_step_is_that_of_all_logits(params, inputs, solo):
    assert_close(loss_by_step(params, *inputs, TARGETS), solo, 1e-6)
    assert all(np.any(x != 0) for x in jax.tree.leaves(solo[1]))


def test_gradients_are_the_slopes(params, inputs):
    kernels = [f"feedback_{layer}_kernel" for layer in LAYERS] + ["coupling_kernel"]
    with float64():
        wide = jax.tree.map(lambda x: np.asarray(x, np.float64), (params, inputs, TARGETS))

        def of_kernels(phases0, *values):
            changed = {"params": wide[0]["params"] | dict(zip(kernels, values, strict=True))}
            return 100 * loss(changed, wide[1][0], phases0, wide[2])

        assert_gradients(of_kernels, wide[1][1], *(wide[0]["params"][name] for name in kernels), tolerance=1e-6)


def test_a_vmapped_seed_is_a_solo_seed(params, inputs, solo):
    stacked = jax.tree.map(lambda x: jnp.stack([1.1 * x, x]), params)
    result = jax.jit(jax.vmap(lambda one: jax.value_and_grad(loss)(one, *inputs, TARGETS)))(stacked)
    assert_close(jax.tree.map(lambda x: x[1], result), solo, 1e-5)


def test_black_images(params, inputs):
    """Without biases all layers have magnitude 0: no force, and no gradient is undefined."""
    unbiased = jax.tree.map_with_path(lambda path, x: x * ("bias" not in str(path)), params)
    assert_finite(plain(unbiased, np.zeros_like(inputs[0]), inputs[1], TARGETS))


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
