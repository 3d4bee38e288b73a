"""The waves' experiment: names, configs, data, losses, scores, and a run from command line to pictures."""

import itertools
import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from data_gen import segmentation
from experiments import engine
from experiments.configs import waves as configs
from experiments.engine import config as engine_config
from experiments.waves import data, names, published, samples, settings, tables, tasks, wavelengths
from experiments.waves.main import run
from oscnets import analysis, models
from oscnets._products.layout import from_chwb, to_chwb
from oscnets.models import Features
from oscnets.models.unet import DoubleConv
from tests.helpers import assert_close, assert_finite, random_like

MODELS = ("nwm_linear", "lstm_fft", "cnn_2")


@pytest.mark.parametrize("scale", configs.SCALES)
@pytest.mark.parametrize("experiment", configs.EXPERIMENTS)
def test_variants(experiment, scale):
    config = configs.get_config(f"{experiment},{scale}").lock()
    engine_config.check(config)
    settings.validate(config)
    assert config == configs.get_config(f"{scale},{experiment}").lock()
    assert engine_config.from_json(engine_config.to_json(config)) == config
    assert len(set(config.models)) == len(config.models)
    for name in config.models:
        tasks.make_network(config, name)


def test_the_paper():
    """Of its appendix: optimizer's settings, seeds, numbers of pictures and of steps."""
    for experiment, sizes in {
        "mnist": (10, 51_000, 9000, 10_000, 100),
        "tetrominoes": (10, 10_000, 1000, 1000, 100),
        "multi_mnist": (12, 10_000, 1000, 1000, 100),
        "polygons": (5, 10_000, 1000, 1000, 500),
    }.items():
        config = configs.get_config(experiment)
        d, t = config.data, config.train
        assert (config.seeds, t.num_examples, d.validation_examples, d.test_examples, config.model.num_steps) == sizes
        assert (t.epochs, t.batch_size, t.learning_rate) == (300, 64, 1e-3)
        assert set(config.models) == set(published.FOREGROUND.get(experiment, {"nwm_fft": None}))


@pytest.mark.parametrize(
    ("experiment", "name", "number"),
    [
        ("mnist", "nwm_linear", 176_545),
        ("mnist", "nwm_fft", 171_445),
        ("mnist", "nwm_max", 145_845),
        ("mnist", "lstm_linear", 151_467),
        ("mnist", "cnn_32", 230_099),
        ("tetrominoes", "nwm_linear", 176_124),
        ("tetrominoes", "lstm_linear", 151_046),
        ("tetrominoes", "cnn_2", 159_502),
        ("multi_mnist", "nwm_linear", 54_855),
        ("multi_mnist", "unet_5", 190_456),
    ],
)
def test_numbers_of_parameters(experiment, name, number):
    assert tables.num_parameters(configs.get_config(experiment), name) == number


def test_names_of_models():
    assert names.model("lstm_mean") == ("lstm", "mean")
    assert names.model("unet_3") == ("unet", 3)
    for name in ("nwm", "nwm_median", "cnn_0", "unet_fft", "nwm_linear_2"):
        with pytest.raises(ValueError, match=f"no model '{name}': expected nwm_READOUT"):
            names.model(name)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("models", ()),
        ("models", ("nwm_median",)),
        ("data.set", "tetrominos"),
        ("data.source", "cifar10"),
        ("data.size", 11),
        ("data.num_objects", (2, 1)),
        ("data.square", 2),
        ("data.radius", (15, 30)),
        ("data.watched", -1),
        ("data.test_examples", 0),
        ("model.channels", 0),
        ("model.hidden", (4, 0)),
        ("model.dt", float("nan")),
        ("model.omega_start", "zero"),
        ("model.memory", "none"),
    ],
)
def test_values_out_of_range_are_named(entry, value):
    config = configs.get_config("smoke")
    config.update_from_flattened_dict({entry: value})
    with pytest.raises(ValueError, match=re.escape(f"config.{entry}={value!r}: ")):
        settings.validate(config)


def test_a_unet_needs_room():
    config = configs.get_config("smoke")
    config.data.size, config.models = 12, ("unet_2",)
    with pytest.raises(ValueError, match=r"config.data.size=12: expected at least 16, for unet_2"):
        settings.validate(config)


@pytest.mark.parametrize("experiment", configs.EXPERIMENTS)
def test_splits(experiment):
    """No picture is in two splits. Of hundreds of small black and white ones some would be, by chance; not of these."""
    config = configs.get_config(f"{experiment},smoke")
    arrays = {name: make() for name, make in data.Data(config).splits().items()}
    known = names.SETS[experiment]
    assert {name: len(split["images"]) for name, split in arrays.items()} == {"train": 8, "validation": 4, "test": 6}
    for split in arrays.values():
        assert split["images"].shape[1:] == (16, 16, known.colours) and split["images"].dtype == np.float32
        assert split["labels"].shape[1:] == (16, 16) and 0 < split["labels"].max() < known.num_classes
    assert arrays["validation"]["watched"].tolist() == [True] * 3 + [False]
    pictures = [{image.tobytes() for image in split["images"]} for split in arrays.values()]
    assert all(first.isdisjoint(second) for first, second in itertools.combinations(pictures, 2))


