"""oscnets.plotting: states over time, and features."""

import numpy as np
import pytest
from PIL import Image

from oscnets import plotting

STATES = np.linspace(-1, 1, 5 * 2 * 3 * 4).reshape(5, 2, 3, 4)
IMAGES = np.zeros((2, 3, 4, 1))


def pictures(figure):
    figure.canvas.draw()
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_state_sheet_has_one_signed_scale_a_row():
    figure = plotting.state_sheet(IMAGES, STATES, steps=[2, 4, 6, 8, 10], shown=[0, 4])
    first, early, late = pictures(figure)[:3]
    assert (first.get_array() == 0).all()
    np.testing.assert_allclose(early.get_array(), STATES[0, 0], atol=1e-6)
    np.testing.assert_allclose(late.get_array(), STATES[4, 0], atol=1e-6)
    assert early.get_clim() == late.get_clim() and early.get_clim()[0] == -early.get_clim()[1] < 0
    assert [axes.get_title() for axes in figure.axes[:3]] == ["input", "step 2", "step 10"]
    with pytest.raises(ValueError, match="steps must be 5, one per state, got 2"):
        plotting.state_sheet(IMAGES, STATES, steps=[1, 2])


def test_state_animation_shows_every_moment(tmp_path):
    animation = plotting.state_animation(IMAGES, STATES, title="u")
    assert animation.num_frames == 5
    animation.show(3)
    np.testing.assert_allclose(pictures(animation.figure)[3].get_array(), STATES[3, 1], atol=1e-6)
    assert animation.figure.get_suptitle() == "u, step 4 of 5"
    plotting.save_animation(animation, tmp_path / "animation.gif", hold=1)
    with Image.open(tmp_path / "animation.gif") as gif:
        assert gif.n_frames == 5


def test_feature_sheet_spreads_over_the_bins():
    features = np.zeros((3, 4, 11))
    features[..., 10] = -2.0
    drawn = pictures(plotting.feature_sheet(features, columns=2, most=3))
    assert len(drawn) == 3
    assert drawn[2].get_clim() == (-2.0, 2.0) and (drawn[2].get_array() == -2).all()
    assert drawn[0].get_clim() == (-1.0, 1.0)  # nothing to scale by
    with pytest.raises(ValueError, match="features must have 3 axes"):
        plotting.feature_sheet(features[0])
