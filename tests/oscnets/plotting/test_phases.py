"""oscnets.plotting: phase maps and circles of phases that are known."""

import numpy as np
import pytest
from matplotlib.image import imread

from oscnets import plotting


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def test_phase_map_shows_every_channel_and_the_wheel(scene):
    phases, amplitude, _ = scene
    figure = plotting.phase_map(phases, amplitude, title="after 15 steps", columns=2)
    *channels, wheel = figure.axes
    assert [axes.get_title() for axes in channels] == ["channel 1", "channel 2", "channel 3"]
    shown = np.asarray(channels[0].images[0].get_array())
    np.testing.assert_allclose(shown[2, 2], plotting.phase_colours(0.5))
    np.testing.assert_allclose(shown[8, 8], plotting.phase_colours(0.5 + np.pi))
    assert not shown[0, 0].any()
    assert not np.asarray(channels[2].images[0].get_array()).any()
    assert len(wheel.patches) == 180
    assert np.ptp(pixels(figure)) == 255


def test_phase_map_refuses_a_batch():
    with pytest.raises(ValueError, match=r"phases must have 3 axes, got shape \(1, 4, 4, 2\)"):
        plotting.phase_map(np.zeros((1, 4, 4, 2)), np.zeros((4, 4, 2)))


def test_polar_arrows_are_the_order_parameters_of_active_units(scene):
    phases, amplitude, masks = scene
    phases = phases.copy()
    phases[:, :, 2] = 2.0  # silent, so that it must not count
    phases[7:11, 7:11, 0] += 0.6  # half of the second group's active units, the other half the other way
    phases[7:11, 7:11, 1] -= 0.6
    axes = plotting.polar_phases(phases, amplitude, masks).axes[0]
    first, second = axes.texts
    np.testing.assert_allclose(first.xy, [0.5, 1.0])
    np.testing.assert_allclose(second.xy, [0.5 - np.pi, np.cos(0.6)], rtol=1e-6)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["r = 1.00", "r = 0.83"]
    assert [len(dots.get_offsets()) for dots in axes.collections] == [32, 32]


def test_three_lengths_take_no_more_room_than_two(scene):
    phases, amplitude, masks = scene
    axes = plotting.polar_phases(phases, amplitude, np.concatenate([masks, masks[..., :1]], axis=-1)).axes[0]
    first, *others = (text.get_text() for text in axes.get_legend().get_texts())
    assert first.startswith("r = ") and len(others) == 2 and all(0 <= float(text) <= 1 for text in others)


def test_polar_plot_of_an_empty_group_and_of_silence(scene):
    phases, amplitude, masks = scene
    masks = np.stack([masks[..., 0], np.zeros_like(masks[..., 0])], axis=-1)
    assert len(plotting.polar_phases(phases, amplitude, masks).axes[0].texts) == 1
    silent = plotting.polar_phases(phases, 0 * amplitude, masks).axes[0]
    assert silent.get_legend() is None
    with pytest.raises(ValueError, match="differ in height or width"):
        plotting.polar_phases(phases, amplitude, masks[:6])


def test_scene_sheet_has_a_row_a_scene(scene, tmp_path):
    phases, amplitude, masks = scene
    random = np.random.default_rng(0).uniform(-np.pi, np.pi, (2, 1, *phases.shape))
    over_time = np.concatenate([random, np.broadcast_to(phases, (2, 8, *phases.shape))], axis=1)
    images = np.stack([masks.any(-1, keepdims=True) * 0.8] * 2)
    figure = plotting.scene_sheet(images, np.stack([masks] * 2), over_time, np.stack([amplitude] * 2), title="apart")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    steps = ["phase, step 1", "phase, step 4", "phase, step 9"]
    assert titles == ["input", "objects", *steps, "circle, step 1", "circle, step 9"]
    assert len(figure.axes) == 2 * 7 + 2
    last = np.asarray(figure.axes[4].images[0].get_array())
    np.testing.assert_allclose(last[2, 2], plotting.phase_colours(0.5))
    plotting.save(figure, tmp_path / "sheet.png")
    assert imread(tmp_path / "sheet.png").std() > 0.05


def test_scene_sheet_refuses(scene):
    phases, amplitude, masks = (array[None] for array in scene)
    with pytest.raises(ValueError, match=r"steps must lie in 1 to 1, got \[0, 2\]"):
        plotting.scene_sheet(masks[..., 0], masks, phases[:, None], amplitude, steps=[0, 2])
    with pytest.raises(ValueError, match="differ in number: 1, 1, 1, 0"):
        plotting.scene_sheet(masks[..., 0], masks, phases[:, None], amplitude[:0])