def test_splits_share_no_digit(monkeypatch):
    bases = []
    whole = segmentation.multi_mnist

    def record(base, **settings):
        bases.append({image.tobytes() for image in base.images})
        return whole(base, **settings)

    monkeypatch.setattr(segmentation, "multi_mnist", record)
    for make in data.Data(configs.get_config("multi_mnist,smoke")).splits().values():
        make()
    train, validation, test = bases
    assert len(train) + len(validation) + len(test) == 1797
    assert not train & validation and not (train | validation) & test


def test_too_many_digits_asked_for():
    config = configs.get_config("mnist,smoke")
    config.data.validation_examples = 1000
    with pytest.raises(ValueError, match=r"split 'validation' of 'digits' has \d+, not 1000"):
        data.Data(config).splits()["validation"]()


class TwoConvs(nn.Module):
    """A part of a U-Net: batch norms, without what takes long to compile."""

    @nn.compact
    def features(self, images, *, train):
        return Features(from_chwb(DoubleConv(4)(to_chwb(images), train=train), (len(images),)))

    def classify_pixels(self, features):
        return features


def test_running_statistics_move_as_batch_norm_says():
    """One step of the optimizer sets them to what the training pass gives, and moves the parameters by Adam alone."""
    network, optimizer = TwoConvs(), tasks.make_task(configs.get_config("smoke"), "unet_2").optimizer
    rng = np.random.default_rng(1)
    batch = {"images": rng.uniform(size=(3, 5, 5, 2)).astype(np.float32), "labels": rng.integers(0, 4, (3, 5, 5))}
    call = {"train": True, "method": "features"}
    variables = random_like(lambda: network.init(jax.random.key(0), batch["images"], **call))
    loss = jax.jit(jax.value_and_grad(partial(tasks.normalized_loss, network), has_aux=True))
    (value, _), gradients = loss(variables, batch, None)
    changes, _ = optimizer.update(gradients, optimizer.init(variables), variables)
    after = optax.apply_updates(variables, changes)

    def plain(params):
        out, moved = network.apply({**variables, "params": params}, batch["images"], mutable="batch_stats", **call)
        return optax.softmax_cross_entropy_with_integer_labels(out.pixels, batch["labels"]).mean(), moved

    (expected, moved), of_params = jax.jit(jax.value_and_grad(plain, has_aux=True))(variables["params"])
    assert_close(value, expected, 1e-6)
    assert_close(after["batch_stats"], moved["batch_stats"], 1e-6)
    assert np.abs(jax.tree.leaves(after["batch_stats"])[0] - jax.tree.leaves(variables["batch_stats"])[0]).max() > 1e-3
    assert_close(gradients["params"], of_params, 1e-5)
    adam = optax.adam(1e-3)
    updates, _ = adam.update(of_params, adam.init(variables["params"]))
    assert_close(after["params"], optax.apply_updates(variables["params"], updates), 1e-5)


def test_long_waves_are_those_of_the_watched():
    states = np.random.default_rng(0).normal(size=(9, 3, 5, 6, 2)).astype(np.float32)
    found = jax.jit(tasks.long_waves)(states, jnp.array([True, False, True]))
    assert found.shape == (3, len(tasks.LONG))
    assert np.isnan(found[1]).all()
    for i in (0, 2):
        expected = [analysis.long_wave_share(states[:, i], limit) for limit in tasks.LONG]
        assert_close(np.asarray(found[i]), np.array(expected), 1e-6)
    assert (np.diff(found[0]) >= 0).all() and found[0, 0] < found[0, -1]


def test_the_receptive_field_of_a_cnn_is_that_of_its_convolutions():
    network, image = models.CNN(2, channels=2, bins=2, hidden=(3,), num_classes=3), np.ones((9, 9, 1), np.float32)
    params = jax.tree.map(np.abs, random_like(lambda: network.init(jax.random.key(0), image[None])))
    field = np.asarray(jax.jit(partial(samples.field_of, network))(params, image, np.array([3, 5]), 1))
    inside = np.zeros((9, 9), bool)
    inside[1:6, 3:8] = True
    np.testing.assert_array_equal(field > 0, inside)


def test_the_middle_of_an_object():
    labels = np.zeros((7, 7), int)
    labels[1:4, 2:5], labels[5, :2] = 3, 1
    assert samples.middle(labels).tolist() == [2, 3]


def test_correlation():
    rng = np.random.default_rng(0)
    shares, values = rng.normal(size=(20, 3)), rng.normal(size=20)
    shares[:, 1] = 1 - 1e-6 * rng.uniform(size=20)
    found = wavelengths.correlation(shares, values)
    for i in (0, 2):
        assert found[i] == pytest.approx(np.corrcoef(shares[:, i], values)[0, 1], abs=1e-12)
    assert np.isnan(found[1])
    assert np.isnan(wavelengths.correlation(shares, np.ones(20))).all()


