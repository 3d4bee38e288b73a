"""The GASPnet experiment: names, configs, data, losses, and a run from command line to pictures at its smoke size."""

import itertools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats as scipy_stats

from data_gen import multi_mnist, overlay
from experiments import engine
from experiments.configs import gaspnet as configs
from experiments.engine import config as engine_config
from experiments.gaspnet import data, names, settings, steps, tasks
from experiments.gaspnet.main import run
from oscnets import losses, models
from tests.helpers import assert_close, random_like

CONFIG = "--config=experiments/configs/gaspnet.py:smoke"
TINY = ("--config.model.channels=(2,3,2)", "--config.model.hidden=3", "--config.model.dim=2")


@pytest.mark.parametrize("variant", [f"{name},{scale}" for name in configs.EXPERIMENTS for scale in configs.SCALES])
def test_variants(variant):
    config = configs.get_config(variant).lock()
    engine_config.check(config)
    settings.validate(config)
    assert config == configs.get_config(",".join(reversed(variant.split(",")))).lock()
    assert engine_config.from_json(engine_config.to_json(config)) == config
    for name in config.models:
        tasks.make_network(config, name)


def test_the_paper():
    """Of its text and its table of constants."""
    digits, overlay = configs.get_config("multi_mnist"), configs.get_config("cifar_fashion")
    for config in (digits, overlay):
        assert (config.seeds, config.train.epochs, config.train.batch_size) == (10, 25, 32)
        assert (config.train.learning_rate, config.train.weight_decay) == (5e-4, 1e-5)
        assert (config.model.num_steps, config.model.dense_gain, config.model.channels) == (6, 0.01, (26, 30, 32))
    constants = ("strength", "dim", "rate", "offset", "neighbour_gain", "start")
    assert [digits.model[name] for name in constants] == [1, 32, 1, -0.9, 5, "normal"]
    assert [overlay.model[name] for name in constants] == [0.8, 16, 4, -0.7, 1, "learned"]
    assert (digits.train.synchrony_weight, overlay.train.synchrony_weight) == (0.5, 10)
    assert len(digits.tests) == 11
    assert overlay.tests == ("test", "item24", "item20", "item17", "item14")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models", ()),
        ("models", ("gaspnet+amplify+amplify",)),
        ("models", ("gaspnet+nothing",)),
        ("models", ("baseline+amplify",)),
        ("tests", ("gauss0.1",)),
        ("tests", ("salt_pepper1.5",)),
        ("data.source", "cifar10"),
        ("data.pictures", "mnist"),
        ("data.item_size", 33),
        ("data.test_examples", 0),
        ("model.channels", (26, 30)),
        ("model.strength", 1.5),
        ("model.rate", 0.0),
        ("model.dense_gain", -1.0),
        ("model.offset", float("nan")),
        ("model.start", "zero"),
        ("model.num_steps", 0),
        ("train.synchrony_weight", -1.0),
        ("train.weight_decay", float("inf")),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    config = configs.get_config("smoke")
    config.update_from_flattened_dict({entry: value})
    with pytest.raises(ValueError, match=re.escape(f"config.{entry}={value!r}: ")):
        settings.validate(config)


@pytest.mark.parametrize(("name", "scenes"), [("item20", "digits"), ("gaussian0.1", "overlay"), ("item40", "overlay")])
def test_test_sets_that_the_scenes_do_not_have(name, scenes):
    config = configs.get_config("smoke")
    config.update_from_flattened_dict({"data.scenes": scenes, "tests": (name,)})
    with pytest.raises(ValueError, match=f"test set '{name}'"):
        settings.validate(config)


