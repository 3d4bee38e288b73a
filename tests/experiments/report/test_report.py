"""experiments.report: claims, packed scenes, and the page of runs with simple numbers."""

import json
import re

import numpy as np
import pytest

from experiments.engine import RunError
from experiments.report import claims, markup, page, runs, scenes
from experiments.report.__main__ import main
from tests.experiments.report import fake

WHOLE = scenes.REDUCTIONS[0]


def sample(arrays, **changes):
    """Of arrays as a run saves them, with changes of their meaning."""
    return scenes.Sample(arrays, json.loads(str(arrays["meaning"])) | changes)


def test_claims_of_a_results_folder():
    found = claims.parse(fake.CLAIMS)
    assert [claim.status for claim in found] == ["reproduced", "in part", "not reproduced", "postponed"]
    assert found[0].claim == "A: *coupled* &lt; all"
    assert found[0].verdict == "<strong>reproduced</strong>: 0.9 at <code>step 5</code>"
    assert found[1].claim == "B: a | b"
    assert "[see]" not in found[1].verdict
    assert '<a href="https://example.org/a">source</a>' in found[1].verdict


def test_every_committed_claim_has_a_status(pytestconfig):
    results = pytestconfig.rootpath / "experiments" / "results"
    for family in ("komplexnet", "gaspnet", "waves"):
        found = claims.read(results / family)
        assert found and {claim.status for claim in found} <= {"reproduced", "in part", "not reproduced", "not run"}


def test_markdown_as_html():
    text = "## A: *b*\n\nWords and\n**more** <i>\n\n| a | b |\n| --- | --- |\n| `1` | x\\|y |\n\n- k: 1\n- l"
    text += "\n\n<details><summary>every step</summary>\n\n</details>\n\n<details>"
    assert list(markup.blocks(text)) == [
        "<h3>A: *b*</h3>",
        "<p>Words and <strong>more</strong> &lt;i&gt;</p>",
        '<div class="wide" role="region" tabindex="0" aria-label="Values"><table class="scores"><thead><tr>'
        '<th scope="col">a</th><th scope="col">b</th></tr></thead><tbody><tr><th scope="row"><code>1</code></th>'
        "<td>x|y</td></tr></tbody></table></div>",
        "<ul><li>k: 1</li><li>l</li></ul>",
        "<details><summary>every step</summary>",
        "</details>",
        "<p>&lt;details&gt;</p>",
    ]


def test_packing_keeps_phases_to_a_256th_of_a_turn():
    arrays = fake.phases()
    packed = scenes.pack(sample(arrays), WHOLE)
    codes, amplitude = scenes.unpacked(packed["phase"]), scenes.unpacked(packed["amplitude"])
    assert codes.shape == arrays["phases"].shape
    error = np.angle(np.exp(1j * (codes / 256 * 2 * np.pi - arrays["phases"])))
    active = arrays["amplitude"] > 0
    assert np.abs(error[np.broadcast_to(active[:, None], error.shape)]).max() <= np.pi / 256 + 1e-6
    np.testing.assert_array_equal(amplitude > 0, active)
    assert amplitude[active].min() < 255 == amplitude.max()
    objects = scenes.unpacked(packed["objects"])
    np.testing.assert_array_equal(objects & 1 > 0, arrays["masks"][..., 0])
    np.testing.assert_array_equal(objects & 2 > 0, arrays["masks"][..., 1])
    assert packed["steps"] == [1, 2, 3, 4, 5]
    assert packed["scenes"][2] == {"set": "noise", "label": "noise 1: digits 3 and 7"}


