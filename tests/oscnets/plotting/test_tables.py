"""oscnets.plotting: tables of known scores."""

import numpy as np
import pytest

from oscnets import plotting


def test_score_tables_say_mean_and_spread_on_one_scale():
    values = {
        "kept": np.array([[[0.8, 0.6], [0.7, np.nan]], [[0.9, 0.6], [0.7, np.nan]]]),
        "lost": np.array([[[0.8, 0.2], [0.3, 0.6]]]),
    }
    figure = plotting.score_tables(values, rows=[2, 3], columns=[2, 3], ylabel="training", xlabel="test", label="share")
    kept, lost, _ = figure.axes
    assert [text.get_text() for text in kept.texts] == ["0.850\n± 0.071", "0.600\n± 0.000", "0.700\n± 0.000"]
    assert [text.get_text() for text in lost.texts] == ["0.800", "0.200", "0.300", "0.600"]
    assert kept.texts[1].get_position() == (1, 0)  # second column, first row
    assert kept.images[0].get_clim() == lost.images[0].get_clim() == pytest.approx((0.2, 0.85))
    assert (kept.get_ylabel(), lost.get_ylabel(), lost.get_xlabel()) == ("training", "", "test")
    assert kept.texts[0].get_color() == "white"
    assert lost.texts[1].get_color() == "black"


def test_score_tables_refuse_another_size():
    with pytest.raises(ValueError, match=r"a must have 1 rows and 2 columns, got \(2, 1\)"):
        plotting.score_tables({"a": np.ones((3, 2, 1))}, rows=[2], columns=[2, 3])