def test_changes_of_a_model():
    config = configs.get_config("multi_mnist")
    expected = {
        "gaspnet": (-0.9, 0.01, 5, 0.5),
        "gaspnet+weaken+amplify": (0.9, 100, 5, 0.5),
        "gaspnet+no_location": (0, 1, 1, 0.5),
        "gaspnet+no_synchrony": (-0.9, 0.01, 5, 0),
    }
    for name, values in expected.items():
        model, weight = names.changed(config, name)
        assert (model["offset"], model["dense_gain"], model["neighbour_gain"], weight) == pytest.approx(values)
    network = tasks.make_network(config, "gaspnet+node_maps+input_phases")
    assert network.dense_maps == "node" and network.input_phases


def test_splits_of_digits():
    config = configs.get_config("smoke")
    arrays = {name: make() for name, make in data.Data(config).splits(config.tests).items()}
    assert [len(arrays[name]["images"]) for name in ("train", "validation", "test")] == [16, 8, 12]
    for split in arrays.values():
        assert split["masks"].shape[1:] == (16, 16, 3)
        assert split["masks"].any(-1).all() and not (split["masks"][..., 0] & split["masks"][..., 1:].any(-1)).any()
        assert (split["targets"].sum(-1) == 2).all()
    for name in config.tests[1:]:
        assert np.array_equal(arrays[name]["masks"], arrays["test"]["masks"])
        assert not np.array_equal(arrays[name]["images"], arrays["test"]["images"])


def test_splits_of_overlays():
    config = configs.get_config("cifar_mnist,digits")
    config.data.test_examples = 6
    sets = data.Data(config).splits(("test", "item14"))
    large, small = sets["test"](), sets["item14"]()
    assert large["images"].shape == (6, 32, 32, 3) and large["masks"].shape == (6, 16, 16, 2)
    assert (large["masks"][..., 0] != large["masks"][..., 1]).all()
    assert np.array_equal(large["targets"], small["targets"]) and large["targets"].shape == (6, 2)
    assert small["masks"][..., 1].sum() < 0.5 * large["masks"][..., 1].sum()


@pytest.mark.parametrize(
    ("experiment", "made_by", "tests", "sizes"),
    [
        ("multi_mnist", multi_mnist, ("test", "gaussian0.1"), [1797]),
        ("cifar_mnist", overlay, ("test", "item14"), [1797, 5000]),
    ],
)
def test_splits_share_no_digit_and_no_picture(experiment, made_by, tests, sizes, monkeypatch):
    bases, generate = [], made_by.generate

    def record(*given, **settings):
        bases.append([{image.tobytes() for image in base.images} for base in given])
        return generate(*given, **settings)

    monkeypatch.setattr(made_by, "generate", record)
    splits = data.Data(configs.get_config(f"{experiment},smoke")).splits(tests)
    scenes = [{image.tobytes() for image in make()["images"]} for make in splits.values()]
    assert all(first.isdisjoint(second) for first, second in itertools.combinations(scenes, 2))
    for size, (train, validation, test, *others) in zip(sizes, zip(*bases, strict=True), strict=True):
        assert len(train) + len(validation) + len(test) == size  # all of them, and no two alike
        assert not train & validation and not (train | validation) & test
        assert all(other == test for other in others)


def test_losses_and_accuracies():
    logits = np.zeros((3, 2, 10))
    logits[:, 0, 4] = logits[:, 1, 7] = np.log(21)  # a probability of 0.7
    classes = np.array([[4, 7], [4, 0], [1, 1]])
    expected = -np.log([0.7 * 0.7, 0.7 / 30, 1 / 900])
    assert_close(tasks.cross_entropy(jnp.asarray(logits), jnp.asarray(classes)), expected, 1e-5)
    found = tasks.accuracies(jnp.asarray(logits), jnp.asarray(classes))
    assert {name: value.tolist() for name, value in found.items()} == {
        "accuracy": [1, 0.5, 0], "item": [1, 1, 0], "picture": [1, 0, 0],
    }  # fmt: skip
    two_hot = jnp.eye(10)[:1] + jnp.eye(10)[1:2]
    assert_close(tasks.cross_entropy(jnp.zeros((1, 10)), two_hot), np.log([2.0]), 1e-6)
    assert set(tasks.accuracies(jnp.zeros((1, 10)), two_hot)) == {"accuracy", "exact_match"}


