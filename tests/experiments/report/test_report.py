"""experiments.report: claims, packed scenes, and the page of runs whose numbers are known."""

import json
import re

import numpy as np
import pytest

from experiments.engine import RunError, UsageError
from experiments.report import claims, page, runs, scenes
from experiments.report.__main__ import main
from tests.experiments.report import fake

WHOLE = scenes.REDUCTIONS[0]


def test_claims_of_a_results_folder():
    found = claims.parse(fake.CLAIMS)
    assert [claim.kind for claim in found] == ["yes", "part", "no"]
    assert found[0].claim == "A: *coupled* &lt; all"
    assert found[0].verdict == "<strong>reproduced</strong>: 0.9 at <code>step 5</code>"
    assert found[1].claim == "B: a | b"
    assert "[see]" not in found[1].verdict
    assert '<a href="https://example.org/a">source</a>' in found[1].verdict


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("**reproduced**: but for noise 0.3", "yes"),
        ("reproduced", "yes"),
        ("**reproduced in part**", "part"),
        ("**reproduced where the CNN is local**: 2 layers see 5 pixels", "part"),
        ("**close, not on par**", "part"),
        ("**Not reproduced**", "no"),
        ("**the contrary** at this length", "no"),
        ("not tested", "open"),
        ("**not run yet**: a command", "open"),
    ],
)
def test_kinds_of_verdicts(verdict, kind):
    assert claims.kind(verdict) == kind


def test_packing_keeps_phases_to_a_256th_of_a_turn():
    arrays = fake.phases()
    packed = scenes.pack(arrays, WHOLE)
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


def test_packing_of_one_phase_a_place():
    """Steps begin with the start, the first mask is the background's, and amplitudes are not known."""
    arrays = fake.phases()
    background = ~arrays["masks"].any(-1, keepdims=True)
    single = {key: arrays[key] for key in ("images", "set")} | {"phases": arrays["phases"][..., 0]}
    packed = scenes.pack(single | {"masks": np.concatenate([background, arrays["masks"]], -1)}, WHOLE)
    assert packed["steps"] == [0, 1, 2, 3, 4]
    assert (packed["channels"], packed["bright"]) == (1, False)
    np.testing.assert_array_equal(scenes.unpacked(packed["objects"]) & 1 > 0, arrays["masks"][..., 0])
    assert (scenes.unpacked(packed["amplitude"]) == 255).all()


def test_reductions_leave_out_scenes_frames_and_channels():
    packed = scenes.pack(fake.phases(), scenes.Reduction(1, 3, False))
    assert [entry["label"] for entry in packed["scenes"]] == ["test 1: digits 3 and 7", "noise 1: digits 3 and 7"]
    assert packed["steps"] == [1, 3, 5]
    assert packed["phase"]["shape"] == [2, 3, fake.SIZE, fake.SIZE, 1]
    strongest = scenes.unpacked(packed["amplitude"])[..., 0]
    np.testing.assert_array_equal(strongest > 0, fake.phases()["masks"][[0, 2]].any(-1))


def test_packing_of_states():
    arrays = fake.states()
    packed = scenes.pack(arrays, scenes.Reduction(None, 50, True))
    codes, limits = scenes.unpacked(packed["state"]), np.array(packed["limits"])
    assert len(packed["steps"]) == 50
    assert (packed["steps"][0], packed["steps"][-1]) == (1, 120)
    assert limits.shape == (2, 2)
    np.testing.assert_allclose(limits, [[0.5, 4.0]] * 2, rtol=0.02)
    restored = (codes.astype(np.float32) - 128) / 127 * limits[:, None, None, None]
    expected = np.moveaxis(arrays["states"][np.array(packed["steps"]) - 1], 0, 1)
    np.testing.assert_allclose(restored, expected, atol=0.02 * 4)
    without = scenes.pack({key: arrays[key] for key in ("images", "labels", "predictions")}, WHOLE)
    assert (without["kind"], without["steps"], "state" in without) == ("states", [], False)


def test_too_many_groups_are_refused():
    arrays = fake.phases() | {"masks": np.ones((3, fake.SIZE, fake.SIZE, 9), bool)}
    with pytest.raises(ValueError, match="at most 8 groups apart, got 9"):
        scenes.pack(arrays, WHOLE)


def test_what_is_told_of_a_run(tmp_path):
    found = runs.read(fake.write_run(tmp_path / "run"))
    dynamics, training = found["curves"]
    assert dynamics["label"] == "test: accuracy"
    moving, still = dynamics["series"]
    np.testing.assert_allclose(moving["mean"], 0.1 * np.arange(1, 6) + 0.01)
    assert (moving["x"], still["x"]) == ([1, 2, 3, 4, 5], None)
    assert training["series"][0]["x"] == [10, 20]
    np.testing.assert_allclose(training["series"][0]["mean"], [0.6, 0.55])
    np.testing.assert_allclose(training["series"][0]["std"], [np.sqrt(0.5)] * 2, rtol=1e-4)
    (table,) = found["tables"]
    assert table["head"] == ["model", "test"]
    assert [row[0] for row in table["rows"]] == ["coupled, step 1", "coupled, step 2", "coupled, step 5", "still"]
    assert table["rows"][2] == ["coupled, step 5", "0.510 ± 0.014"]
    assert ["wall time", "2 min"] in found["facts"]


def test_a_results_folder_may_hold_claims_alone(tmp_path):
    (tmp_path / "README.md").write_text(fake.CLAIMS)
    found = runs.read(tmp_path)
    assert len(found["claims"]) == 3
    assert found["curves"] == found["tables"] == []
    assert "does not hold" in page.render([found | {"samples": {}}])


def test_chance_of_older_and_newer_summaries():
    assert runs.chance({"chance": {"accuracy": 0.2}}, "test") == {"accuracy": 0.2}
    assert runs.chance({"chance": {"test": {"accuracy": 0.3}}}, "test") == {"accuracy": 0.3}
    assert runs.chance({"chance": {"test": {"accuracy": 0.3}}}, "noise") == {}


def test_the_page_is_one_file_and_escapes_what_it_is_given(tmp_path):
    folder = fake.write_run(tmp_path / "run")
    size = page.write([folder, folder], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert size == len(text.encode()) < page.LIMIT
    assert "<b>tiny" not in text.replace("\\u003c", "")
    assert "fake: &lt;b&gt;tiny&lt;/b&gt;" in text
    assert not re.search(r"(src|href)=[\"'](?!#|data:,|https://example\.org)", text)
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
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'report.html'}: 0.")
    assert main([str(tmp_path / "absent")]) == 2
    assert f"error: no folder {tmp_path / 'absent'}" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nor a table of claims: is it a run"):
        runs.read(tmp_path / "empty")
    (folder / "summary.json").write_text("{")
    assert main([str(folder), "--out", str(tmp_path / "x.html")]) == 1
    assert "summary.json is no JSON" in capsys.readouterr().err
