"""KomplexNet's tasks: each model's loss, gradients and scores at a small size, on still scenes and on videos."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import komplexnet as configs
from experiments.komplexnet import names, tasks
from oscnets import losses, metrics, models
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


def make(name):
    config = configs.get_config("smoke")
    config.slice_size = 2
    config.data.size = SIZE
    return tasks.make_task(config.lock(), name)


KEYS = jax.random.split(jax.random.key(1), BATCH)


@pytest.mark.parametrize("name", [name for name in names.NETWORKS if not name.startswith("feedback_")])
def test_tasks_start_and_have_finite_gradients(name, batch):
    task = make(name)

    @jax.jit
    def step(params, batch):
        result, gradients = jax.value_and_grad(task.loss, has_aux=True)(params, batch, KEYS)
        updates, _ = task.optimizer.update(gradients, task.optimizer.init(params), params)
        return result, gradients, updates, task.evaluate(params, batch, KEYS)

    params = random_like(lambda: task.init(jax.random.key(0)))
    (loss, scalars), gradients, updates, scores = step(params, batch)
    assert_finite((loss, scalars, gradients, updates, scores))
    assert all(np.any(x != 0) for x in jax.tree.leaves(gradients))
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    shape = (BATCH, 3) if name in names.FEEDBACK else (BATCH,)
    assert {value.shape for value in scores.values()} == {shape}
    assert task.score in scores
    assert ("synchrony" in scores) == (name in names.COMPLEX)
    if name == "komplexnet":
        assert_close(loss, equation_7(params, batch), 1e-5)
    if name == "ideal":
        np.testing.assert_allclose(scores["synchrony"], 0, atol=1e-6)


def equation_7(params, batch):
    """Of the smoke config, without slices and without gradients step by step."""
    sizes = configs.get_config("smoke").model.to_dict()
    phases0 = tasks.random_start(batch, KEYS, sizes["channels"])
    out = jax.jit(lambda: models.KomplexNet(**sizes).apply(params, batch["images"], phases0=phases0))()
    entropy = losses.binary_cross_entropy(out.logits, batch["targets"]).mean()
    return entropy + losses.cluster_synchrony(out.phases, batch["masks"], out.amplitude).mean()


@pytest.mark.parametrize("slice_size", [1, 2, 4, 5, 100])
def test_slices_make_no_difference(slice_size):
    def loss(params, batch, keys):
        noise = jax.vmap(jax.random.normal)(keys)
        value = jnp.sin(params * batch["x"] + noise)
        return value.mean(), {"square": (value**2).mean()}

    batch, keys = {"x": jnp.arange(6.0)}, jax.random.split(jax.random.key(0), 6)
    found = jax.value_and_grad(lambda p: tasks.in_slices(loss, slice_size, p, batch, keys), has_aux=True)(0.7)
    assert_close(found, jax.value_and_grad(loss, has_aux=True)(0.7, batch, keys), 1e-6)


def test_starting_phases_depend_on_each_examples_key_alone(batch):
    for start in (tasks.random_start, tasks.ideal_start):
        whole = start(batch, KEYS, 2)
        assert whole.shape == (BATCH, SIZE, SIZE, 2)
        backwards = start({name: x[::-1] for name, x in batch.items()}, KEYS[::-1], 2)
        np.testing.assert_array_equal(backwards[::-1], whole)


@pytest.fixture(scope="module")
def films(batch):
    """Every scene drifts a pixel a frame."""
    drifting = {
        name: np.stack([np.roll(batch[name], frame, axis=2) for frame in range(FRAMES)], axis=1)
        for name in ("images", "masks", "overlap")
    }
    return {**drifting, "targets": batch["targets"]}


def small(name):
    """A network with a strong pull, so that what is carried on matters, its parameters, and its task."""
    config = configs.get_config("smoke")
    config.data.size, config.model.rate, config.feedback.all.rate = SIZE, 0.3, 0.3
    config.feedback.all.feedback_rates = (0.3, 0.3, 0.3)
    task = tasks.make_task(config.lock(), name)
    return tasks.make_network(config, name), random_like(lambda: task.init(jax.random.key(0))), task


@pytest.mark.parametrize("name", ["komplexnet", "feedback"])
def test_a_video_is_one_step_a_frame_with_all_state_carried_on(name, films):
    network, params, task = small(name)
    see = jax.jit(
        lambda image, phases, layers: network.apply(params, image, phases0=phases, layers0=layers, num_steps=1)
    )
    phases = tasks.random_start({"images": films["images"][:, 0]}, KEYS, network.channels)
    layers, logits = None, []
    for frame in range(FRAMES):
        out = see(films["images"][:, frame], phases, layers)
        phases, layers = out.phases, out.layers
        logits.append(out.logits[0])
    expected = metrics.multi_label_scores(jnp.stack(logits), films["targets"])
    found = jax.jit(task.evaluate_on("moving"))(params, films, KEYS)
    assert set(found) == {"accuracy", "exact_match"}
    for metric, values in found.items():
        np.testing.assert_array_equal(values, expected[metric].T)


@pytest.mark.parametrize("name", ["feedback", "ideal", "real"])
def test_single_frames_are_scenes_of_their_own(name, films):
    """Of each the last step, from phases of its own."""
    _, params, task = small(name)
    found = jax.jit(task.evaluate_on("frames"))(params, films, KEYS)
    keys = jax.vmap(lambda key: jax.random.split(key, FRAMES))(KEYS)
    still = jax.jit(task.evaluate_on("test"))
    for frame in range(FRAMES):
        scene = {key: films[key][:, frame] for key in ("images", "masks", "overlap")} | {"targets": films["targets"]}
        for metric, values in still(params, scene, keys[:, frame]).items():
            np.testing.assert_allclose(found[metric][:, frame], values.reshape(BATCH, -1)[:, -1], atol=1e-6)


def test_other_steps_than_in_training(batch):
    """The first of more steps are those of fewer, one by one."""
    _, params, task = small("feedback")
    steps = {split: jax.jit(task.evaluate_on(split))(params, batch, KEYS) for split in ("test", "test@3", "noise@6")}
    assert {split: values["accuracy"].shape for split, values in steps.items()} == {
        "test": (BATCH, 3), "test@3": (BATCH, 3), "noise@6": (BATCH, 6),
    }  # fmt: skip
    for name, values in steps["noise@6"].items():
        np.testing.assert_allclose(values[:, :3], steps["test"][name], atol=1e-5)
        np.testing.assert_array_equal(steps["test@3"][name], steps["test"][name])
    assert np.std(steps["noise@6"]["synchrony"], axis=1).min() > 1e-3
