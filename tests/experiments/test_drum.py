"""Drums vibrate at the frequency of their grid; the command writes figure and tables."""

import json
import math

import numpy as np
import pytest
from matplotlib import image

from experiments import drum


def test_a_drum_rings_as_its_grid_does():
    """An even side, struck in the middle, and an odd one; the longest of them for 40 periods."""
    steps = 12_000
    drums, (frequencies, amplitudes) = drum.measure([13, 16], steps)
    width = 1 / (steps * drum.DT)
    for i, (side, measured) in enumerate(zip([13, 16], drums, strict=True)):
        wave_number = math.sin(math.pi / (2 * side))
        grid = math.asin(drum.DT * drum.SPEED * math.sqrt(2) * wave_number) / (math.pi * drum.DT)
        assert measured.side == side
        assert measured.grid == pytest.approx(grid, rel=1e-12)
        assert measured.theory == pytest.approx(drum.SPEED / (math.sqrt(2) * side), rel=1e-12)
        assert abs(measured.simulated - grid) < 0.01 * width
        assert abs(measured.simulated - measured.theory) > 0.05 * width
        inside = (frequencies > 0.9 * grid) & (frequencies < 1.1 * grid)
        assert amplitudes[inside, i].max() == pytest.approx((2 / side) ** 2, rel=0.08)


def test_drums_side_by_side_do_not_interact():
    alone, together = drum.record([6], 300), drum.record([6, 9], 300)
    np.testing.assert_allclose(together[:, 0], alone[:, 0], atol=1e-6)
    whole = drum.membranes(6, 300)
    assert whole.shape == (300, 5, 5)
    np.testing.assert_allclose(whole[:, 2, 2], alone[:, 0], atol=1e-6)


def test_the_lowest_peak_lies_between_bins():
    time = np.arange(4000) * drum.DT
    tones = sum(0.25 * np.cos(2 * np.pi * f * time) for f in (0.10013, 0.3))
    frequencies, amplitudes = drum.spectrum(tones[:, None])
    assert drum.lowest_peak(frequencies, amplitudes[:, 0], 4) == pytest.approx(0.10013, abs=1e-6)
    assert amplitudes.max() == pytest.approx(0.25, rel=1e-2)


def test_the_command_writes_figure_and_tables(tmp_path, capsys):
    assert drum.main([f"--workdir={tmp_path}", "--steps=4000", "--sizes", "8", "7"]) == 0
    table = json.loads((tmp_path / "drum.json").read_text())
    assert [row["side"] for row in table["drums"]] == [7, 8]
    assert table["error_to_grid"] < 0.05
    assert table["error_to_theory"] == pytest.approx(
        1 - table["drums"][0]["grid"] / table["drums"][0]["theory"], rel=0.01
    )
    text = (tmp_path / "drum.md").read_text()
    assert capsys.readouterr().out == text
    assert f"| 8 | {1e3 * table['drums'][1]['theory']:.4f} |" in text
    assert image.imread(tmp_path / "drum.png").std() > 0.05


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--steps=100", "--steps=100: a drum of 21 pixels needs at least 4757"),
        ("--sizes=2", "expected sides of 3 to 512 pixels, got 2"),
        ("--sizes=a", "invalid int value: 'a'"),
        ("--size=13", "unrecognized arguments: --size=13"),
        ("--workdir=README.md", "--workdir=README.md: File exists"),
        ("--out=x", "unrecognized arguments: --out=x"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(argument, message, capsys):
    assert drum.main([argument]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
