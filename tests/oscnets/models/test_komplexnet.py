"""KomplexNet at a small size: two ways to a loss, time, batch, seeds, black images, initial phases and kernels.

That it computes the published numbers is shown in test_interop.py.
"""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from oscnets import losses, models
from oscnets.dynamics import kuramoto
from tests.helpers import assert_close, assert_finite

SIZES = {"channels": 2, "hidden": 5, "num_classes": 4, "kernel_size": 3, "rate": 0.1, "num_steps": 3}
MODEL = models.KomplexNet(**SIZES)
IMAGE = (6, 8)


def init(model, seed, images, phases0):
    return model.init(jax.random.key(seed), images, phases0=phases0)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(size=(3, *IMAGE, 1)), jnp.float32)
    return images, models.random_phases(jax.random.key(1), (3, *IMAGE, 2))


@pytest.fixture(scope="module")
def params(inputs):
    return jax.jit(lambda: init(MODEL, 0, *inputs))()


@jax.jit
def run_long(params, images, phases0):
    """Five steps, two more than the attribute says."""
    return MODEL.apply(params, images, phases0=phases0, num_steps=5)


@pytest.fixture(scope="module")
def long_run(params, inputs):
    return run_long(params, *inputs)


TARGETS = jnp.array([[1.0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]])


def mean_entropy(logits, targets):
    return losses.binary_cross_entropy(logits, targets).mean()


def step_entropy(shared, state, targets):
    params, context = shared
    return mean_entropy(MODEL.apply(params, state, context, method="classify_step"), targets)


@partial(jax.jit, static_argnums=0)
@partial(jax.value_and_grad, argnums=(1, 2, 3), has_aux=True)
def loss_and_gradients(by_step, params, images, phases0):
    """Cross-entropy over time plus a function of the last phases and the amplitude, step by step or by autodiff."""
    if by_step:
        out, logits = MODEL.apply(params, images, phases0=phases0, method="synchronize"), None
        entropy = losses.mean_over_time(step_entropy, (params, out.context), out.states, TARGETS)
    else:
        out = MODEL.apply(params, images, phases0=phases0)
        entropy, logits = mean_entropy(out.logits, TARGETS), out.logits
    return entropy + 0.1 * jnp.sum(jnp.sin(out.phases) * out.amplitude), logits


@pytest.fixture(scope="module")
def plain(params, inputs):
    """By plain autodiff: ((loss, logits), gradients in parameters, images and phases)."""
    return loss_and_gradients(False, params, *inputs)


def test_numbers_of_parameters():
    def count(model):
        made = jax.eval_shape(lambda: init(model, 0, jnp.zeros((1, 32, 32, 1)), jnp.zeros((1, 32, 32, 8))))
        return sum(x.size for x in jax.tree.leaves(made))

    assert count(models.KomplexNet()) == 114_548
    assert (
        count(models.KomplexNet(learn_kernel=False))
        == count(models.KomplexNet(phases="random"))
        == 114_548 - 13**2 * 64
    )


@pytest.fixture(scope="module")
def by_step(params, inputs):
    """The same step by step, without logits."""
    return loss_and_gradients(True, params, *inputs)


def without_logits(result):
    (loss, _), gradients = result
    return loss, gradients


def test_a_loss_step_by_step_has_the_value_and_gradients_of_plain_autodiff(plain, by_step):
    assert_close(without_logits(by_step), without_logits(plain), 1e-5)
    assert all(np.any(x != 0) for x in jax.tree.leaves(plain[1]))


def test_the_first_steps_of_a_longer_run(plain, long_run):
    assert long_run.logits.shape == (5, 3, 4)
    assert long_run.trajectory.shape == (5, 3, *IMAGE, 2)
    assert_close(long_run.logits[:3], plain[0][1], 1e-5)
    np.testing.assert_array_equal(long_run.phases, long_run.trajectory[-1])
    assert np.max(np.abs(long_run.logits[4] - long_run.logits[0])) > 1e-3


