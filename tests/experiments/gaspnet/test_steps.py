"""The t-tests of GASPnets at every step: against the baseline, against the full model, of the best seed."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from experiments import engine
from experiments.gaspnet import steps
from experiments.gaspnet.specs import FAMILY
from tests.experiments.families import tables
from tests.helpers import assert_close

ABLATED = "gaspnet+no_synchrony"
KEPT = [path.parent for path in sorted(Path("experiments/results").glob("**/steps.json"))]


def metrics_of(split, by_model):
    """{metric: (S, T)} by model, as a run's metrics."""
    return {
        model: {split: {name: {seed: {7: row} for seed, row in enumerate(rows)} for name, rows in named.items()}}
        for model, named in by_model.items()
    }


def values_of(tests, key, **chosen):
    return np.array([test[key] for test in tests if all(test[name] == value for name, value in chosen.items())])


@pytest.fixture
def digits():
    """Two test sets of a full model, an ablated one and the baseline, of one step: ours, ablated, theirs by set."""
    rng = np.random.default_rng(6)
    values = {
        split: (rng.normal((0.4, 0.55, 0.9), 0.1, (5, 3)), rng.normal(0.45, 0.1, (5, 3)), rng.normal(0.4, 0.1, (4, 1)))
        for split in ("test", "gaussian0.1")
    }
    metrics = {}
    for split, (ours, ablated, theirs) in values.items():
        by_model = {"gaspnet": ours, ABLATED: ablated, "baseline": theirs}
        by_model = {model: {"accuracy": rows, "exact_match": rows**2} for model, rows in by_model.items()}
        for model, of_split in metrics_of(split, by_model).items():
            metrics.setdefault(model, {}).update(of_split)
    models = tables(FAMILY, "models", "gaspnet", ABLATED, "baseline")
    return values, steps.compare("digits", metrics, models, tables(FAMILY, "tests", "test", "gaussian0.1"))


def test_against_the_baseline_variances_are_pooled(digits):
    values, tests = digits
    assert {test["metric"] for test in tests} == {"accuracy"}  # exact_match says the same
    p = np.concatenate([
        [scipy_stats.ttest_ind(column, theirs[:, 0]).pvalue for column in ours.T] for ours, _, theirs in values.values()
    ])  # fmt: skip
    assert_close(values_of(tests, "p", model="gaspnet", against="baseline"), p, 1e-12)
    adjusted = scipy_stats.false_discovery_control(p, method="by")
    assert_close(values_of(tests, "p_adjusted", model="gaspnet", against="baseline"), adjusted, 1e-12)
    certain = (adjusted[:3] < 0.05).tolist()
    assert any(certain) and not all(certain)
    start = "| test | accuracy | gaspnet | baseline |"
    (row,) = [line for line in steps.comparison_text(tests).splitlines() if line.startswith(start)]
    assert [cell.endswith("*") for cell in row.strip("| ").split(" | ")] == [False] * 5 + certain


def test_ablated_models_are_compared_with_the_full_one_step_by_step(digits):
    values, tests = digits
    p = np.concatenate([
        [scipy_stats.ttest_ind(a, b).pvalue for a, b in zip(ablated.T, ours.T, strict=True)]
        for ours, ablated, _ in values.values()
    ])  # fmt: skip
    chosen = {"model": ABLATED, "against": "gaspnet"}
    assert_close(values_of(tests, "p", **chosen), p, 1e-12)
    adjusted = scipy_stats.false_discovery_control(p, method="by")
    assert_close(values_of(tests, "p_adjusted", **chosen), adjusted, 1e-12)
    ours, ablated, _ = values["test"]
    difference = values_of(tests, "difference", split="test", **chosen)
    assert_close(difference, ablated.mean(0) - ours.mean(0), 1e-12)
    assert not [test for test in tests if (test["model"], test["against"]) == ("gaspnet", "gaspnet")]


