"""Every variant of every family is complete, checked and locked; configs of runs of earlier formats are migrated."""

import json
from pathlib import Path

import pytest

from experiments import engine
from tests.experiments.families import CONFIGS, FAMILIES

PAIRS = [(name, experiment) for name, configs in CONFIGS.items() for experiment in configs.EXPERIMENTS]
RESULTS = sorted(Path("experiments/results").glob("**/config.json"))


@pytest.mark.parametrize(("name", "experiment"), PAIRS)
def test_variants(name, experiment):
    family, get_config = FAMILIES[name], CONFIGS[name].get_config
    for scale in CONFIGS[name].SCALES:
        config = engine.complete(get_config(f"{experiment},{scale}"), family).lock()
        engine.check(config, family)
        assert config == engine.complete(get_config(f"{scale},{experiment}"), family).lock()
        assert engine.from_json(engine.to_json(config), family) == config
        for section in ("models", "tests"):
            assert list(engine.tables(config, section)) == list(engine.to_json(config)[section])
        with pytest.raises(AttributeError):
            config.train.epoch = 3


def test_the_models_and_test_sets_are_in_the_order_of_the_config():
    config = engine.complete(CONFIGS["komplexnet"].get_config("robustness,smoke"), FAMILIES["komplexnet"])
    assert list(engine.tables(config, "models")) == ["komplexnet", "feedback", "ideal", "random", "real", "real_large"]
    assert list(engine.tables(config, "tests")) == ["test", "overlap", "noise", "groups", "groups_overlap"]


@pytest.mark.parametrize("name", CONFIGS)
def test_an_unknown_variant_names_those_that_there_are(name):
    with pytest.raises(ValueError, match=r"'papre'.*smoke"):
        CONFIGS[name].get_config("smoke,papre")


def test_there_are_results_to_migrate():
    assert len(RESULTS) >= 7


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: "-".join(path.parts[2:-1]))
def test_configs_of_results_are_migrated(path):
    """Every model and test set has its label, which metrics.jsonl and checkpoints have too."""
    stored = json.loads(path.read_text())
    experiment = engine.experiment_of(FAMILIES[stored["experiment"]], path.parent)
    engine.check(experiment.config, FAMILIES[stored["experiment"]])
    earlier = stored.get("earlier", {"models": {}, "tests": {}})
    assert list(experiment.models) == [*stored["config"]["models"], *earlier["models"]]
    tests = stored["config"].get("tests", ["test"])
    if isinstance(tests, dict):
        tests = [table.get("label") or name for name, table in {**tests, **earlier["tests"]}.items()]
    measured = json.loads((path.parent / "summary.json").read_text())["splits"]
    assert list(experiment.tests)[: len(tests)] == tests and set(experiment.tests) <= {*tests, *measured}
    assert {name for model in experiment.models.values() for name in model.data} >= set(tests)
    for model in experiment.models.values():
        assert model.table["network"] in model.label or model.label.startswith(model.table["network"])
        assert {"train", "validation"} <= set(model.data) <= {"train", "validation", *experiment.tests}
        own = {key for key, value in model.table["model"].items() if value is not None}
        kept = {key: x for key, x in stored["config"]["model"].items() if key in model.config.model and key not in own}
        given = engine.to_json(model.config)["model"]
        assert {key: given[key] for key in kept} == kept


@pytest.mark.parametrize(("name", "model"), [("komplexnet", "real"), ("gaspnet", "gaspnet"), ("waves", "cnn_2")])
def test_a_model_may_have_more_examples_than_the_others(name, model):
    family = FAMILIES[name]
    config = engine.complete(CONFIGS[name].get_config("smoke"), family)
    config.models[model].train.num_examples = 2 * config.train.num_examples
    engine.check(config, family)
    models = family.experiment(config, engine.tables(config, "tests")).models.values()
    sizes = {each.label: len(each.data["train"]()["images"]) for each in models}
    assert sizes.pop(model) == 2 * sizes.popitem()[1]
    shared = [each.data["test"]() for each in models]
    assert all(arrays["images"] is shared[0]["images"] for arrays in shared)  # made once