def test_phases_follow_the_dynamics_from_the_amplitude(params, inputs, long_run):
    images, phases0 = inputs
    weights = params["params"]

    @jax.jit
    def expected(images, phases0):
        layout = ("NHWC", "HWIO", "NHWC")
        amplitude = lax.conv_general_dilated(
            images, weights["encoder_kernel"], (1, 1), "SAME", dimension_numbers=layout
        )
        amplitude = jnp.maximum(amplitude, 0)
        options = {"rate": 0.1, "epsilon": 0.2, "num_steps": 5, "method": "direct"}
        return amplitude, kuramoto.conv_trajectory(phases0, amplitude, weights["coupling_kernel"], **options)

    assert_close((long_run.amplitude, long_run.trajectory), expected(images, phases0), 1e-5)


def test_images_of_a_batch_are_independent(params, inputs, long_run):
    """In another order, and beside a black image instead of the third."""
    images, phases0 = (x[jnp.array([1, 0, 2])] for x in inputs)
    other = run_long(params, images.at[2].set(0), phases0)
    assert_close(other.logits[:, 1], long_run.logits[:, 0], 1e-5)
    assert_close(other.logits[:, 0], long_run.logits[:, 1], 1e-5)
    assert_close(other.phases[1], long_run.phases[0], 1e-5)


def test_a_vmapped_seed_is_a_solo_seed(inputs, params, by_step):
    seeds = jnp.array([7, 0])
    stacked = jax.jit(jax.vmap(lambda seed: init(MODEL, seed, *inputs)))(seeds)
    assert_close(jax.tree.map(lambda x: x[1], stacked), params, 1e-6)
    assert np.any(stacked["params"]["encoder_kernel"][0] != params["params"]["encoder_kernel"])
    found = jax.vmap(lambda params: loss_and_gradients(True, params, *inputs))(stacked)
    assert_close(jax.tree.map(lambda x: x[1], found), by_step, 1e-5)


def without_kernel(params):
    return {"params": {name: x for name, x in params["params"].items() if name != "coupling_kernel"}}


def test_a_fixed_kernel_is_the_gaussian_start(params, inputs, plain):
    model = MODEL.clone(learn_kernel=False)
    chex.assert_trees_all_equal_structs(jax.eval_shape(lambda: init(model, 0, *inputs)), without_kernel(params))
    np.testing.assert_array_equal(params["params"]["coupling_kernel"], models.gaussian_kernel(3, 2))
    out = jax.jit(lambda *args: model.apply(args[0], args[1], phases0=args[2]))(without_kernel(params), *inputs)
    assert_close(out.logits, plain[0][1], 1e-5)


def test_ideal_phases_come_from_the_masks(params, inputs):
    images = inputs[0]
    rngs = {"phases": jax.random.key(3)}
    model, weights = MODEL.clone(phases="ideal"), without_kernel(params)
    masks = jnp.zeros((*images.shape[:3], 2), bool).at[:, :2, :, 0].set(True).at[:, 2:4, :, 1].set(True)
    out = jax.jit(lambda weights, masks: model.apply(weights, images, masks=masks, rngs=rngs))(weights, masks)
    first, second = out.phases[:, :2], out.phases[:, 2:4]
    np.testing.assert_allclose(first, jnp.broadcast_to(first[:, :1, :1, :1], first.shape), rtol=1e-6)
    np.testing.assert_allclose(second[:, 0, 0, 0] - first[:, 0, 0, 0], np.pi, rtol=1e-5)
    with pytest.raises(ValueError, match="ideal phases need masks"):
        model.apply(weights, images, rngs=rngs)
    with pytest.raises(ValueError, match="one of kuramoto, random, ideal, got 'best'"):
        MODEL.clone(phases="best").apply(params, images, rngs=rngs)