def test_families_of_tests_are_the_figures_of_the_paper():
    """Without scenes that count twice; an ablation that is not the paper's has a family of its own."""
    rng = np.random.default_rng(4)
    labels = ("gaspnet", ABLATED, "gaspnet+no_modulation", "gaspnet+no_location", "baseline")
    models, tests = tables(FAMILY, "models", *labels), tables(FAMILY, "tests", "test", "test+grouped3")
    values = {label: {"accuracy": rng.normal(0.5, 0.1, (5, 1))} for label in labels}
    metrics = metrics_of("test", values)
    for label, of_split in metrics_of("test+grouped3", values).items():
        metrics[label] |= of_split
    found = steps.compare("digits", metrics, models, tests)
    assert {test["split"] for test in found} == {"test"}
    assert [test["model"] for test in found if test["figure"] == "ablations"] == [ABLATED, "gaspnet+no_modulation"]
    (own,) = [test for test in found if (test["model"], test["against"]) == ("gaspnet+no_location", "gaspnet")]
    assert own["p_adjusted"] == own["p"]


def test_of_overlays_nothing_is_compared_before_the_best_seed_is_tested():
    items = {"gaspnet": {"item": np.full((2, 2), 0.5)}, "baseline": {"item": np.array([[0.3], [0.4], [0.6]])}}
    metrics = metrics_of("test", items)
    validation = {seed: {5: np.array([value])} for seed, value in enumerate((0.3, 0.5, 0.9))}
    metrics["gaspnet"]["validation"] = {"accuracy": validation}
    models, tests = tables(FAMILY, "models", "gaspnet", "baseline"), tables(FAMILY, "tests", "test")
    assert steps.compare("overlay", metrics, models, tests) == []
    del validation[2]
    assert {test["mean"] for test in steps.compare("overlay", metrics, models, tests)} == {0.5}


def test_of_overlays_the_best_on_validation_is_compared():
    """The baseline's seeds against one number; the accuracy of both heads together is not tested."""
    rng = np.random.default_rng(2)
    item, theirs = rng.normal(0.6, 0.1, (3, 2)), rng.normal(0.4, 0.05, (6, 1))
    named = lambda rows: {"item": rows, "picture": rows - 0.1, "accuracy": rows - 0.05}  # noqa: E731
    metrics = metrics_of("item20", {"gaspnet": named(item), "baseline": named(theirs)})
    validation = {0: {5: np.array([0.3, 0.5])}, 1: {5: np.array([0.2, 0.8]), 9: np.array([0.2, 0.7])}}
    metrics["gaspnet"]["validation"] = {"accuracy": validation | {2: {9: np.array([0.9, 0.7])}}}
    models = tables(FAMILY, "models", "gaspnet", "baseline")
    tests = steps.compare("overlay", metrics, models, tables(FAMILY, "tests", "item20"))
    assert {test["metric"] for test in tests} == {"item", "picture"}
    for step in (1, 2):
        expected = scipy_stats.ttest_1samp(theirs[:, 0], item[1, step - 1])
        (found,) = [test for test in tests if (test["metric"], test["step"]) == ("item", step)]
        assert found["p"] == pytest.approx(expected.pvalue)
        assert found["difference"] == pytest.approx(item[1, step - 1] - theirs.mean())
        assert (found["mean"], found["reference"]) == pytest.approx((item[1, step - 1], theirs.mean()))


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_kept_comparisons_are_those_of_the_runs(folder):
    """Of the last values, which summary.json has where metrics.jsonl was not kept."""
    experiment = engine.experiment_of(FAMILY, folder)
    models = {label: model.table for label, model in experiment.models.items()}
    found = steps.compare(experiment.config.data.scenes, engine.load_metrics(folder), models, experiment.tests)
    assert steps.comparison_text(found) == (folder / "steps.md").read_text()
    stored = json.loads((folder / "steps.json").read_text())
    numbers = ("mean", "reference", "difference", "p", "p_adjusted")
    words = [{key: value for key, value in each.items() if key not in numbers} for each in found]
    assert words == [{key: value for key, value in each.items() if key not in numbers} for each in stored]
    for key in numbers:
        assert_close(values_of(found, key), values_of(stored, key), 1e-9)
