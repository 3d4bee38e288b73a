"""KomplexNet's tasks: each model's loss, gradients and scores at a small size, on still scenes and on videos."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.komplexnet import specs, task
from experiments.komplexnet.data import VIDEOS
from experiments.komplexnet.specs import FAMILY
from oscnets import losses, metrics, models
from tests.experiments.families import config_of, tables
from tests.helpers import assert_close, assert_finite, random_like

SIZE, BATCH, FRAMES = 8, 4, 5


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 4, (BATCH, SIZE, SIZE))  # two digits, their overlap, background
    targets = np.zeros((BATCH, 10), np.float32)
    targets[np.arange(BATCH), [1, 2, 3, 4]] = targets[np.arange(BATCH), [5, 0, 9, 8]] = 1
    return {
        "images": np.where(owner < 3, rng.uniform(size=owner.shape), 0)[..., None].astype(np.float32),
        "masks": owner[..., None] == np.arange(2),
        "overlap": owner == 2,
        "targets": targets,
    }


TESTS = tables(FAMILY, "tests", "test", "test@3", "noise@6", "moving", "frames", "frames@2")
CONFIG = {"slice_size": 2, "data.size": SIZE}


def make(name, **changes):
    """Network and task of a model, given by its shorthand."""
    config = config_of(FAMILY, "smoke", models=(name,), **{**CONFIG, **changes})
    ((key, table),) = config.models.to_dict().items()
    own = specs.config_of(config, key)
    return task.BUILDERS[table["network"]](own), task.make_task(own, table, TESTS)


KEYS = jax.random.split(jax.random.key(1), BATCH)


# Others differ from one of these in sizes and options alone.
@pytest.mark.parametrize("name", ["komplexnet", "feedback", "fixed_kernel", "random", "ideal", "real", "vit_script"])
def test_tasks_start_and_have_finite_gradients(name, batch):
    network, made = make(name)

    @jax.jit
    def step(params, batch):
        result, gradients = jax.value_and_grad(made.loss, has_aux=True)(params, batch, KEYS)
        updates, _ = made.optimizer.update(gradients, made.optimizer.init(params), params)
        return result, gradients, updates, made.evaluate(params, batch, KEYS)

    params = random_like(lambda: made.init(jax.random.key(0)))
    (loss, scalars), gradients, updates, scores = step(params, batch)
    assert_finite((loss, scalars, gradients, updates, scores))
    assert all(np.any(x != 0) for x in jax.tree.leaves(gradients))
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    shape = (BATCH, 3) if task.has_dynamics(network) else (BATCH,)
    assert {value.shape for value in scores.values()} == {shape}
    assert made.score in scores
    assert ("synchrony" in scores) == task.has_phases(network)
    assert task.has_phases(network) == (name not in ("real", "real_large", "vit", "vit_script"))
    assert task.has_dynamics(network) == (name in ("komplexnet", "fixed_kernel", "feedback"))
    if name == "komplexnet":
        assert_close(loss, equation_7(params, batch), 1e-5)
    if name == "ideal":
        np.testing.assert_allclose(scores["synchrony"], 0, atol=1e-6)


def equation_7(params, batch):
    """Of the smoke config, without slices and without gradients step by step."""
    network = models.KomplexNet(**config_of(FAMILY, "smoke").model.to_dict())
    phases0 = task.initial_phases(network, batch, KEYS)
    out = jax.jit(lambda: network.apply(params, batch["images"], phases0=phases0))()
    entropy = losses.binary_cross_entropy(out.logits, batch["targets"]).mean()
    return entropy + losses.cluster_synchrony(out.phases, batch["masks"], out.amplitude).mean()


def test_what_is_dropped_depends_on_each_examples_key_alone(batch):
    """Not on slices, and so not on devices; examples of other keys drop other values."""
    network, made = make("vit_script")
    params = random_like(lambda: made.init(jax.random.key(0)))
    alike = {name: np.repeat(values[:1], BATCH, axis=0) for name, values in batch.items()}

    @jax.jit
    def losses_by_slice(params, batch, keys):
        loss = lambda examples: task.real_loss(network, params, *examples)[0]  # noqa: E731
        alone = jax.tree.map(lambda x: x[:, None], (batch, keys))
        return jnp.stack([jax.lax.map(loss, alone).mean(), loss((batch, keys))])

    found = losses_by_slice(params, batch, KEYS)
    np.testing.assert_allclose(found, found[0], rtol=1e-5)
    one = losses_by_slice(params, alike, jnp.repeat(KEYS[:1], BATCH))
    assert abs(losses_by_slice(params, alike, KEYS)[0] - one[0]) > 1e-5


def test_starting_phases_depend_on_each_examples_key_alone(batch):
    for phases in ("kuramoto", "ideal"):
        network = models.KomplexNet(channels=2, phases=phases)
        whole = task.initial_phases(network, batch, KEYS)
        assert whole.shape == (BATCH, SIZE, SIZE, 2)
        backwards = task.initial_phases(network, {name: x[::-1] for name, x in batch.items()}, KEYS[::-1])
        np.testing.assert_array_equal(backwards[::-1], whole)


@pytest.mark.parametrize("name", task.BUILDERS)
def test_every_network_on_every_kind_of_test_set(name, batch, videos):
    """Shapes only, without compiling: values at every step of the dynamics or frame of the video."""
    network, made = make(name)
    params = jax.eval_shape(made.init, jax.random.key(0))
    shapes = {
        label: jax.eval_shape(made.evaluate_on(label), params, videos if test["kind"] in VIDEOS else batch, KEYS)
        for label, test in TESTS.items()
    }
    steps = {"test": 3, "test@3": 3, "noise@6": 6, "moving": FRAMES, "frames": FRAMES, "frames@2": FRAMES}
    for label, scores in shapes.items():
        timed = task.has_dynamics(network) or TESTS[label]["kind"] in VIDEOS
        assert {score.shape for score in scores.values()} == {(BATCH, steps[label]) if timed else (BATCH,)}
    alike = [made.evaluate_on(label) is made.evaluate for label in ("test", "test@3", "moving")]
    assert alike == [True, not task.has_phases(network), False]  # those alike are compiled once


@pytest.fixture(scope="module")
def videos(batch):
    """Every scene drifts by one pixel per frame."""
    drifting = {
        name: np.stack([np.roll(batch[name], frame, axis=2) for frame in range(FRAMES)], axis=1)
        for name in ("images", "masks", "overlap")
    }
    return {**drifting, "targets": batch["targets"]}


def small(name):
    """A network with strong coupling, so that the state of the step before matters, its parameters, and its task."""
    strong = {"model.rate": 0.3, "feedback.all.rate": 0.3, "feedback.all.feedback_rates": (0.3, 0.3, 0.3)}
    network, made = make(name, **strong)
    return network, random_like(lambda: made.init(jax.random.key(0))), made


@pytest.mark.parametrize("name", ["komplexnet", "feedback"])
def test_a_video_is_one_step_per_frame_from_the_state_of_the_frame_before(name, videos):
    network, params, made = small(name)
    see = jax.jit(
        lambda image, phases, layers: network.apply(params, image, phases0=phases, layers0=layers, num_steps=1)
    )
    phases = task.initial_phases(network, {"images": videos["images"][:, 0]}, KEYS)
    layers, logits = None, []
    for frame in range(FRAMES):
        out = see(videos["images"][:, frame], phases, layers)
        phases, layers = out.phases, out.layers
        logits.append(out.logits[0])
    expected = metrics.multi_label_scores(jnp.stack(logits), videos["targets"])
    found = jax.jit(made.evaluate_on("moving"))(params, videos, KEYS)
    assert set(found) == {"accuracy", "exact_match"}
    for metric, values in found.items():
        np.testing.assert_array_equal(values, expected[metric].T)


@pytest.mark.parametrize("name", ["feedback", "ideal", "real"])
def test_single_frames_are_scenes_of_their_own(name, videos):
    """Of each the last step, from phases of its own."""
    _, params, made = small(name)
    found = jax.jit(made.evaluate_on("frames"))(params, videos, KEYS)
    keys = jax.vmap(lambda key: jax.random.split(key, FRAMES))(KEYS)
    still = jax.jit(made.evaluate_on("test"))
    for frame in range(FRAMES):
        scene = {key: videos[key][:, frame] for key in ("images", "masks", "overlap")} | {"targets": videos["targets"]}
        for metric, values in still(params, scene, keys[:, frame]).items():
            np.testing.assert_allclose(found[metric][:, frame], values.reshape(BATCH, -1)[:, -1], atol=1e-6)


def test_other_steps_than_in_training(batch):
    """The first of more steps are those of fewer, one by one."""
    _, params, made = small("feedback")
    steps = {split: jax.jit(made.evaluate_on(split))(params, batch, KEYS) for split in ("test", "test@3", "noise@6")}
    assert {split: values["accuracy"].shape for split, values in steps.items()} == {
        "test": (BATCH, 3), "test@3": (BATCH, 3), "noise@6": (BATCH, 6),
    }  # fmt: skip
    for name, values in steps["noise@6"].items():
        np.testing.assert_allclose(values[:, :3], steps["test"][name], atol=1e-5)
        np.testing.assert_array_equal(steps["test@3"][name], steps["test"][name])
    assert np.std(steps["noise@6"]["synchrony"], axis=1).min() > 1e-3


@pytest.mark.parametrize("name", ["ideal", "random", "komplexnet"])
def test_features_for_groups_are_the_phases_after_the_steps_of_the_test(name, batch):
    config = config_of(FAMILY, "smoke", models=(name,), **CONFIG)
    ((key, table),) = config.models.to_dict().items()
    tests = tables(FAMILY, "tests", "test+grouped4", "noise+grouped2", "noise+grouped2@1", "test", "frames")
    made = task.make_task(specs.config_of(config, key), table, tests)
    assert made.evaluate_on("test") is made.evaluate
    assert made.evaluate_on("test+grouped4") is made.evaluate_on("noise+grouped2")
    params = random_like(lambda: made.init(jax.random.key(0)))

    @jax.jit
    def scores(params):
        return [made.evaluate_on(label)(params, batch, KEYS) for label in ("test+grouped4", "noise+grouped2@1")]

    found, earlier = jax.device_get(scores(params))
    assert found.keys() == {"accuracy", "exact_match", "synchrony", "order", "separation", "features"}
    assert np.array_equal(found["features"], earlier["features"]) == (name != "komplexnet")
    pairs = found["features"].reshape(BATCH, SIZE, SIZE, -1, 2)
    size = np.linalg.norm(pairs, axis=-1, keepdims=True)
    assert size.max() <= 1  # the drive
    units = pairs / np.where(size > 0, size, 1)
    alike = [
        np.ptp(of_digit[of_digit.any(-1)], axis=0).max() < 1e-3
        for unit, masks in zip(units, batch["masks"], strict=True)
        for of_digit in (unit[masks[..., 0]], unit[masks[..., 1]])
    ]
    assert set(alike) == {name == "ideal"}
    scored = made.on_host("test+grouped4", batch, {key: value[None] for key, value in found.items()})
    assert scored["fg_ari"].shape == (1, BATCH) and "features" not in scored


@pytest.mark.parametrize(
    ("overlapping", "distance"), [(0.5 * np.pi, 0.5), (np.pi, 0.0), (4 / 3 * np.pi, 1 / 3), (-0.25 * np.pi, 0.25)]
)
def test_overlapping_pixels_are_compared_with_the_nearest_digit(batch, overlapping, distance):
    """Digits in antiphase; silent units, the background and scenes without overlap count nowhere."""
    owner = np.where(batch["overlap"], 2, np.where(batch["masks"][..., 0], 0, np.where(batch["masks"][..., 1], 1, 3)))
    phases = np.array([0.0, np.pi, overlapping, 1.0], np.float32)[owner][..., None] + np.zeros(2, np.float32)
    amplitude = np.ones_like(phases)
    amplitude[:, ::2] = 0
    phases[:, ::2] += 2.0
    overlap = batch["overlap"] & (np.arange(BATCH) > 0)[:, None, None]
    found = task.overlap_phases(*map(jnp.asarray, (phases, batch["masks"], amplitude, overlap)))
    for measured in found.values():
        np.testing.assert_array_equal(measured.where, [False, True, True, True])
    np.testing.assert_allclose(found["overlap_distance"].values[1:], distance * np.pi, atol=1e-5)
    np.testing.assert_allclose(found["overlap_order"].values[1:], 1, atol=1e-5)


def test_three_equidistant_clusters_are_two_thirds_of_half_a_turn_apart():
    phases = np.array([0.0, 2.0, 4.0], np.float32)[:, None, None] * np.float32(np.pi / 3)
    masks = np.eye(3, dtype=bool)[None, :, None, :2]
    overlap = np.array([False, False, True])[None, :, None]
    found = task.overlap_phases(*map(jnp.asarray, (phases[None], masks, np.ones((1, 3, 1, 1)), overlap)))
    np.testing.assert_allclose(found["overlap_distance"].values, 2 / 3 * np.pi, atol=1e-5)


@pytest.mark.parametrize("name", ["ideal", "komplexnet"])
def test_scenes_with_overlap_say_where_its_phases_are(name, batch):
    """Ideal phases have it halfway between the digits; at every step where phases change."""
    config = config_of(FAMILY, "smoke", models=(name,), **CONFIG)
    ((key, table),) = config.models.to_dict().items()
    made = task.make_task(specs.config_of(config, key), table, tables(FAMILY, "tests", "test", "overlap"))
    params = random_like(lambda: made.init(jax.random.key(0)))
    found = jax.device_get(jax.jit(made.evaluate_on("overlap"))(params, batch, KEYS))
    assert found.keys() - jax.eval_shape(made.evaluate_on("test"), params, batch, KEYS).keys() == {
        "overlap_order",
        "overlap_distance",
    }
    distance = found["overlap_distance"]
    assert distance.values.shape == distance.where.shape == ((BATCH, 3) if name == "komplexnet" else (BATCH,))
    assert distance.where.all()
    if name == "ideal":
        np.testing.assert_allclose(distance.values, np.pi / 2, atol=1e-4)
        np.testing.assert_allclose(found["overlap_order"].values, 1, atol=1e-5)


def test_the_loss_may_be_over_the_last_steps(batch):
    """Of one step it is that of the last logits; of more steps than there are it is the loss of all."""
    keys = jax.random.split(jax.random.key(3), BATCH)

    def entropy(**changes):
        network, made = make("komplexnet", **changes)
        params = made.init(jax.random.key(0))
        phases0 = task.initial_phases(network, batch, keys)
        logits = network.apply(params, batch["images"], phases0=phases0).logits
        return made.loss(params, batch, keys)[1]["classification"], logits

    last, logits = entropy(**{"train.loss_steps": 1})
    assert_close(last, losses.binary_cross_entropy(logits[-1], batch["targets"]).mean(), 1e-5)
    whole, many = entropy()[0], entropy(**{"train.loss_steps": 100})[0]
    assert_close(many, whole, 1e-6)
    assert abs(whole - last) > 1e-5


@pytest.mark.parametrize("name", ["komplexnet", "feedback", "ideal", "real", "real_large"])
def test_the_gain_scales_the_output_layer_alone(name):
    once, fourfold = (make(name, **{"train.output_gain": gain})[1].init(jax.random.key(0)) for gain in (1.0, 4.0))
    ratios = jax.tree.map(lambda a, b: np.unique(np.round(a[b != 0] / b[b != 0], 4)), fourfold, once)
    scaled = {jax.tree_util.keystr(path) for path, x in jax.tree_util.tree_leaves_with_path(ratios) if 4 in x}
    assert {name.split("'")[-2] for name in scaled} == {"output_kernel", "output_bias"}


def test_the_curriculum_goes_from_the_phases_of_the_masks_to_random_ones(batch):
    network, made = make("komplexnet", **{"train.phase_curriculum": 0.5})
    assert made.takes_progress and not make("ideal", **{"train.phase_curriculum": 0.5})[1].takes_progress
    masks = np.asarray(batch["masks"], np.float32)

    def order(progress):
        phases = task.noisy_ground_truth(network, {**batch, "phase_noise": jnp.full(BATCH, progress)}, KEYS)
        return float(metrics.phase_separation(phases, masks)["order"].mean())

    assert order(0.0) > 1 - 1e-5 > order(0.3) > order(1.0) + 0.3
    params = made.init(jax.random.key(0))
    early, late, end = (made.loss_at(progress, params, batch, KEYS)[1]["synchrony"] for progress in (0.0, 0.5, 0.9))
    assert early < late - 0.1 and late == end


@pytest.mark.parametrize("name", ["komplexnet", "feedback"])
def test_the_first_updates_may_take_one_step_from_the_phases_of_the_masks(batch, name):
    network, made = make(name, **{"train.one_step": 0.5, "train.phase_curriculum": 0.25})
    noisy = make(name, **{"train.phase_curriculum": 0.5})[1]
    params = made.init(jax.random.key(0))
    find = jax.jit(jax.value_and_grad(made.loss_at, argnums=1, has_aux=True))

    start = {**batch, "phase_noise": jnp.zeros(BATCH)}
    one = task.complex_loss(network.clone(num_steps=1), 1.0, params, start, KEYS, phases=task.noisy_ground_truth)
    for progress in (0.0, 0.49):
        assert_close(find(progress, params, batch, KEYS)[0], one, 1e-5)
    for progress, same in ((0.625, 0.25), (0.75, 0.5), (0.9, 0.9)):  # by then as without those updates
        found, expected = find(progress, params, batch, KEYS), noisy.loss_at(same, params, batch, KEYS)
        assert_close(found[0], expected, 1e-5)
        assert abs(found[0][0] - one[0]) > 1e-3
        assert_finite(found[1])
    later = make(name, **{"train.one_step": 0.5})[1]  # no noise in between
    losses_at = [later.loss_at(progress, params, batch, KEYS)[0] for progress in (0.5, 0.9)]
    assert_close(losses_at, [noisy.loss_at(0.9, params, batch, KEYS)[0]] * 2, 1e-5)
