"""oscnets.plotting: the colours of phases, digits and models."""

import colorsys

import numpy as np
import pytest

from oscnets import plotting


def test_phase_colours_are_a_cycle_of_hues():
    phases = np.linspace(-np.pi, np.pi, 181)
    colours = plotting.phase_colours(phases)
    assert colours.min() >= 0
    assert colours.max() <= 1
    np.testing.assert_allclose(plotting.phase_colours(phases + 6 * np.pi), colours, atol=1e-9)
    hues = np.unwrap([colorsys.rgb_to_hsv(*colour)[0] for colour in colours], period=1.0)
    assert (np.diff(hues) > 0).all()
    assert hues[-1] - hues[0] == pytest.approx(1.0)


def test_known_phases_have_known_colours_and_opposite_ones_are_far_apart():
    red, green, cyan, blue = plotting.phase_colours(np.array([0.0, 2.0, np.pi, -1.9]))
    assert red.argmax() == 0
    assert green.argmax() == 1
    assert cyan.argmin() == 0
    assert blue.argmax() == 2
    phases = np.linspace(0, np.pi, 50)
    apart = np.linalg.norm(plotting.phase_colours(phases) - plotting.phase_colours(phases + np.pi), axis=-1)
    assert apart.min() > 0.5


def test_phase_image_is_black_where_silent_and_brighter_with_amplitude():
    amplitude = np.array([0.0, 0.25, 1.0, 1.0])
    picture = plotting.phase_image(np.full(4, 0.7), amplitude)
    np.testing.assert_array_equal(picture[0], 0.0)
    np.testing.assert_allclose(picture[1], 0.5 * picture[2])
    np.testing.assert_allclose(picture[2], plotting.phase_colours(0.7))
    np.testing.assert_array_equal(plotting.phase_image(np.ones((2, 2)), np.zeros((2, 2))), 0.0)
    np.testing.assert_array_equal(plotting.phase_image(np.array([np.nan, 0.7, 0.7, 0.7]), amplitude), picture)


def test_phase_image_refuses():
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        plotting.phase_image(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="amplitude must be >= 0, got -1"):
        plotting.phase_image(np.zeros(2), np.array([0.0, -1.0]))


def test_strongest_channel():
    phases, amplitude = np.array([[[1.0, 2.0, 3.0]]]), np.array([[[0.1, 0.9, 0.3]]])
    phase, strength = plotting.strongest_channel(phases, amplitude)
    assert (phase.item(), strength.item()) == (2.0, 0.9)


def test_model_styles_are_told_apart_and_keep_to_the_place():
    names = [f"model {i}" for i in range(20)]
    styles = plotting.model_styles(names)
    assert len({tuple(style.values()) for style in styles.values()}) == 20
    assert plotting.model_styles(names[:3]) == {name: styles[name] for name in names[:3]}