def test_without_dynamics_the_phases_stay(params, inputs):
    images, phases0 = inputs
    model = MODEL.clone(phases="random")
    chex.assert_trees_all_equal_structs(jax.eval_shape(lambda: init(model, 0, *inputs)), without_kernel(params))
    out = jax.jit(lambda *args: model.apply(args[0], args[1], phases0=args[2]))(without_kernel(params), *inputs)
    still = jax.jit(lambda *args: MODEL.clone(rate=0.0).apply(args[0], args[1], phases0=args[2], num_steps=1))
    np.testing.assert_array_equal(out.phases, phases0)
    np.testing.assert_array_equal(out.trajectory, phases0[None])
    assert_close(out.logits, still(params, images, phases0).logits, 1e-6)
    assert out.logits.shape == (1, 3, 4)


def test_black_images(params, inputs):
    black = jnp.zeros_like(inputs[0])
    unbiased = jax.tree.map_with_path(lambda path, x: x * ("conv_bias" not in str(path)), params)  # then psi is 0 too
    for weights in (params, unbiased):
        found = loss_and_gradients(True, weights, black, inputs[1])
        assert_finite(found)
    assert np.all(unbiased["params"]["head"]["conv_bias"] == 0)
    np.testing.assert_array_equal(run_long(params, black, inputs[1]).phases, inputs[1])  # no force


def test_phases_drawn_by_the_model(params, inputs):
    model, weights = MODEL.clone(phases="random"), without_kernel(params)
    run = jax.jit(lambda seed: model.apply(weights, inputs[0], rngs={"phases": jax.random.key(seed)}).phases)
    np.testing.assert_array_equal(run(0), run(0))
    assert np.all(run(0) != run(1))
    assert np.max(np.abs(run(0))) < np.pi


@pytest.mark.parametrize(
    ("model", "shapes", "options", "message"),
    [
        (MODEL, ((6, 8, 1), (6, 8, 2)), {}, r"\(B, H, W, C\) .* got shape \(6, 8, 1\)"),
        (MODEL, ((3, 5, 8, 1), (3, 5, 8, 2)), {}, r"even H and W, got shape \(3, 5, 8, 1\)"),
        (MODEL, ((3, 6, 8, 1), (3, 6, 8, 1)), {}, r"\(3, 6, 8, 2\) for images \(3, 6, 8, 1\), got \(3, 6, 8, 1\)"),
        (MODEL, ((3, 6, 8, 1), (2, 6, 8, 2)), {}, r"\(3, 6, 8, 2\) for images \(3, 6, 8, 1\), got \(2, 6, 8, 2\)"),
        (MODEL, ((3, 6, 8, 1), (3, 6, 8, 2)), {"num_steps": 0}, "num_steps must be >= 1, got 0"),
        (MODEL.clone(kernel_size=4), ((3, 6, 8, 1), (3, 6, 8, 2)), {}, "odd height and width .* got 4 x 4"),
        (MODEL.clone(method="gemm"), ((3, 6, 8, 1), (3, 6, 8, 2)), {}, "got 'gemm'"),
    ],
)
def test_bad_input(model, shapes, options, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda x, y: model.apply(init(model, 0, x, y), x, phases0=y, **options), *map(jnp.zeros, shapes))


# Initial values


@pytest.mark.parametrize(("size", "std"), [(13, 3.0), (5, 0.7), (1, 3.0)])
def test_gaussian_kernel(size, std):
    axis = np.linspace(-1, 1, size) if size > 1 else np.zeros(1)
    kernel = np.asarray(models.gaussian_kernel(size, 2, std))
    assert kernel.shape == (size, size, 2, 2)
    for y in range(size):
        for x in range(size):
            np.testing.assert_allclose(kernel[y, x], np.exp(-(axis[y] ** 2 + axis[x] ** 2) / (2 * std**2)), rtol=1e-6)


def test_random_phases_are_uniform():
    x = np.asarray(models.random_phases(jax.random.key(0), (100_000,)))
    assert -np.pi <= x.min() < -3.14 and 3.14 < x.max() < np.pi
    assert np.max(np.abs(np.histogram(x, 10, (-np.pi, np.pi))[0] / 10_000 - 1)) < 0.05