def test_packing_of_one_phase_per_place():
    """The first phases are those before the first step, the first mask is the background's, there is no amplitude."""
    arrays = fake.phases()
    background = ~arrays["masks"].any(-1, keepdims=True)
    single = {key: arrays[key] for key in ("images", "set", "meaning")} | {"phases": arrays["phases"][..., 0]}
    single |= {"masks": np.concatenate([background, arrays["masks"]], -1), "targets": np.array([[3, 7]] * 3)}
    changes = {"phases": "nthw", "masks": "background+objects", "first_step": 0, "targets": "classes"}
    packed = scenes.pack(sample(single, **changes), WHOLE)
    assert packed["steps"] == [0, 1, 2, 3, 4]
    assert (packed["channels"], packed["bright"]) == (1, False)
    assert packed["scenes"][0] == {"set": "test", "label": "test 1: classes 3 and 7"}
    np.testing.assert_array_equal(scenes.unpacked(packed["objects"]) & 1 > 0, arrays["masks"][..., 0])
    assert (scenes.unpacked(packed["amplitude"]) == 255).all()


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("komplexnet", {"phases": "nthwc", "masks": "objects", "targets": "multi_hot", "first_step": 1}),
        ("gaspnet", {"phases": "nthw", "masks": "background+objects", "first_step": 0}),
        ("waves", {"states": "tnhwc", "targets": "labels"}),
    ],
)
def test_samples_of_earlier_runs_have_the_meaning_of_their_family(experiment, expected, tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"experiment": experiment}))
    arrays = fake.states() if experiment == "waves" else fake.phases()
    del arrays["meaning"]
    np.savez(tmp_path / "samples" / "m.npz", **arrays)
    found = scenes.read(tmp_path)["m"].meaning
    assert {key: found[key] for key in expected} == expected
    (tmp_path / "config.json").unlink()
    assert scenes.read(tmp_path) == {}


def test_reductions_leave_out_scenes_frames_and_channels():
    packed = scenes.pack(sample(fake.phases()), scenes.Reduction(1, 3, False))
    assert [entry["label"] for entry in packed["scenes"]] == ["test 1: digits 3 and 7", "noise 1: digits 3 and 7"]
    assert packed["steps"] == [1, 3, 5]
    assert packed["phase"]["shape"] == [2, 3, fake.SIZE, fake.SIZE, 1]
    strongest = scenes.unpacked(packed["amplitude"])[..., 0]
    np.testing.assert_array_equal(strongest > 0, fake.phases()["masks"][[0, 2]].any(-1))


def test_packing_of_states():
    arrays = fake.states()
    packed = scenes.pack(sample(arrays), scenes.Reduction(None, 50, True))
    codes, limits = scenes.unpacked(packed["state"]), np.array(packed["limits"])
    assert len(packed["steps"]) == 50
    assert (packed["steps"][0], packed["steps"][-1]) == (1, 120)
    assert limits.shape == (2, 2)
    np.testing.assert_allclose(limits, [[0.5, 4.0]] * 2, rtol=0.02)
    restored = (codes.astype(np.float32) - 128) / 127 * limits[:, None, None, None]
    expected = np.moveaxis(arrays["states"][np.array(packed["steps"]) - 1], 0, 1)
    np.testing.assert_allclose(restored, expected, atol=0.02 * 4)
    without = {key: arrays[key] for key in ("images", "labels", "predictions", "meaning")}
    without = scenes.pack(sample(without), WHOLE)
    assert (without["kind"], without["steps"], "state" in without) == ("states", [], False)


def test_too_many_groups_are_refused():
    arrays = fake.phases() | {"masks": np.ones((3, fake.SIZE, fake.SIZE, 9), bool)}
    with pytest.raises(ValueError, match="at most 8 groups, got 9"):
        scenes.pack(sample(arrays), WHOLE)


def test_the_content_of_a_run(tmp_path):
    found = runs.read(fake.write_run(tmp_path / "run"))
    assert found.title == "fake: <b>tiny</b>"
    assert [path.name for path in found.figures] == [
        "learning_curves.png",
        "over_time_test.png",
        "over_time_best_test.png",
        "animation_a.gif",
        "levels.png",
    ]
    assert [heading for heading, _ in found.tables] == ["Training", "test", "Paired tests between models"]
    tables = dict(found.tables)
    assert "<td>0.510 ± 0.014" in tables["test"] and "<h4>test: accuracy</h4>" in tables["test"]
    assert "<summary>every step</summary>" in tables["test"]
    assert dict(found.facts)["wall time"] == "1 min 30 s"
    assert dict(found.facts)["command"] == "<code>python -m fake</code>"


