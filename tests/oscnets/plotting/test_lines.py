"""oscnets.plotting: curves of known numbers."""

import numpy as np
import pytest

from oscnets import plotting


def test_curves_show_mean_band_and_models_without_time():
    values = {
        "moving": np.array([[0.1, 0.2, 0.4], [0.3, 0.4, 0.6]]),
        "still": np.array([0.5, 0.7]),
        "unmeasured": np.full((2, 3), np.nan),
    }
    axes = plotting.curves(values, ylabel="accuracy (share)", chance=0.2).axes[0]
    moving, still, chance = axes.lines
    np.testing.assert_array_equal(moving.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(moving.get_ydata(), [0.2, 0.3, 0.5])
    np.testing.assert_allclose(still.get_ydata(), 0.6)
    np.testing.assert_allclose(chance.get_ydata(), 0.2)
    band = axes.collections[0].get_paths()[0].vertices
    assert np.isclose(band[:, 1].min(), 0.2 - np.sqrt(0.02))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["moving", "still", "chance"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step of the dynamics", "accuracy (share)")


def test_curve_row_shares_one_legend_in_the_models_order():
    panels = [
        {"values": {"b": np.ones((1, 4))}},
        {"values": {"a": np.ones((1, 1)), "b": np.ones((2, 4))}, "chance": 0.1},
    ]
    figure = plotting.curve_row(panels, models=["a", "b", "never run"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "chance"]
    first, second = ([line.get_color() for line in axes.lines] for axes in figure.axes)
    assert first == [plotting.MODEL_COLOURS[1]]
    assert second[:2] == [plotting.MODEL_COLOURS[0], plotting.MODEL_COLOURS[1]]


def test_one_point_of_a_learning_curve_is_drawn_where_it_lies():
    axes = plotting.curves({"a": np.array([[0.5]])}, positions={"a": [250]}, across=False).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[250.0, 0.5]]
    assert axes.lines[0].get_marker() == "o"


def test_curve_grid_has_guides_and_empty_places():
    rows = [
        [{"values": {"a": np.ones((1, 4))}, "marks": {"steps in training": 3}, "zero": True}, None],
        [None, {"values": {"b": np.ones((2, 3))}, "positions": {"b": [2, 3, 5]}, "chance": ([2, 5], [0.2, 0.5])}],
    ]
    figure = plotting.curve_grid(rows, models=["a", "b"])
    first, nothing, no_more, last = figure.axes
    assert not nothing.axison and not no_more.axison
    line, mark, zero = first.lines
    assert mark.get_xdata() == [3, 3]
    assert zero.get_ydata() == [0, 0]
    line, chance = last.lines
    assert line.get_xdata().tolist() == [2, 3, 5]
    assert chance.get_xydata().tolist() == [[2, 0.2], [5, 0.5]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "steps in training", "chance"]


def test_curve_grid_refuses_ragged_rows():
    with pytest.raises(ValueError, match=r"rows must be of one length, got \[1, 2\]"):
        plotting.curve_grid([[None], [None, None]], models=[])