@jax.jit
def ground_truth_phases(keys, masks, overlap):
    return models.ground_truth_phases(keys, masks, overlap, channels=3)


def ideal_case(groups, lead):
    """Labels 0 ... G - 1 are objects, G is overlap, G + 1 background."""
    owner = np.random.default_rng(0).integers(0, groups + 2, (*lead, 6, 6))
    keys = jax.random.split(jax.random.key(0), lead) if lead else jax.random.key(0)
    masks = owner[..., None] == np.arange(groups)
    return owner, np.asarray(ground_truth_phases(keys, masks, owner == groups)), masks


@pytest.mark.parametrize(("groups", "lead"), [(2, (4,)), (3, ()), (5, (2, 2))])
def test_ground_truth_phases_are_equally_spaced_with_overlap_halfway(groups, lead):
    owner, whole, masks = ideal_case(groups, lead)
    offsets = []
    for at, x in zip(owner.reshape(-1, 6, 6), whole.reshape(-1, 6, 6, 3), strict=True):
        offset = x[at == 0][0, 0]
        for place, shift in [*((g, 2 * np.pi * g / groups) for g in range(groups)), (groups, np.pi / groups)]:
            assert_close(x[at == place], np.full((np.sum(at == place), 3), offset + shift), 1e-6)
        background = x[at == groups + 1]
        assert len(np.unique(background)) == background.size > 0
        offsets.append(offset)
    assert len(np.unique(offsets)) == len(offsets)
    assert_close(jax.jit(losses.cluster_synchrony)(whole, masks), np.zeros(lead), 1e-6)


def test_ground_truth_phases_depend_on_the_image_and_its_key_alone():
    owner, phases, masks = ideal_case(2, (4,))
    keys = jax.random.split(jax.random.key(0), 4)
    alone = np.asarray(ground_truth_phases(keys[2], masks[2], owner[2] == 2))
    np.testing.assert_array_equal(alone, phases[2])


def test_gabor_filters():
    """Without mean, all of one norm, and of one orientation each: along their stripes they do not change sign."""
    filters = np.asarray(models.gabor_filters(5, 8))
    assert filters.shape == (5, 5, 1, 8)
    np.testing.assert_allclose(filters.sum((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose((filters**2).sum((0, 1, 2)), 1 / 3, rtol=1e-5)
    even, odd = filters[..., 0, 0], filters[..., 0, 1]
    np.testing.assert_allclose(even, even[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(odd, -odd[::-1, ::-1], atol=1e-6)
    assert (np.sign(even) == np.sign(even[2])).all()  # stripes along the columns
    for size in (1, 2):  # without their mean, even filters of so few pixels are 0
        with pytest.raises(ValueError, match=f"size must be >= 3, got {size}"):
            models.gabor_filters(size, 8)
    assert np.isfinite(models.gabor_filters(3, 8)).all()
    flat = filters.reshape(25, 8)
    assert np.abs(np.triu(flat.T @ flat, 1)).max() < 0.99 / 3


def test_the_first_convolution_may_start_from_gabor_filters(inputs):
    images, phases = jnp.concatenate([inputs[0]] * 3, -1), inputs[1]
    found = init(MODEL.clone(encoder_start="gabor"), 0, images, phases)["params"]["encoder_kernel"]
    np.testing.assert_allclose(found, np.broadcast_to(models.gabor_filters(3, 2) / np.sqrt(3), (3, 3, 3, 2)), rtol=1e-6)
    np.testing.assert_allclose((found**2).sum((0, 1, 2)), 1 / 3, rtol=1e-5)  # as of one colour
    with pytest.raises(ValueError, match="encoder_start must be one of default, gabor, got 'sobel'"):
        init(MODEL.clone(encoder_start="sobel"), 0, *inputs)