def named(logits, targets):
    """Share of objects named, by hand: two of ten digits, or the class of item and of picture."""
    if targets.shape[-1] == 10:
        best = np.argsort(logits, -1)[..., -2:]
        return np.take_along_axis(np.broadcast_to(targets, logits.shape), best, -1).mean(-1)
    return (logits.argmax(-1) == targets).mean(-1)


@pytest.mark.parametrize("experiment", ["multi_mnist", "cifar_mnist"])
def test_loss_and_scores_are_of_their_steps(experiment):
    """Equation 7, and every score of the step it is said to be of, from one presentation of three steps."""
    config = configs.get_config(f"{experiment},smoke")
    config.model.update(channels=(2, 3, 2), hidden=8, dim=2, num_steps=3)
    overlaid = config.data.scenes == "overlay"
    rng = np.random.default_rng(0)
    two_hot = np.array([rng.permutation([1] * 2 + [0] * 8) for _ in range(32)], np.float32)
    batch = {
        "images": rng.uniform(size=(32, 32, 32, 3 if overlaid else 1)).astype(np.float32),
        "masks": rng.uniform(size=(32, 16, 16, 2 if overlaid else 3)) < 0.5,
        "targets": rng.integers(0, 10, (32, 2)).astype(np.int32) if overlaid else two_hot,
    }
    task, network = tasks.make_task(config, "gaspnet"), tasks.make_network(config, "gaspnet")
    keys = jax.random.split(jax.random.key(1), 32)

    @jax.jit
    def everything(params):
        plain = models.FeedforwardNet(network.channels, network.hidden, num_heads=network.num_heads)
        out = tasks.present(network, params, batch, keys), plain.apply(params, batch["images"])
        return *out, task.loss(params, batch, keys), task.evaluate(params, batch, keys)

    out, plain, (loss, logged), scores = jax.device_get(everything(random_like(lambda: task.init(jax.random.key(0)))))
    first = out.phases[..., :256].reshape(4, 32, 16, 16, 1)
    synchrony = np.asarray(losses.cluster_synchrony(first, batch["masks"]))
    entropy = np.asarray(tasks.cross_entropy(out.logits[3], batch["targets"])).mean()
    assert_close(logged, {"classification": entropy, "synchrony": synchrony[3].mean()}, 1e-5)
    assert_close(loss, entropy + (10 if overlaid else 0.5) * synchrony[3].mean(), 1e-5)
    accuracy = named(out.logits, batch["targets"])
    assert (np.diff(accuracy, axis=0) != 0).any(1).all() and (np.diff(synchrony, axis=0) != 0).all()
    assert_close(scores["accuracy"], accuracy[1:].T, 1e-6)
    assert_close(scores["synchrony"], synchrony[1:].T, 1e-5)
    assert_close(scores["plain_accuracy"], named(plain, batch["targets"]), 1e-6)
    parts = ("accuracy", "item", "picture") if overlaid else ("accuracy", "exact_match")
    shapes = {"synchrony": (32, 3)} | dict.fromkeys(parts, (32, 3)) | {f"plain_{name}": (32,) for name in parts}
    assert {name: value.shape for name, value in scores.items()} == shapes


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    arguments = [CONFIG, *TINY, "--config.tests=('test','salt_pepper0.1')", f"--workdir={workdir}"]
    assert engine.main(run, name="gaspnet", validate=settings.validate, argv=arguments) == 0
    return workdir


def test_a_run_reports_every_step(workdir):
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["models"] == ["gaspnet", "baseline"]
    assert not summary["missing"]
    for split in ("test", "salt_pepper0.1"):
        by_model = summary["results"][split]["accuracy"]
        assert {model: np.shape(by_model[model]["values"]) for model in by_model} == {
            "gaspnet": (2, 2), "baseline": (2, 1),
        }  # fmt: skip
        scores = {"accuracy", "exact_match", "plain_accuracy", "plain_exact_match", "synchrony"}
        assert set(summary["results"][split]) == scores
    drawn = {path.stem for path in (workdir / "figures").glob("*.png")}
    assert drawn >= {"levels_salt_pepper", "phases_gaspnet_test", "over_time_test", "learning_curves"}