def test_figures_are_embedded_as_far_as_the_budget_goes(tmp_path):
    figures = runs.read(fake.write_run(tmp_path / "run")).figures
    length = len(next(runs.embedded(figures, 10**6))[1].partition(",")[2])
    embedded = list(runs.embedded(figures, 2 * length + 1))
    assert [path.name for path, _ in embedded] == ["learning_curves.png", "over_time_test.png"]
    assert embedded[0][1].startswith("data:image/png;base64,")
    section = page._section(0, runs.read(tmp_path / "run"), False, 2 * length + 1)
    assert "Not shown, for the size of the page: over_time_best_test.png, animation_a.gif, levels.png." in section
    assert section.count("<img ") == 2 and 'alt="over time test"' in section


def test_a_results_folder_may_hold_claims_alone(tmp_path):
    (tmp_path / "README.md").write_text(fake.CLAIMS)
    found = runs.read(tmp_path)
    assert len(found.claims) == 4
    assert not (found.figures or found.tables or found.facts)
    section = page._section(0, found, False, 0)
    assert '<span class="status no">✗ not reproduced</span>' in section
    assert '<span class="status open">postponed</span>' in section


def test_earlier_summaries_are_migrated():
    summary = {"splits": ["test"], "chance": {"accuracy": 0.2}}
    found = runs._migrated(summary)
    assert found["chance"]["test"] == found["chance"]["train"] == {"accuracy": 0.2} and found["best_seed"] == {}
    today = {"splits": [], "chance": {"test": {"accuracy": 0.3}}, "best_seed": {"m": 1}}
    assert runs._migrated(today) == today


@pytest.mark.parametrize(
    "folder",
    ["komplexnet", "komplexnet/generalization", "gaspnet", "gaspnet/multi_mnist", "waves", "waves/tetrominoes"],
)
def test_the_committed_results_have_a_page(folder, pytestconfig):
    found = runs.read(pytestconfig.rootpath / "experiments" / "results" / folder)
    assert found.claims or found.tables
    assert page._section(0, found, False, 10**6)


def test_the_page_is_one_file_and_escapes_what_it_is_given(tmp_path):
    folder = fake.write_run(tmp_path / "run")
    size = page.write([folder, folder], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert size == len(text.encode()) < page.LIMIT
    assert "<b>tiny" not in text.replace("\\u003c", "")
    assert "fake: &lt;b&gt;tiny&lt;/b&gt;" in text
    assert not re.search(r"(src|href)=[\"'](?!#|data:|https://example\.org)", text)
    assert "<!-- " not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert [list(run["samples"]) for run in data["runs"]] == [["coupled"]] * 2


def test_samples_are_reduced_until_the_page_fits(tmp_path):
    folder = fake.write_waves(tmp_path / "run")
    whole = page.write([folder], tmp_path / "whole.html")
    limit = whole - 1
    assert page.write([folder], tmp_path / "less.html", limit) <= limit
    data = json.loads(re.search(r'id="data">(.*?)</script>', (tmp_path / "less.html").read_text())[1])
    assert len(data["runs"][0]["samples"]["coupled"]["steps"]) == 50
    with pytest.raises(RunError, match="expected at most 1000: give fewer folders"):
        page.write([folder], tmp_path / "none.html", 1000)
    assert not (tmp_path / "none.html").exists()


def test_the_command(tmp_path, capsys):
    folder = fake.write_run(tmp_path / "run")
    assert main([f"--workdir={folder}"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'report.html'}: 0.")
    assert main([str(folder), f"--out={tmp_path / 'x.html'}"]) == 0
    assert (tmp_path / "x.html").read_text() == (folder / "report.html").read_text()


def test_errors_are_one_line(tmp_path, capsys):
    folder = fake.write_run(tmp_path / "run")
    (folder / "summary.json").write_text("{")
    (tmp_path / "empty").mkdir()
    for words, status, message in (
        ([], 2, "expected the folder of a run"),
        ([str(tmp_path / "absent")], 2, f"no folder {tmp_path / 'absent'}"),
        ([str(tmp_path / "empty")], 2, "nor a table of claims: is it a run?"),
        ([str(folder)], 1, "summary.json is no JSON"),
        ([str(folder), f"--out={tmp_path / 'no' / 'x.html'}"], 2, "there is no folder"),
        ([str(folder), f"--out={tmp_path / 'x.pdf'}"], 2, "expected a name that ends in .html or .htm"),
        (["~nobody_at_all/run"], 2, "there is no home folder ~nobody_at_all"),
        ([str(folder), "--size=1"], 2, "unrecognized arguments: --size=1"),
    ):
        assert main(words) == status
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1
