"""oscnets.plotting: what the pictures show, on phases and curves whose picture is known."""

import colorsys

import numpy as np
import pytest
from matplotlib.image import imread

from oscnets import plotting


@pytest.fixture
def scene():
    """Two squares of opposite phase on a silent ground: phases, amplitude (H, W, C), masks (H, W, G)."""
    masks = np.zeros((12, 12, 2), bool)
    masks[1:5, 1:5, 0] = masks[7:11, 7:11, 1] = True
    phases = np.where(masks[:, :, 1:], np.pi + 0.5, 0.5) * np.ones(3)
    amplitude = masks.any(-1)[:, :, None] * np.array([1.0, 0.25, 0.0])
    return phases, amplitude, masks


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


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


def test_phase_image_refuses():
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(3,\)"):
        plotting.phase_image(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="amplitude must be >= 0, got -1"):
        plotting.phase_image(np.zeros(2), np.array([0.0, -1.0]))


def test_strongest_channel():
    phases, amplitude = np.array([[[1.0, 2.0, 3.0]]]), np.array([[[0.1, 0.9, 0.3]]])
    phase, strength = plotting.strongest_channel(phases, amplitude)
    assert (phase.item(), strength.item()) == (2.0, 0.9)


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
    assert titles == ["input", "digits", *steps, "circle, step 1", "circle, step 9"]
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


def test_model_styles_are_told_apart_and_keep_to_the_place():
    names = [f"model {i}" for i in range(20)]
    styles = plotting.model_styles(names)
    assert len({tuple(style.values()) for style in styles.values()}) == 20
    assert plotting.model_styles(names[:3]) == {name: styles[name] for name in names[:3]}


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


def test_kernel_change_has_shared_symmetric_scales():
    before = np.full((3, 3, 2, 4), 0.5)
    after = before.copy()
    after[1, 1, 1, 3] = -2.0
    figure = plotting.kernel_change(before, after)
    drawn = [axes.images[0] for axes in figure.axes if axes.get_title()]
    limits = [image.get_clim() for image in drawn]
    assert limits[3:] == [(-2.0, 2.0), (-2.0, 2.0), (-2.5, 2.5)]
    assert limits[0] == limits[1]
    mosaic = np.ma.filled(drawn[4].get_array(), np.nan)
    assert mosaic.shape == (4 * 4 - 1, 2 * 4 - 1)
    assert mosaic[3 * 4 + 1, 4 + 1] == -2.0  # receiving channel 3 down, sending channel 1 across
    assert np.isnan(mosaic[3]).all()


def test_kernel_change_of_zeros_and_of_unequal_shapes():
    zeros = np.zeros((3, 3, 1, 1))
    assert np.ptp(pixels(plotting.kernel_change(zeros, zeros))) > 0
    with pytest.raises(ValueError, match=r"one shape, got \(3, 3, 1, 1\) and \(5, 5, 1, 1\)"):
        plotting.kernel_change(zeros, np.zeros((5, 5, 1, 1)))


def test_save_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    figure = plotting.curves({"a": np.array([[0.1, 0.2]])})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    plotting.save(figure, tmp_path / "a.png")
    good = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(plotting.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        plotting.save(figure, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == good
