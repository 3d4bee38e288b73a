"""oscnets.plotting: layers whose phases are known."""

import numpy as np
import pytest

from oscnets import plotting


@pytest.fixture
def layers(scene):
    """The scene, seen at half its size by a layer of two channels; hidden units and four classes."""
    phases, amplitude, masks = scene
    strength = masks[::2, ::2].any(-1)[:, :, None] * np.array([1.0, 0.5])
    l2 = strength * np.exp(1j * phases[::2, ::2, :2])
    l2[0, 0] = 0.1j  # below no digit
    l3 = 2.0 * np.exp(1j * np.array([0.5, 0.5 + np.pi, 0.5]))
    l4 = np.array([4.0, 2.0, 0.0, 1.0]) * np.exp(1j * np.array([0.5, 0.5 + np.pi, 0, 1.0]))
    return {"phases": phases, "amplitude": amplitude, "l2": l2, "l3": l3, "l4": l4}


def test_units_lie_at_their_phase_and_relative_magnitude_in_the_colour_below(scene, layers):
    axes = plotting.polar_layer(layers["l2"], masks=scene[2]).axes[0]
    nowhere, first, second = (np.asarray(dots.get_offsets()) for dots in axes.collections)
    np.testing.assert_allclose(nowhere, [[np.pi / 2, 0.1]] * 2)
    for dots, angle in ((first, 0.5), (second, 0.5 - np.pi)):
        assert len(dots) == 2 * 2 * 2
        np.testing.assert_allclose(dots[:, 0], angle)
        assert sorted(dots[:, 1]) == pytest.approx([0.5] * 4 + [1.0] * 4)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["r = 1.00", "r = 1.00"]


def test_the_mean_is_weighted_by_magnitude():
    z = np.array([[[3.0, -1.0]]]) + 0j
    axes = plotting.polar_layer(z, masks=np.ones((2, 2, 1))).axes[0]
    np.testing.assert_allclose(axes.texts[0].xy, [0.0, 0.5], atol=1e-12)


def test_classes_are_numbers_and_the_true_ones_bold(layers):
    axes = plotting.polar_layer(layers["l4"], classes=np.array([0, 1, 1, 0])).axes[0]
    assert {text.get_text(): text.get_weight() for text in axes.texts} == {"0": "normal", "3": "normal", "1": "bold"}
    places = {text.get_text(): text.get_position() for text in axes.texts}
    np.testing.assert_allclose(places["1"], [0.5 - np.pi, 0.5])
    np.testing.assert_allclose(places["0"], [0.5, 1.0])


def test_units_without_places_are_shown_without_a_mean(layers):
    axes = plotting.polar_layer(layers["l3"]).axes[0]
    (dots,) = axes.collections
    np.testing.assert_allclose(dots.get_offsets(), [[0.5, 1.0], [0.5 - np.pi, 1.0], [0.5, 1.0]])
    assert not axes.texts


def test_a_silent_layer_is_an_empty_circle():
    axes = plotting.polar_layer(np.zeros(5, complex)).axes[0]
    assert [len(dots.get_offsets()) for dots in axes.collections] == [0]
    assert axes.get_legend() is None


def test_polar_layer_refuses():
    with pytest.raises(ValueError, match=r"masks \(5, 4, 1\) must be a multiple of the layer \(2, 2, 3\)"):
        plotting.polar_layer(np.ones((2, 2, 3)), masks=np.ones((5, 4, 1)))
    with pytest.raises(ValueError, match=r"one shape, got \(3,\) and \(4,\)"):
        plotting.polar_layer(np.ones(3), classes=np.ones(4))


def test_layer_sheet_has_a_row_a_model(scene, layers):
    turned = {**layers, "phases": layers["phases"] + 1.0}
    figure = plotting.layer_sheet(
        scene[2].any(-1) * 1.0, scene[2], {"first": layers, "turned": turned}, classes=np.array([1, 1, 0, 0])
    )
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["input", "objects", "layer 1", "layer 1", "l2", "l2", "l3", "l4"]
    rows = figure.axes[3:9], figure.axes[9:15]
    assert [row[0].get_ylabel() for row in rows] == ["first", "turned"]
    for row, angle in zip(rows, (0.5, 1.5), strict=True):
        np.testing.assert_allclose(row[0].images[0].get_array()[2, 2], plotting.phase_colours(angle))
        np.testing.assert_allclose(row[1].texts[0].xy, [angle, 1.0])
        np.testing.assert_allclose(row[2].images[0].get_array()[1, 1], plotting.phase_colours(0.5))
    assert {text.get_text() for text in rows[0][5].texts} == {"0", "1", "3"}
