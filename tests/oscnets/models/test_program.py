"""Calls of models as programs: types of arrays, empty batches, what is compiled, arrays as attributes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import freeze

from oscnets import models
from tests.helpers import assert_close, float64, random_variables

SEGMENTER = {"hidden": (5,), "num_classes": 3, "mid_channels": 2}
KOMPLEX = models.KomplexNet(channels=2, hidden=4, num_classes=3, kernel_size=3, num_steps=2)
GASPNET = models.GASPnet(channels=(2, 2, 2), hidden=3, num_classes=3, dim=2, num_steps=1)
WAVES = models.NeuralWaveMachine(num_steps=3, **SEGMENTER)
MODELS = {
    "komplexnet": KOMPLEX,
    "feedback": KOMPLEX.clone(feedback=("l2", "l4")),
    "random": KOMPLEX.clone(phases="random"),
    "gaspnet": GASPNET,
    "learned phases": GASPNET.clone(start="learned", num_heads=2, input_phases=True),
    "feedforward": models.FeedforwardNet(channels=(2, 2, 2), hidden=3, num_classes=3),
    "waves": WAVES,
    "waves reversed": WAVES.clone(keep="readout", gradient="reverse"),
    "lstm": models.ConvLSTM(num_steps=2, **SEGMENTER),
    "cnn": models.CNN(depth=2, channels=2, bins=2, hidden=(4,), num_classes=3),
    "unet": models.UNet(width=1, num_classes=3),
    "real": models.RealNet(channels=2, conv_channels=2, hidden=3, num_classes=3),
    "transformer": models.VisionTransformer(width=4, heads=1, mlp=4, blocks=1, num_classes=3),
    "akorn": models.discovery_akorn(channels=4, heads=2, components=2, num_steps=2, rotation="pairs", norm="group"),
    "iterated attention": models.ItrSA(head="discovery", channels=4, heads=2, num_steps=2),
    "rotating": models.RotatingFeatures(components=3, channels=1, latent=2),
}
KEYS = {name: jax.random.key(i) for i, name in enumerate(("params", "phases", "noise"))}
IMAGES = np.random.default_rng(0).integers(0, 2, size=(2, 16, 16, 1)).astype(np.float32)
ALIKE = ("random", "learned phases", "waves reversed")  # but for their derivatives, others of the list
each_model = pytest.mark.parametrize("name", [name for name in MODELS if name not in ALIKE])
OSCILLATING = ("komplexnet", "feedback", "gaspnet", "learned phases", "waves", "waves reversed", "akorn", "rotating")


def variables_of(model, images=IMAGES):
    return random_variables(lambda: model.init(KEYS, images))


def logits_of(output):
    return getattr(output, "logits", getattr(output, "reconstruction", output))


class Compilations:
    """Counts the programs that are compiled."""

    def __init__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self.heard)

    def heard(self, name, *_, **__):
        self.count += name == "/jax/core/compile/backend_compile_duration"


COMPILATIONS = Compilations()


def compiled(fn):
    before = COMPILATIONS.count
    jax.block_until_ready(fn())
    return COMPILATIONS.count - before


@each_model
def test_images_of_every_type_give_the_logits_of_float32(name):
    model = MODELS[name]
    variables = variables_of(model)
    right = model.apply(variables, IMAGES, rngs=KEYS)
    kinds = ("bool", "uint8", "int32", "float16", "bfloat16", "float32")
    images = [jnp.asarray(IMAGES, kind) for kind in kinds]
    for given in (*images, IMAGES.astype(np.float64), IMAGES.astype(np.int64), IMAGES.astype(bool), IMAGES.tolist()):
        found = model.apply(variables, given, rngs=KEYS)
        assert_close(found, right, 0)
        assert jax.tree.map(lambda x: x.dtype, found) == jax.tree.map(lambda x: x.dtype, right)


@each_model
def test_widest_type_of_images_and_parameters(name):
    model = MODELS[name]
    with float64():
        variables = variables_of(model, IMAGES.astype(np.float64))
        for params, images in ((np.float64, np.float32), (np.float32, np.float64)):
            cast = jax.tree.map(lambda x, params=params: x.astype(params), variables)
            shapes = jax.eval_shape(lambda v, x: model.apply(v, x, rngs=KEYS), cast, IMAGES.astype(images))
            assert logits_of(shapes).dtype == np.float64
    half = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), variables)
    shapes = jax.eval_shape(lambda v: model.apply(v, jnp.asarray(IMAGES, jnp.float16), rngs=KEYS), half)
    assert logits_of(shapes).dtype == np.float32


@pytest.mark.parametrize("name", ["komplexnet", "gaspnet", "waves"])
def test_arrays_that_are_not_real_are_refused_by_name(name):
    model = MODELS[name]
    variables = variables_of(model)
    with pytest.raises(TypeError, match="images must be real, got complex64"):
        model.apply(variables, IMAGES + 0j, rngs=KEYS)
    with pytest.raises(TypeError, match="images must be an array of numbers, got str"):
        model.apply(variables, "digits", rngs=KEYS)


def test_phases_masks_and_layers_of_every_type():
    start = np.random.default_rng(1).integers(-3, 3, size=(2, 16, 16, 2))
    model = MODELS["feedback"]
    variables = variables_of(model)
    right = model.apply(variables, IMAGES, phases0=start.astype(np.float32))
    for phases0 in (start, start.tolist(), jnp.asarray(start, jnp.bfloat16), start.astype(np.float64)):
        assert_close(model.apply(variables, IMAGES, phases0=phases0), right, 0)
    half = jax.tree.map(lambda x: np.asarray(x, np.float16), right.layers)
    exact = jax.tree.map(lambda x: x.astype(np.float32), half)
    found, expected = (model.apply(variables, IMAGES, phases0=start, layers0=x) for x in (half, freeze(exact)))
    assert_close(found, expected, 0)
    ideal = KOMPLEX.clone(phases="ideal")
    variables = variables_of(KOMPLEX)
    masks, overlap = IMAGES.repeat(2, -1), IMAGES[..., 0]
    right = ideal.apply(variables, IMAGES, masks=masks, overlap=overlap, rngs=KEYS)
    for kind in (bool, np.uint8, np.float64, "list"):
        given = [x.tolist() if kind == "list" else x.astype(kind) for x in (masks, overlap)]
        found = ideal.apply(variables, IMAGES, masks=given[0], overlap=given[1], rngs=KEYS)
        assert_close(found, right, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phases0": np.zeros((2, 8, 8, 2))}, r"phases0 must be \(2, 16, 16, 2\) for images .*, got \(2, 8, 8, 2\)"),
        ({"masks": np.zeros((2, 16, 16))}, r"masks must be \(2, 16, 16, G\) for images .*, got \(2, 16, 16\)"),
        ({"overlap": np.zeros((2, 16, 16, 1))}, r"overlap must be \(2, 16, 16\) for images .*, got \(2, 16, 16, 1\)"),
        ({"layers0": {"l2": np.zeros((3, 2))}}, r"layers0 must hold l2, l3, l4, got l2"),
        (
            {"layers0": {name: np.zeros((3, 2, 4)) for name in ("l2", "l3", "l4")}},
            r"layers0\['l2'\].magnitude must be \(2, 8, 8, 2\) for images .*, got \(2, 4\)",
        ),
    ],
)
def test_arrays_of_other_shapes_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        KOMPLEX.apply(variables_of(KOMPLEX), IMAGES, rngs=KEYS, **arguments)


def test_phases_of_another_shape_are_refused_by_gaspnet():
    with pytest.raises(ValueError, match=r"phases0 must be \(2, 90\), .*, got \(2, 3\)"):
        GASPNET.apply(variables_of(GASPNET), IMAGES, phases0=np.zeros((2, 3)))


@each_model
def test_an_empty_batch(name):
    model = MODELS[name]
    variables = variables_of(model, IMAGES[:0])
    expected = jax.eval_shape(lambda v: model.apply(v, IMAGES[[0] * 7], rngs=KEYS), variables)
    shape = tuple(0 if n == 7 else n for n in logits_of(expected).shape)

    def total(variables):
        found = logits_of(model.apply(variables, IMAGES[:0], rngs=KEYS))
        return found.sum(), found

    (_, found), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(variables)
    assert (found.shape, found.dtype) == (shape, np.float32)
    assert not any(x.any() for x in jax.tree.leaves(gradients))
    assert logits_of(jax.eval_shape(model.init_with_output, KEYS, IMAGES[:0])[0]).shape == shape


def test_an_empty_batch_moves_no_running_statistics():
    model = MODELS["unet"]
    variables = variables_of(model)
    _, after = model.apply(variables, IMAGES[:0], train=True, mutable=["batch_stats"])
    assert_close(after["batch_stats"], variables["batch_stats"], 0)


def test_compilations_are_counted():
    assert compiled(lambda: jax.jit(lambda x: x + 17)(1.0)) == 1


@each_model
def test_a_second_call_and_gradient_compile_nothing(name):
    """Gradients of one model a family."""
    model = MODELS[name]
    variables = variables_of(model)
    call = lambda: model.clone().apply(variables, IMAGES, rngs=KEYS)  # noqa: E731
    gradient = lambda: jax.grad(lambda v: logits_of(model.apply(v, IMAGES, rngs=KEYS)).sum())(variables)  # noqa: E731
    for fn in (call, gradient) if name in ("komplexnet", "gaspnet", "waves", "akorn", "rotating") else (call,):
        compiled(fn)
        assert [compiled(fn) for _ in range(2)] == [0, 0]


def test_the_parts_of_a_call_compile_once_too():
    def komplexnet():
        run = KOMPLEX.apply(variables, IMAGES, rngs=KEYS, method="synchronize")
        return KOMPLEX.apply(variables, run.states[1], run.context, method="classify_step")

    def waves():
        features = WAVES.apply(of_waves, IMAGES, method="features").pixels
        return WAVES.apply(of_waves, features[0, 1], method="classify_pixels")

    def unet():
        return model.apply(of_unet, IMAGES, train=True, mutable=["batch_stats"])

    variables, of_waves, model = variables_of(KOMPLEX), variables_of(WAVES), MODELS["unet"]
    of_unet = variables_of(model)
    for fn in (komplexnet, waves, unet):
        compiled(fn)
        assert [compiled(fn) for _ in range(2)] == [0, 0]


@each_model
def test_under_the_promotion_that_finds_bugs(name):
    model = MODELS[name]
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        variables = jax.eval_shape(lambda: model.init(KEYS, IMAGES.astype(np.uint8)))
        jax.eval_shape(lambda v: model.apply(v, IMAGES.astype(np.uint8), rngs=KEYS), variables)


def test_gradients_in_attributes():
    """Of numbers that are traced, against those that are not."""
    images, start = IMAGES[:, :6, :6], np.random.default_rng(1).uniform(-3, 3, (2, 6, 6, 2)).astype(np.float32)
    variables = variables_of(MODELS["feedback"], images)

    def energy(rate, rates):
        model = MODELS["feedback"].clone(rate=rate, feedback_rates=rates)
        return model.apply(variables, images, phases0=start).phases.sum()

    value = energy(0.3, (0.2, 0.1, 0.3))
    for rate, rates in ((jnp.float32(0.3), np.array([0.2, 0.1, 0.3])), (np.float64(0.3), [jnp.array(0.2), 0.1, 0.3])):
        assert_close(energy(rate, rates), value, 1e-6)
    found = jax.grad(energy, (0, 1))(0.3, jnp.array([0.2, 0.1, 0.3]))
    slopes = [energy(0.301, (0.2, 0.1, 0.3)) - energy(0.299, (0.2, 0.1, 0.3))]
    slopes.append(energy(0.3, (0.201, 0.1, 0.3)) - energy(0.3, (0.199, 0.1, 0.3)))
    assert_close(jnp.stack([found[0], found[1][0]]), jnp.stack(slopes) / 0.002, 2e-2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (KOMPLEX.clone(rate=np.ones(2)), r"rate must be a number, got an array of shape \(2,\)"),
        (KOMPLEX.clone(epsilon=jnp.ones((1, 1))), r"epsilon must be a number, got an array of shape \(1, 1\)"),
        (KOMPLEX.clone(feedback_rates=np.ones((3, 2))), r"feedback_rates must be .* numbers, got .* \(3, 2\)"),
        (GASPNET.clone(strength=np.ones(3)), r"strength must be a number, got an array of shape \(3,\)"),
        (WAVES.clone(dt=np.full(2, 0.1)), r"dt must be a number, got an array of shape \(2,\)"),
    ],
)
def test_arrays_as_attributes_where_numbers_are_meant(model, message):
    with pytest.raises(ValueError, match=message):
        model.init(KEYS, IMAGES)


def test_intermediates_can_be_captured():
    variables = variables_of(MODELS["transformer"])
    model = MODELS["transformer"]
    right = model.apply(variables, IMAGES)
    logits, captured = model.apply(variables, IMAGES, capture_intermediates=True)
    assert_close(logits, right, 1e-5)
    assert "embedding" in captured["intermediates"]


@pytest.mark.parametrize("name", OSCILLATING)
def test_derivatives_of_both_modes_agree(name):
    """<ct, J d> by forward mode is <J^T ct, d> by reverse mode; and the Hessian H that is J of J^T is symmetric.

    Of the models that are more than layers of Flax's kind. Reverse mode twice is tested of every function, in
    `test_derivatives.py`.
    """
    model = MODELS[name]
    with float64():
        variables = jax.tree.map(lambda x: x.astype(float), variables_of(model))
        rng = np.random.default_rng(0)
        first, second = (jax.tree.map(lambda x: rng.normal(size=x.shape), variables) for _ in range(2))
        dot = lambda a, b: sum(np.vdot(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))  # noqa: E731

        @jax.jit
        def derivatives(variables, along):
            loss = lambda variables: jnp.sin(logits_of(model.apply(variables, IMAGES, rngs=KEYS))).sum()  # noqa: E731
            return jax.jvp(jax.value_and_grad(loss), (variables,), (along,))

        (_, gradient), (forward, of_first) = derivatives(variables, first)
        np.testing.assert_allclose(forward, dot(gradient, first), rtol=1e-8, atol=1e-8)
        _, (_, of_second) = derivatives(variables, second)
        np.testing.assert_allclose(dot(of_first, second), dot(of_second, first), rtol=1e-7, atol=1e-7)


@each_model
def test_a_parameter_that_is_nan_is_seen_in_the_logits(name):
    model = MODELS[name]
    leaves, tree = jax.tree.flatten(variables_of(model))
    run = jax.jit(lambda leaves: logits_of(model.apply(jax.tree.unflatten(tree, leaves), IMAGES, rngs=KEYS)))
    for i, x in enumerate(leaves):
        spoilt = [*leaves[:i], jnp.full_like(x, jnp.nan), *leaves[i + 1 :]]
        assert np.isnan(run(spoilt)).any(), f"{jax.tree.unflatten(tree, [j == i for j in range(len(leaves))])}"
