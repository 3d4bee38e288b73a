"""The page of all claims: verdicts by intervals, claims without a run, the runs that would decide the rest."""

import itertools
import json
import shlex

import numpy as np
import pytest
from scipy import stats as distributions

from experiments import engine, results_table
from experiments.results_table import claim, deciding, page
from tests.experiments.families import FAMILIES

RESULTS = results_table.RESULTS
NOT_REPRODUCED = [each for each in results_table.CLAIMS if results_table.outcome(each) != "reproduced"]


def test_the_table_of_claims_is_that_of_the_summaries():
    assert results_table.table() == (RESULTS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("side", "bound", "low", "high", "expected"),
    [
        ("above", 0.0, 0.01, 0.2, "reproduced"),
        ("above", 0.0, -0.01, 0.2, "open"),
        ("above", 0.0, -0.2, -0.1, "contrary"),
        ("below", 0.0, -0.2, -0.1, "reproduced"),
        ("below", 0.0, 0.1, 0.2, "contrary"),
        ("within", 0.02, -0.01, 0.02, "reproduced"),
        ("within", 0.02, -0.01, 0.03, "open"),
        ("within", 0.02, 0.03, 0.04, "contrary"),
        ("above", 0.0, np.nan, np.nan, "open"),
    ],
)
def test_verdicts_are_those_of_the_interval(side, bound, low, high, expected):
    made = results_table.Claim("", "", "", lambda run: {}, "", side, bound)
    assert results_table.verdict(made, low, high) == expected


@pytest.fixture
def results(tmp_path):
    """Two models with three seeds on a test set, in a folder "run"."""
    values = {"a": [[0.9], [0.8], [0.85]], "b": [[0.2], [0.6], [0.4]]}
    scores = {model: {"seeds": [0, 1, 2], "values": rows} for model, rows in values.items()}
    summary = {
        "run": {"command": "python -m x --models=a,b --workdir=w", "data": {"size": 28}, "wall_seconds": 7200.0},
        "training": {"a": {"step": 1250}},
        "results": {"test": {"foreground_accuracy": scores}},
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    return tmp_path


def test_a_claim_is_decided_once_its_run_is_kept(results):
    number = claim.gap("a", "b", "test", "foreground_accuracy")
    made = results_table.Claim("W9", "a above b", "run", number, "0.5")
    cells = page.row(made, results)
    assert cells[:4] == ["W9: a above b", "[run](run/summary.md), 28 px", "3", "1,250"]
    low, high = distributions.t.interval(0.95, 2, 0.45, distributions.sem([0.7, 0.2, 0.45]))
    assert cells[4:] == [f"+0.450 [{low:+.3f}, {high:+.3f}]", "0.5", "open", "`python -m x`"]
    missing = made._replace(folder="other")
    assert page.row(missing, results) == ["W9: a above b", "other", "", "", "", "0.5", "not run", ""]
    assert results_table.outcome(missing, results) == "not run"


def test_the_ratio_of_spreads_has_the_interval_of_f(results):
    """Bounds are the ratios at which a two-sided F-test of equal scaled variances has p = 0.05."""
    run = results_table.Run(results / "run")
    found = claim.spreads("a", "b", "test", "foreground_accuracy")(run)
    first, second = np.std([0.9, 0.8, 0.85], ddof=1), np.std([0.2, 0.6, 0.4], ddof=1)
    assert found.number == pytest.approx(first / second) and found.seeds == 3
    for bound, tail in ((found.low, distributions.f.sf), (found.high, distributions.f.cdf)):
        assert tail((first / second / bound) ** 2, 2, 2) == pytest.approx(0.025)
    made = results_table.Claim("W9", "ratio", "run", lambda run: found, "", "below", 1.0)
    assert page.row(made, results)[4] == f"{found.number:.3f} [{found.low:.3f}, {found.high:.3f}]"


def test_the_interval_of_the_ratio_covers_the_true_one():
    rng = np.random.default_rng(8)
    draws = rng.normal(scale=(1.0, 2.0), size=(2000, 4, 2))
    found = [results_table.ratio_of_spreads(*(dict(enumerate(column)) for column in draw.T)) for draw in draws]
    assert np.mean([low <= 0.5 <= high for _, low, high, _ in found]) == pytest.approx(0.95, abs=0.015)


def test_a_ratio_to_no_spread_at_all_is_undefined():
    found = results_table.ratio_of_spreads({0: 0.1, 1: 0.2}, {0: 0.5, 1: 0.5})
    assert np.isnan(found[:3]).all()


def test_every_claim_that_is_not_reproduced_has_one_run_that_would_decide_it():
    assert NOT_REPRODUCED
    for made in NOT_REPRODUCED:
        assert len([each for each in results_table.DECIDERS if each.decides(made)]) == 1, made[:3]
    named = {(made.folder, made.name) for made in results_table.CLAIMS}
    pairs = [itertools.product([each.folder], each.names) for each in results_table.DECIDERS]
    assert set(itertools.chain(*pairs)) <= named


@pytest.mark.parametrize("decider", results_table.DECIDERS, ids=lambda each: f"{each.folder} {each.names[0]}")
def test_runs_that_would_decide_have_commands_that_work(decider, tmp_path):
    family, words = FAMILIES[decider.family], shlex.split(decider.command)
    assert words[:3] == ["python", "-m", f"experiments.{family.name}"]
    request = engine.parse([*words[3:], f"--workdir={tmp_path}"], family)
    assert request.config.seeds >= 3
    assert decider.hours() > 1


def test_hours_are_those_of_measured_rates(results):
    bench = results / "bench"
    bench.mkdir()
    (bench / "waves_cpu.json").write_text('{"wave_machine_all_devices": {"images_per_second": 50}}')
    decider = results_table.DECIDERS[0]._replace(folder="run", images={"wave_machine": 360_000})
    assert decider.hours(results) == pytest.approx(2)
    assert decider._replace(images={deciding.KEPT_RUN: 1.5}).hours(results) == pytest.approx(3)


def test_what_decides_is_listed_until_its_claims_are_reproduced(results):
    number = claim.gap("a", "b", "test", "foreground_accuracy")
    decider = results_table.DECIDERS[0]._replace(folder="run", names=("W9",))
    makes = [results_table.Claim("W9", "", "run", number, "", "above", bound) for bound in (-1.0, 0.0, 3.0)]
    assert page.undecided(decider, results, makes[:1]) == {}
    assert page.undecided(decider, results, makes) == {"W9": ["open", "contrary"]}


def test_records_that_are_kept_are_listed(results):
    assert page.kept_rows(results) == [["run", "no", "no"]]
    (results / "run" / "metrics.jsonl.gz").write_bytes(b"")
    assert page.kept_rows(results) == [["run", "yes", "no"]]
