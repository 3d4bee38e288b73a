"""The comparison of GASPnets with the baseline, and the pictures of given samples."""

import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from experiments.gaspnet import figures
from experiments.gaspnet.specs import FAMILY
from oscnets import plotting
from tests.experiments.families import tables
from tests.helpers import assert_close


def test_tests_at_every_step_are_welchs():
    rng = np.random.default_rng(6)
    ours, theirs = rng.normal((0.4, 0.55, 0.9), 0.1, (5, 3)), rng.normal(0.4, 0.1, (4, 1))
    values = {"gaspnet": ours, "baseline": theirs}
    by_seed = {model: {seed: {7: row} for seed, row in enumerate(rows)} for model, rows in values.items()}
    metrics = {model: {"test": {"accuracy": of}} for model, of in by_seed.items()}
    tests = figures.compare(metrics, tables(FAMILY, "models", "gaspnet", "baseline"))
    p = np.array([scipy_stats.ttest_ind(column, theirs[:, 0], equal_var=False).pvalue for column in ours.T])
    assert_close(np.array([test["p"] for test in tests]), p, 1e-12)
    adjusted = scipy_stats.false_discovery_control(p, method="by")
    assert_close(np.array([test["p_adjusted"] for test in tests]), adjusted, 1e-12)
    certain = (adjusted < 0.05).tolist()
    assert certain == [False, False, True] and p[1] < 0.05
    (row,) = [
        line for line in figures.comparison_text(tests).splitlines() if line.startswith("| test | accuracy | gaspnet |")
    ]
    assert [cell.endswith("*") for cell in row.strip("| ").split(" | ")] == [False] * 4 + certain


@pytest.mark.parametrize(("masks", "first_step"), [("background+objects", 0), ("objects", 1)])
def test_pictures_are_of_what_the_samples_say(tmp_path, monkeypatch, masks, first_step):
    """The step before the first and the mask of the background are left out, where there are any."""
    drawn = {}
    monkeypatch.setattr(plotting, "save", lambda figure, path: drawn.update({path.name: figure}))
    monkeypatch.setattr(plotting, "save_animation", lambda animation, path: drawn.update({path.name: animation}))
    objects = np.zeros((3, 4, 4, 2), bool)
    objects[:, :2, :2, 0] = objects[:, 2:, 2:, 1] = True
    background = ~objects.any(-1, keepdims=True)
    arrays = {
        "images": objects.any(-1)[..., None].astype(np.float32),
        "masks": np.concatenate([background, objects], -1) if masks == "background+objects" else objects,
        "phases": np.zeros((3, 4 - first_step, 4, 4), np.float16),
        "set": np.array(["test", "test", "gaussian0.1"]),
        "meaning": np.array(json.dumps({"masks": masks, "phases": "nthw", "first_step": first_step})),
    }
    figures.draw_samples(tmp_path, "gaspnet", arrays)
    assert set(drawn) == {"phases_gaspnet_test.png", "phases_gaspnet_gaussian0.1.png", "animation_gaspnet.gif"}
    animation = drawn["animation_gaspnet.gif"]
    assert animation.num_frames == 3
    assert [axes.get_title() for axes in animation.figure.axes if axes.get_title()][:1] == ["test"]
    pictures = [axes.images[0].get_array() for axes in animation.figure.axes if axes.images]
    colours = {tuple(colour) for colour in np.asarray(pictures[1])[..., :3].reshape(-1, 3)}
    assert len(colours) == 3  # of two objects, and of no object


def test_models_without_phases_have_no_pictures(tmp_path):
    figures.draw_samples(tmp_path, "baseline", {})
    assert not list(tmp_path.iterdir())
