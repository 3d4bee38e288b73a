"""The summary of runs whose numbers are known, whole and broken off."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.record import summary_text
from experiments.engine.record.results import history, last_values, load_config, load_metrics
from experiments.engine.record.summary import Statistics, build, summarize
from oscnets import plotting, stats

STEPS = 5
LEVELS = {"still": 0.5, "moving": 0.6}
OFFSETS = {0: 0.0, 1: 0.03, 2: -0.01}
BEST = {0: 20, 1: 10, 2: 20}


def accuracy(model, seed):
    """Values of the fake run: "still" has one number, "moving" rises over the dynamics."""
    level = LEVELS[model] + OFFSETS[seed] * (1 if model == "still" else 2)
    return level if model == "still" else level - 0.02 * np.arange(STEPS)[::-1]


def line(model, seed, step, split, name, value):
    return {"model": model, "seed": seed, "step": step, "split": split, "name": name, "value": value}


def lines(model, seed, step, split):
    values = accuracy(model, seed)
    if np.ndim(values) == 0:
        return [line(model, seed, step, split, "accuracy", values)]
    synchrony = [0.9 - 0.1 * t for t in range(STEPS)]
    return [
        line(model, seed, step, split, "accuracy", values.tolist()),
        line(model, seed, step, split, "synchrony", synchrony),
    ]


def by_step(records):
    """The records as runs wrote them before there were lists: one line per step of the dynamics."""
    for record in records:
        values = record["value"]
        timed = enumerate(values, 1) if isinstance(values, list) else ()
        yield from [{**record, "name": f"{record['name']}@{t}", "value": value} for t, value in timed] or [record]


def whole_run():
    """Model "moving" is written first, so that the order of the tables must come from the config."""
    for model in ("moving", "still"):
        for seed in OFFSETS:
            yield from (line(model, seed, step, "train", "loss", 1.0 / step + seed) for step in (5, 10, 15, 20))
            for step in (10, 20):
                yield from lines(model, seed, step, "validation")
            for split in ("test", "noise"):
                yield from lines(model, seed, BEST[seed], split)


CONFIG = {
    "experiment": "blinking",
    "variant": "quick",
    "command": "python -m experiments.blinking --config=blinking.py:quick",
    "config": {
        "models": ["still", "moving"],
        "seed": 0,
        "seeds": 3,
        "train": {"epochs": 2, "num_examples": 640, "batch_size": 64},
    },
    "versions": {"jax": "0.10.2"},
    "device": {"kind": "cpu", "count": 2},
    "commit": "0123abc",
}


@pytest.fixture
def make_run(tmp_path):
    def make(records, config=CONFIG, tail=""):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / "metrics.jsonl").write_text(text + tail)
        if config is not None:
            (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    return make


def summary_of(workdir, **statistics):
    """Without the files and the figures, which are slow to draw."""
    return summarize(load_metrics(workdir), load_config(workdir), Statistics(**statistics))


def text_of(workdir, **statistics):
    return summary_text.render(summary_of(workdir, **statistics))


def table(markdown, title):
    """Rows of cells of the first table below a heading."""
    below = markdown.split(f"{title}\n")[1].splitlines()
    start = next(i for i, text in enumerate(below) if text.startswith("|"))
    rows = []
    for text in below[start:]:
        if not text.startswith("|"):
            break
        rows.append([cell.strip() for cell in text.strip("|").split("|")])
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize("form", [list, by_step])
def test_numbers_of_a_whole_run(make_run, form):
    summary = summary_of(make_run(form(whole_run())))
    assert (summary["models"], summary["splits"], summary["missing"]) == (["still", "moving"], ["test", "noise"], [])
    assert summary["best_step"]["moving"] == {"0": 20, "1": 10, "2": 20}
    moving = summary["results"]["test"]["accuracy"]["moving"]
    values = np.stack([accuracy("moving", seed) for seed in OFFSETS])
    expected = stats.summarize(values)
    assert (moving["seeds"], moving["steps"], moving["n"]) == ([0, 1, 2], [1, 2, 3, 4, 5], [3] * STEPS)
    np.testing.assert_allclose(moving["values"], values)
    for key in ("mean", "std", "low", "high"):
        np.testing.assert_allclose(moving[key], getattr(expected, key))
    still = summary["results"]["test"]["accuracy"]["still"]
    assert still["steps"] is None
    np.testing.assert_allclose(still["mean"], [0.5 + 0.02 / 3])
    assert list(summary["results"]["noise"]["synchrony"]) == ["moving"]


def test_paired_tests_at_the_last_step(make_run):
    summary = summary_of(make_run(whole_run()))
    seeds = list(OFFSETS)
    expected = stats.paired_t_test(
        [accuracy("still", seed) for seed in seeds], [accuracy("moving", seed)[-1] for seed in seeds]
    )
    assert [(t["split"], t["metric"], t["first"], t["second"]) for t in summary["tests"]] == [
        ("test", "accuracy", "still", "moving"),
        ("noise", "accuracy", "still", "moving"),
    ]
    for test in summary["tests"]:
        assert test["n"] == 3
        assert test["difference"] == pytest.approx(-0.1 - 0.02 / 3)
        assert test["p"] == pytest.approx(expected.p_value)
        # Two equal p-values: p * (2 / 2) * (1 + 1/2).
        assert test["p_adjusted"] == pytest.approx(1.5 * expected.p_value)


def test_metrics_that_are_not_tested_are_no_part_of_the_family(make_run):
    workdir = make_run(whole_run())
    assert summary_of(workdir, untested=("accuracy",))["tests"] == []
    assert summary_of(workdir, untested=("loss",)) == summary_of(workdir)


def test_test_sets_that_are_not_tested_are_no_part_of_the_family(make_run):
    settings = {"untested_splits": ("noise", "absent"), "section": lambda model, split: f"{split} of all"}
    tests = summary_of(make_run(whole_run()), **settings)["tests"]
    assert [(test["split"], test["p_adjusted"] == test["p"]) for test in tests] == [("test of all", True)]


def test_a_model_may_have_seeds_of_its_own(make_run):
    """Lines of its other seeds do not count, and are not missing."""
    settings = {**CONFIG["config"], "models": {"still": {"seeds": 2}, "moving": {"seeds": None}}}
    summary = summary_of(make_run(whole_run(), {**CONFIG, "config": settings}))
    found = summary["results"]["test"]["accuracy"]
    assert {model: found[model]["seeds"] for model in found} == {"still": [0, 1], "moving": [0, 1, 2]}
    assert summary["missing"] == [] and {test["n"] for test in summary["tests"]} == {2}


def test_the_level_of_guessing_may_differ_between_splits(make_run):
    text = text_of(make_run(whole_run()), chance=lambda model, split: {"accuracy": 0.5 if split == "noise" else 0.25})
    for split, level in (("test", "0.250"), ("noise", "0.500")):
        assert f"Chance: {level}." in text.split(f"### {split}: accuracy")[1].split("###")[0]


def test_a_level_that_models_do_not_share_is_left_out(make_run):
    workdir = make_run(whole_run())
    levels = summary_of(workdir, chance=lambda model, split: {"accuracy": len(model) / 10, "loss": 0.5})["chance"]
    assert levels == {split: {"loss": 0.5} for split in ("train", "validation", "test", "noise")}


def test_models_evaluated_on_other_data_stand_in_a_separate_section(make_run):
    workdir = make_run(whole_run())
    statistics = Statistics(
        section=lambda model, split: "test_of_moving" if (model, split) == ("moving", "test") else split,
        chance=lambda model, split: {"accuracy": {"still": 0.1, "moving": 0.3}[model]},
    )
    summary = build(workdir, statistics)
    assert summary["splits"] == ["test", "noise", "test_of_moving"] and not summary["missing"]
    assert list(summary["results"]["test"]["accuracy"]) == ["still"]
    assert list(summary["results"]["test_of_moving"]["accuracy"]) == ["moving"]
    assert {test["split"] for test in summary["tests"]} == {"noise"}
    assert summary["tests"][0]["p_adjusted"] == summary["tests"][0]["p"]
    levels = {split: level.get("accuracy") for split, level in summary["chance"].items()}
    assert levels == {"train": None, "validation": None, "test": 0.1, "noise": None, "test_of_moving": 0.3}
    assert (workdir / "figures" / "over_time_test_of_moving.png").exists()
    assert "### test_of_moving: accuracy" in (workdir / "summary.md").read_text()


def test_the_best_model_on_validation_data(make_run):
    workdir = make_run(whole_run())
    assert "best |" not in text_of(workdir)
    summary = summary_of(workdir, score="accuracy")
    validated = load_metrics(workdir)["moving"]["validation"]["accuracy"]
    best = max(validated, key=lambda seed: max(np.ravel(value)[-1] for value in validated[seed].values()))
    assert summary["best_seed"]["moving"] == best
    entry = summary["results"]["test"]["accuracy"]["moving"]
    head, _, moving = table(text_of(workdir, score="accuracy"), "### test: accuracy")
    assert head[-2:] == ["best", "seeds"]
    assert moving[-2] == f"{entry['values'][entry['seeds'].index(best)][-1]:.3f}"
    assert summary_of(workdir, score="-accuracy")["best_seed"]["moving"] != best


def test_only_validations_that_chose_parameters_choose_the_best_seed(make_run):
    """Seed 0 was better within an epoch than any other ever was, and has no such parameters."""
    early = [line("still", 0, 5, "validation", "accuracy", 0.9)]
    for records, best in ((whole_run(), 1), ([r for r in whole_run() if r["split"] == "validation"], 0)):
        assert summary_of(make_run([*early, *records]), score="accuracy")["best_seed"]["still"] == best


def test_the_best_seed_over_time(make_run, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plotting, "save", lambda figure, path: drawn.__setitem__(path.name, figure))
    workdir = make_run(whole_run())
    build(workdir)
    assert "over_time_best_test.png" not in drawn  # no score, no best
    summary = build(workdir, Statistics(score="accuracy"))
    entry = summary["results"]["test"]["accuracy"]["moving"]
    lines = {line.get_label(): line.get_ydata() for line in drawn["over_time_best_test.png"].axes[0].lines}
    expected = entry["values"][entry["seeds"].index(summary["best_seed"]["moving"])]
    np.testing.assert_allclose(lines["moving"], expected)
    assert not np.allclose(lines["moving"], entry["mean"])
    drawn.clear()
    build(make_run([record for record in whole_run() if record["seed"] == 0]), Statistics(score="accuracy"))
    assert set(drawn) == {"learning_curves.png", "over_time_noise.png", "over_time_test.png"}


def test_the_best_seed_of_a_value_that_is_undefined(make_run):
    records = [r | {"value": None} if r["name"] == "synchrony" else r for r in whole_run()]
    _, moving = table(text_of(make_run(records), score="accuracy"), "### test: synchrony")
    assert moving[0] == "moving" and moving[-2] == "undefined"


def test_tables_have_one_row_per_model_in_the_order_of_the_config(make_run):
    text = text_of(make_run(whole_run()), chance=lambda model, split: {"accuracy": 0.1})
    head, still, moving = table(text, "### test: accuracy")
    assert head == ["model", "step 1", "step 2", "step 5", "seeds"]
    assert still == ["still", "", "", "0.507 ± 0.021 [0.455, 0.558]", "3"]
    assert moving[:2] == ["moving", "0.533 ± 0.042 [0.430, 0.637]"]
    every = table(text.split("### test: accuracy")[1], "<details><summary>every step</summary>")
    assert every[0] == ["model", *(f"step {step}" for step in range(1, 6)), "seeds"]
    assert every[2][4] == "0.593 ± 0.042 [0.490, 0.697]"
    assert "Chance: 0.100." in text
    assert table(text, "### test: accuracy, differences")[1][:3] == ["still", "moving", "-0.107"]
    assert [row[:3] for row in table(text, "## Training")] == [
        ["model", "steps", "best step per seed"],
        ["still", "20", "20, 10, 20"],
        ["moving", "20", "20, 10, 20"],
    ]


def test_the_header_describes_the_run(make_run):
    text = text_of(make_run(whole_run(), CONFIG | {"wall_seconds": 3725.4}))
    for said in (
        "# blinking: quick",
        "`python -m experiments.blinking --config=blinking.py:quick`",
        "epochs 2, num_examples 640, batch_size 64",
        "hardware: kind cpu, count 2",
        "versions: jax 0.10.2",
        "commit: 0123abc",
        "data: unknown",
        "wall time: 1 h 2 min 5 s",
    ):
        assert said in text


def test_figures_are_drawn_and_the_experiment_draws_its_own(make_run):
    workdir = make_run(whole_run())
    seen = []
    build(workdir, labels={"accuracy": "recognized (share)"}, figures=seen.append)
    assert seen == [workdir]
    names = sorted(path.name for path in (workdir / "figures").iterdir())
    assert names == ["learning_curves.png", "over_time_noise.png", "over_time_test.png"]
    for name in names:
        picture = imread(workdir / "figures" / name)
        assert picture.shape[1] > 900
        assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 20


def test_a_run_broken_off_says_what_is_missing(make_run):
    records = [r for r in whole_run() if r["model"] == "moving" and r["split"] != "noise"]
    records = [r for r in records if r["split"] != "test" or r["seed"] == 1]
    records += lines("still", 0, 10, "noise")
    workdir = make_run(records, CONFIG | {"models": ["still", "moving", "third"]}, tail='{"model": "still", "se')
    summary = summary_of(workdir)
    assert summary["missing"] == [
        "Model third has no metrics.",
        "Model still has 1 of 3 seeds on noise.",
        "Model still has not been measured on test.",
        "Model moving has 1 of 3 seeds on test.",
        "Model moving has not been measured on noise.",
    ]
    text = summary_text.render(summary)
    assert all(sentence in text for sentence in summary["missing"])
    assert summary["results"]["test"]["accuracy"]["moving"]["std"] == [None] * STEPS
    assert "0.660 | 1 |" in text
    json.dumps(summary, allow_nan=False)


def test_a_run_stopped_before_its_tests(make_run):
    workdir = make_run([r for r in whole_run() if r["split"] == "train"], config=None)
    summary = build(workdir)
    assert summary["missing"] == ["No test split has been measured; the run is not finished."]
    assert [path.name for path in (workdir / "figures").iterdir()] == ["learning_curves.png"]
    text = (workdir / "summary.md").read_text()
    assert "command: unknown" in text
    assert table(text, "## Training")[1] == ["moving", "20", "-", "1.050 ± 1.000"]


def test_one_seed_has_no_tests_and_says_so(make_run):
    summary = summary_of(make_run([r for r in whole_run() if r["seed"] == 0]))
    assert {test["p"] for test in summary["tests"]} == {None}
    assert "a test needs at least two" in summary_text.render(summary)


def test_tests_pair_the_seeds_in_common(make_run):
    records = [r for r in whole_run() if r["split"] == "test" and (r["model"], r["seed"]) != ("still", 1)]
    test = summary_of(make_run(records))["tests"][0]
    assert test["n"] == 2
    assert test["difference"] == pytest.approx(-0.1 + 0.005)


def test_later_lines_hold_and_odd_values_are_undefined(make_run):
    workdir = make_run([
        line("a", 0, 5, "test", "score@3", 0.3),
        line("a", 0, 5, "test", "score@1", 0.9),
        line("a", 0, 5, "test", "score@1", 0.1),
        line("a", 1, 5, "test", "score@1", None),
        line("a", 0, 9, "train", "loss", 2.0),
        line("a", 0, 4, "train", "loss", 3.0),
        line("a", 1, 4, "train", "loss", 5.0),
    ])  # fmt: skip
    metrics = load_metrics(workdir)
    seeds, values = last_values(metrics, "a", "test", "score")
    assert seeds == [0, 1]
    np.testing.assert_array_equal(values, [[0.1, np.nan, 0.3], [np.nan] * 3])
    steps, losses = history(metrics, "a", "train", "loss")
    np.testing.assert_array_equal(steps, [4, 9])
    np.testing.assert_array_equal(losses, [[3.0, 2.0], [5.0, np.nan]])
    assert last_values(metrics, "a", "test", "unknown")[1].shape == (0, 1)
    mean = summary_of(workdir)["results"]["test"]["score"]["a"]["mean"]
    assert mean == [0.1, None, 0.3]


def test_lists_with_undefined_steps_and_the_models_of_a_config_with_tables(make_run):
    config = {"config": {"models": {"b": {"label": None}, "a": {"label": "a@3"}}}}
    records = [line("b", 0, 5, "test", "score", [0.1, None, 0.3]), line("b", 1, 5, "test", "score", [0.2])]
    workdir = make_run([line("a@3", 0, 5, "test", "score", 0.5), *records], config)
    _, values = last_values(load_metrics(workdir), "b", "test", "score")
    np.testing.assert_array_equal(values, [[0.1, np.nan, 0.3], [0.2, np.nan, np.nan]])
    summary = summary_of(workdir)
    assert summary["models"] == ["b", "a@3"]
    np.testing.assert_allclose(summary["results"]["test"]["score"]["b"]["mean"][0], 0.15)


def test_nothing_to_report(tmp_path, make_run):
    with pytest.raises(UsageError, match=r"no workdir .*nowhere"):
        build(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no metrics.jsonl in .* has the run been started"):
        build(tmp_path)
    with pytest.raises(UsageError, match="holds no metrics yet"):
        build(make_run([], tail='{"model"'))
    with pytest.raises(RunError, match="line 1 is damaged"):
        build(make_run([], tail='{"model"\n{}\n'))
    (make_run(whole_run()) / "config.json").write_text("[1]")
    with pytest.raises(UsageError, match=r"its config\.json does not hold a config"):
        build(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"cannot read config\.json"):
        build(tmp_path)


def test_a_rebuilt_report_is_the_same(make_run):
    workdir = make_run(whole_run())
    build(workdir)
    names = ["summary.json", "summary.md", "figures/over_time_test.png"]
    first = [(workdir / name).read_bytes() for name in names]
    build(workdir)
    assert [(workdir / name).read_bytes() for name in names] == first
    assert not list(workdir.rglob("*.tmp*"))


def test_a_seed_that_diverged_is_named_and_its_count_is_no_result(make_run):
    """Its mean has no line, as the engine writes none."""
    config = {"config": {"seeds": 2, "models": {"a": {"label": None}}}}
    counts = [line("a", seed, 5, "test", "not_finite", 3.0 * seed) for seed in (0, 1)]
    summary = summary_of(make_run([*counts, line("a", 0, 5, "test", "score", 0.5)], config))
    assert summary["missing"] == [
        "Model a has on test, for 3 examples of seed 1, values that are not finite; the means are without these seeds."
    ]
    assert list(summary["results"]["test"]) == ["score"]
    assert summary["results"]["test"]["score"]["a"]["n"] == [1]
