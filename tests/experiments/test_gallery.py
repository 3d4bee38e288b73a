"""The gallery of simulations, small; and what its pictures claim."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.gallery import __main__ as gallery
from experiments.gallery import chimera, delays, scores, segmentation, transition, wave

RESULTS = Path("experiments/results/gallery")
ROWS = json.loads((RESULTS / "segmentation.json").read_text())["rows"]


def test_every_figure_is_drawn(tmp_path, capsys):
    assert gallery.main([f"--workdir={tmp_path / 'new'}", "--small"]) == 0
    written = {path.name for path in (tmp_path / "new").iterdir()}
    assert written == {f"{name}.{kind}" for name in gallery.FIGURES for kind in ("png", "gif")}
    assert all((tmp_path / "new" / name).stat().st_size > 1000 for name in written)
    assert len(capsys.readouterr().out.splitlines()) == len(gallery.FIGURES)
    (tmp_path / "file").touch()
    assert gallery.main([f"--workdir={tmp_path / 'file'}", "--small", "--only", "delays"]) == 2


def test_order_rises_with_the_coupling():
    options = {"units": 50, "num_steps": 400, "seeds": 2}
    weak, strong = (transition.order(strength, **options) for strength in (0.5, 6.0))
    assert weak.shape == (2,)
    assert weak.mean() < 0.4
    np.testing.assert_allclose(strong.mean(), np.sqrt(1 - 2 / 6), atol=0.15)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_chimera_is_coherent_here_and_incoherent_there(seed):
    """The coherent side turns as one for hundreds of turns, while the units of the other side drift."""
    run = chimera.simulate(units=100, num_steps=8000, seed=seed)
    local = run.local_order[40:].mean(0)
    assert local.max() > 0.99 and local.min() < 0.6
    assert 5 <= (local > 0.98).sum() <= 50
    speed = (run.phases[-1] - run.phases[40]) / 390
    coherent = local > 0.98
    assert speed[coherent].std() < 1e-3 < 0.1 < speed[~coherent].std()
    # Coherence lies on one arc, opposite to the place where the phases began at random.
    assert np.abs(run.angles[coherent]).min() > np.pi / 2


def test_delays_let_a_population_choose_between_frequencies():
    steps = np.array([50, 300])
    low, high = (delays.speeds(steps, start=start, num_steps=4000) for start in (0.6, 2.4))
    for found in (low, high):
        expected = delays.FREQUENCY - delays.STRENGTH * np.sin(found * steps * delays.DT)
        np.testing.assert_allclose(found, expected, atol=0.03)
    assert abs(low[0] - high[0]) < 1e-2 < 0.3 < high[1] - low[1]
    for apart in (0.0, np.pi):
        for times, frequencies in delays.branches(apart):
            exact = delays.FREQUENCY - delays.STRENGTH * np.sin(frequencies * times - apart)
            np.testing.assert_allclose(frequencies, exact, atol=1e-10)


@pytest.mark.parametrize(("start", "apart"), [(0.6, np.pi), (2.4, 0.0)])
def test_pairs_of_the_film_end_where_the_page_says(start, apart):
    """The fast one with equal phases, the slow one with opposite phases."""
    run = delays.simulate(115, longest=115, start=start, num_steps=5000, apart=1.0)
    gap = np.exp(1j * (run[-1, 1] - run[-1, 0]))
    np.testing.assert_allclose(gap, np.exp(1j * apart), atol=0.02)
    speed = (run[-1] - run[-501]) / (500 * delays.DT)
    assert np.abs(speed[0] - delays.stable(115, apart)).min() < 0.03


def test_the_wave_travels_away_from_the_faster_patch():
    run = wave.simulate(units=150, num_steps=2000)
    behind = run.phases[-1] - run.phases[-1, run.away.argmin()]
    assert np.corrcoef(run.away, behind)[0, 1] < -0.5
    speed = run.phases[-1] - run.phases[-501]  # of nearly all the same; a unit of the patch may run ahead
    assert (np.abs(speed / np.median(speed) - 1) < 0.05).mean() > 0.9
    places, distances, links = wave.graph(150, 0)
    assert places.shape == (150, 2) and np.abs(places).max() <= 90
    np.testing.assert_allclose(links.sum(1), 1)
    assert distances[links.row, links.col].mean() < 0.5 * distances.mean()


def test_shapes_are_those_of_the_published_pictures():
    assert [segmentation.shape(name).sum() for name in ("square", "down", "up")] == [120, 72, 72]
    labels = segmentation.picture(("square", "down", "up"), seed=3)
    assert np.bincount(labels.ravel())[1:].tolist() == [120, 72, 72]
    np.testing.assert_array_equal(labels, segmentation.picture(("square", "down", "up"), seed=3))


def test_scores_of_pictures(tmp_path):
    assert scores.main([f"--workdir={tmp_path}", "--pictures=1", "--starts=2"]) == 0
    rows = json.loads((tmp_path / "segmentation.json").read_text())["rows"]
    assert len(rows) == 4 * 3 * 2
    assert all(np.shape(row["ari"]) == (1, 2) and row["background"] == 1 for row in rows)
    assert sum(line.startswith("|") for line in (tmp_path / "segmentation.md").read_text().splitlines()) == 2 + len(
        rows
    )
    assert scores.main([f"--workdir={tmp_path}", "--pictures=0"]) == 2


@pytest.mark.parametrize("name", scores.PICTURES)
def test_the_published_scores_are_those_of_the_pictures(name):
    """The first picture of each kind in the results, again; another compiler may round a run to other clusters."""
    again = scores.measure(scores.PICTURES[name], 1, 3)
    rows = [row for row in ROWS if row["pictures"] == name]
    assert len(rows) == len(again)
    same = [
        np.isclose(again[tuple(row["window"]), row["both_parts"]]["ari"], np.asarray(row["ari"])[:1, :3], atol=1e-3)
        for row in rows
    ]
    assert np.mean(same) > 0.8


def test_the_page_is_that_of_the_numbers():
    page = (RESULTS / "segmentation.md").read_text()
    assert page == scores.page(json.loads((RESULTS / "segmentation.json").read_text()))