def test_every_step_is_compared_with_the_baseline(workdir):
    tests = json.loads((workdir / "steps.json").read_text())
    assert [(t["split"], t["metric"], t["step"]) for t in tests] == [
        (split, metric, step)
        for split in ("test", "salt_pepper0.1")
        for metric in ("accuracy", "exact_match")
        for step in (1, 2)
    ]
    assert (workdir / "steps.md").read_text().count("| gaspnet |") == 4


def test_tests_at_every_step_are_welchs(tmp_path, monkeypatch):
    rng = np.random.default_rng(6)
    ours, theirs = rng.normal((0.4, 0.55, 0.9), 0.1, (5, 3)), rng.normal(0.4, 0.1, (4, 1))
    values = {"gaspnet": ours, "baseline": theirs}
    metrics = {model: {"test": {"accuracy": {s: {7: row} for s, row in enumerate(v)}}} for model, v in values.items()}
    monkeypatch.setattr(steps, "load_metrics", lambda workdir: metrics)
    monkeypatch.setattr(steps, "load_config", lambda workdir: {"config": {"models": ["gaspnet", "baseline"]}})
    found = steps.compare(tmp_path)
    p = np.array([scipy_stats.ttest_ind(column, theirs[:, 0], equal_var=False).pvalue for column in ours.T])
    assert_close(np.array([test["p"] for test in found]), p, 1e-12)
    adjusted = scipy_stats.false_discovery_control(p, method="by")
    assert_close(np.array([test["p_adjusted"] for test in found]), adjusted, 1e-12)
    certain = (adjusted < 0.05).tolist()
    assert certain == [False, False, True] and p[1] < 0.05
    (row,) = [line for line in steps.markdown(found).splitlines() if line.startswith("| test | accuracy | gaspnet |")]
    assert [cell.endswith("*") for cell in row.strip("| ").split(" | ")] == [False] * 4 + certain


SMALL = ("--config.seeds=1", "--config.train.epochs=1", "--config.train.num_examples=8")
CHOSEN = {"cifar_mnist": "gaspnet", "ablations": "gaspnet+no_location", "readings": "baseline"}


def test_every_smoke_size_is_run():
    """By `workdir`, or by the test below: without data to download some experiments are the same."""
    ran = [configs.get_config(variant) for variant in ("smoke", *(f"{name},smoke" for name in CHOSEN))]
    assert all(configs.get_config(f"{name},smoke") in ran for name in configs.EXPERIMENTS)


@pytest.mark.parametrize("experiment", CHOSEN)
def test_experiments_run(experiment, tmp_path):
    """One of its models, one update, the last of its test sets."""
    whole, model = configs.get_config(experiment), CHOSEN[experiment]
    split, overlaid = whole.tests[-1], whole.data.scenes == "overlay"
    assert model in whole.models
    flags = (f"--config.models=('{model}',)", f"--config.tests=('{split}',)", f"--workdir={tmp_path}", *SMALL, *TINY)
    arguments = [f"--config=experiments/configs/gaspnet.py:{experiment},smoke", *flags]
    assert engine.main(run, name="gaspnet", validate=settings.validate, argv=arguments) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["models"] == [model] and not summary["missing"]
    found = summary["results"][split]
    for name in ("accuracy", "item", "picture") if overlaid else ("accuracy", "exact_match"):
        mean = found[name][model]["mean"]
        assert len(mean) == (1 if model == "baseline" else 2) and all(0 <= value <= 1 for value in mean)
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert f"levels_{'item' if overlaid else 'salt_pepper'}" in drawn
    assert (f"phases_{model}_{split}" in drawn) == (model != "baseline")