def command(*arguments):
    return engine.main(run, name="waves", validate=settings.validate, argv=list(arguments))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    flags = (f"--config.models={MODELS}", "--config.train.epochs=3")
    assert command("--config=experiments/configs/waves.py:smoke", f"--workdir={workdir}", *flags) == 0
    return workdir


def test_a_run_scores_every_model(workdir):
    summary = json.loads((workdir / "summary.json").read_text())
    assert tuple(summary["models"]) == MODELS
    assert not summary["missing"]
    found = summary["results"]["test"]
    assert set(found) == {f"{part}{score}" for part in ("", "foreground_") for score in tables.SCORES}
    for name, by_model in found.items():
        for model in MODELS:
            values = np.array(by_model[model]["values"])
            assert values.shape == (2, 1) and np.isfinite(values).all()
            assert (values >= 0).all() and (name.endswith("loss") or (values <= 1).all())
    for model, entry in summary["training"].items():
        assert ("long_waves" in entry["metrics"]["validation"]) == model.startswith(("nwm", "lstm"))


def test_tables_are_the_papers(workdir):
    text = (workdir / "tables.md").read_text()
    assert re.search(r"\| cnn_2 \| [\d,]+ \|( \d\.\d+ ± \d\.\d+ \|){3} 0.24 ± 0.08 \| 0.14 ± 0.05", text)
    assert text.count("| cnn_2 |") == 3
    assert text.count("| lstm_fft |") == 3 + len(tasks.REPORTED)  # those of the waves too
    assert "nan" not in text


def test_pictures(workdir):
    drawn = {path.name for path in (workdir / "figures").iterdir()}
    expected = {"masks.png", "fields.png", "learning_curves.png"}
    for model in MODELS[:2]:
        expected |= {f"{kind}_{model}.png" for kind in ("states", "features", "kernel", "spectra", "waves")}
        expected.add(f"states_{model}.gif")
    assert drawn == expected


def test_courses_are_those_logged(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    course = wavelengths.courses(workdir)["lstm_fft"]
    assert course.steps.tolist() == [2, 4, 6]
    chosen = [x for x in lines if x["model"] == "lstm_fft" and x["name"] == f"long_waves@{len(tasks.LONG)}"]
    assert len(chosen) == 2 * 3
    for line in chosen:
        at = course.steps.tolist().index(line["step"])
        assert course.shares[line["seed"], at, -1] == pytest.approx(line["value"])


def test_samples_of_a_wave_machine(workdir):
    with np.load(workdir / "samples" / "nwm_linear.npz") as stored:
        arrays = dict(stored)
    assert arrays["states"].shape == (6, 4, 16, 16, 2) and arrays["steps"].tolist() == list(range(1, 7))
    assert arrays["features"].shape == (16, 16, 4, 2)
    assert arrays["spectra"].shape == (6, 4, 2) and arrays["pixels"].sum() == 6 * 16 * 16
    assert arrays["wavelengths/before"].sum() == pytest.approx(1, abs=1e-5)
    assert arrays["labels"][0][tuple(arrays["place"])] > 0
    assert arrays["field"].shape == (16, 16) and arrays["field"].min() >= 0
    assert np.abs(arrays["kernel/after"] - arrays["kernel/before"]).max() > 1e-4
    assert_finite(arrays)


def test_what_is_trained_can_be_measured_again(workdir, capsys):
    assert command(f"--workdir={workdir}", "--evaluate=test") == 0
    assert command(f"--workdir={workdir}", "--evaluate=overlap") == 2
    assert "no test set 'overlap': expected test" in capsys.readouterr().err


SMALL = ("--config.seeds=1", "--config.train.epochs=1", "--config.train.batch_size=4")
CHOSEN = {"mnist": "cnn_2", "multi_mnist": "unet_2", "polygons": "nwm_fft"}


def test_every_smoke_size_is_run():
    """By `workdir`, or by the test below."""
    ran = [configs.get_config(variant) for variant in ("smoke", *(f"{name},smoke" for name in CHOSEN))]
    assert all(configs.get_config(f"{name},smoke") in ran for name in configs.EXPERIMENTS)


@pytest.mark.parametrize("experiment", CHOSEN)
def test_experiments_run(experiment, tmp_path):
    """One of its models, two updates."""
    model = CHOSEN[experiment]
    assert model in configs.get_config(experiment).models
    flag = f"--config=experiments/configs/waves.py:{experiment},smoke"
    assert command(flag, f"--workdir={tmp_path}", f"--config.models=('{model}',)", *SMALL) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["models"] == [model] and not summary["missing"]
    found = {name: by_model[model]["mean"][0] for name, by_model in summary["results"]["test"].items()}
    assert set(found) == {f"{part}{score}" for part in ("", "foreground_") for score in tables.SCORES}
    assert all(np.isfinite(value) and 0 <= value <= (np.inf if "loss" in name else 1) for name, value in found.items())
    assert f"| {model} |" in (tmp_path / "tables.md").read_text()
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn >= {"masks.png", "fields.png", "learning_curves.png"}
    assert (f"spectra_{model}.png" in drawn) == (names.model(model).network in names.RECURRENT)
