"""Every config builds, is checked and locked; each model's task starts and has finite gradients at a small size."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import komplexnet as configs
from experiments.engine import config as engine_config
from experiments.komplexnet import names, settings, tasks
from oscnets import losses, models
from tests.helpers import assert_close, assert_finite, random_like

SIZE, BATCH = 8, 4


@pytest.mark.parametrize("scale", configs.SCALES)
@pytest.mark.parametrize("experiment", configs.EXPERIMENTS)
def test_variants(experiment, scale):
    config = configs.get_config(f"{experiment},{scale}").lock()
    engine_config.check(config)
    settings.validate(config)
    assert config == configs.get_config(f"{scale},{experiment}").lock()
    assert len(set(config.models)) == len(config.models)
    assert len(set(config.tests)) == len(config.tests)
    assert engine_config.from_json(engine_config.to_json(config)) == config
    with pytest.raises(AttributeError):
        config.train.epoch = 3


def test_all_trains_and_tests_what_every_experiment_does():
    whole = configs.get_config("all")
    for experiment in configs.EXPERIMENTS:
        config = configs.get_config(experiment)
        assert set(config.models) <= set(whole.models)
        assert set(config.tests) <= set(whole.tests)


def test_the_paper():
    """Of its text: seeds, epochs, scenes, batch and the coupling of its first table."""
    config = configs.get_config("paper")
    assert (config.seeds, config.train.epochs, config.train.num_examples, config.train.batch_size) == (
        50,
        30,
        60_000,
        128,
    )
    assert config.model.to_dict() == {"channels": 8, "kernel_size": 13, "rate": 0.006, "epsilon": 0.2, "num_steps": 15}
    assert config.data.source == "mnist"
    assert (config.feedback.all.rate, *config.feedback.all.feedback_rates) == (0.009, 0.005, 0.004, 0.004)
    assert (config.feedback.l2.rate, config.feedback.l2.feedback_rates[0]) == (0.006, 0.003)
    assert (config.feedback.l3.rate, config.feedback.l3.feedback_rates[1]) == (0.005, 0.004)
    assert (config.feedback.l4.rate, config.feedback.l4.feedback_rates[2]) == (0.005, 0.004)
    assert config.feedback_kernel_size == 5
    lasts = {name: settings.of_model(config, name).train for name in ("komplexnet", "vit", "real@background")}
    assert [(train.epochs, train.batch_size) for train in lasts.values()] == [(30, 128), (50, 128), (30, 32)]


def test_a_model_may_be_trained_otherwise_than_the_others():
    config = configs.get_config("all,paper_cpu").lock()
    rates = {name: settings.of_model(config, name).train.learning_rate for name in ("real", "vit", "real@3")}
    assert rates == {"real": 6e-3, "vit": 1e-3, "real@3": 6e-3}
    assert settings.of_model(config, "vit").train.epochs == config.train.epochs == 4
    older = config.copy_and_resolve_references()
    older.unlock()
    del older.train_of
    assert settings.of_model(older, "vit").train.to_dict() == config.train.to_dict()
    settings.validate(older)


def test_sizes_that_the_vision_transformer_cannot_cut_into_patches():
    config = configs.get_config("larger_baselines")
    config.data.size = 30
    with pytest.raises(ValueError, match=r"config.data.size=30: expected a multiple of 4"):
        settings.validate(config)
    config.models = ("real",)
    settings.validate(config)


def test_an_unknown_variant_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'papre'.*paper"):
        configs.get_config("cifar,papre")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("komplexnet", ("komplexnet", None, False)),
        ("feedback_l3@3", ("feedback_l3", 3, False)),
        ("real@background", ("real", None, True)),
    ],
)
def test_names_of_models(name, expected):
    assert names.model(name) == expected


@pytest.mark.parametrize("name", ["complexnet", "real@", "real@1", "real@10", "real@two", "@3", "real@3@3"])
def test_no_names_of_models(name):
    with pytest.raises(ValueError, match=re.escape(f"no model {name!r}: expected one of komplexnet, ")):
        names.model(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test", ("test", None, None, None, None)),
        ("digits9@60", ("test", None, 9, None, 60)),
        ("frames@3", ("frames", None, None, None, 3)),
        ("noise0.2", ("noise", 0.2, None, None, None)),
        ("noise0", ("noise", 0.0, None, None, None)),
        ("overlap.4+digits2+plain@7", ("overlap", 0.4, 2, False, 7)),
        ("digits5+background", ("test", None, 5, True, None)),
    ],
)
def test_names_of_test_sets(name, expected):
    assert names.test_set(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "tests", "digits", "digits1", "digits10", "digits25", "digits2+digits3", "test+digits1", "test+clouds",
        "test+plain+digits3", "test0.1", "overlap0", "overlap1.5", "noise-1", "noise0.1.2", "test@", "test@0", "test@x",
        "moving@3", "moving_backwards@3", "moving+digits3", "frames+background", "",
    ],
)  # fmt: skip
def test_no_names_of_test_sets(name):
    with pytest.raises(ValueError, match=re.escape(f"no test set {name!r}: expected one of test, ")):
        names.test_set(name)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models", ()),
        ("models", ("real", "reel")),
        ("tests", ("test", "digits10")),
        ("data.background", "clouds"),
        ("data.test_videos", 0),
        ("feedback_kernel_size", 2),
        ("feedback.all.rate", -0.1),
        ("feedback.l2.feedback_rates", (0.1, 0.1)),
        ("feedback.l4.feedback_rates", (0.1, 0.1, float("nan"))),
        ("data.source", "cifar10"),
        ("data.source", "nist"),
        ("data.num_digits", 0),
        ("data.num_digits", 1),
        ("data.num_digits", 11),
        ("data.max_overlap", -0.1),
        ("data.max_overlap", 1.5),
        ("data.size", 31),
        ("data.size", 0),
        ("data.test_overlap", 0.0),
        ("data.test_overlap", 1.5),
        ("data.noise_variance", -0.1),
        ("data.test_examples", 0),
        ("model.channels", 0),
        ("model.kernel_size", 4),
        ("model.kernel_size", -3),
        ("model.rate", -0.006),
        ("model.rate", float("nan")),
        ("model.rate", float("inf")),
        ("model.epsilon", -0.2),
        ("model.num_steps", 0),
        ("train.synchrony_weight", -1.0),
        ("train.clip_norm", 0.0),
        ("train.num_examples", 4),
        ("slice_size", -1),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    config = configs.get_config("smoke")
    config.update_from_flattened_dict({entry: value})
    with pytest.raises(ValueError, match=re.escape(f"config.{entry}={value!r}: ") + ".*expected "):
        settings.validate(config)


# Tasks


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
