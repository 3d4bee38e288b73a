"""oscnets.plotting: kernels of known weights."""

import numpy as np
import pytest

from oscnets import plotting


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


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


def test_weight_change_has_channels_down_and_units_across():
    before = np.full((5, 3), 1e-6)
    after = before.copy()
    after[4, 1] = -0.5
    figure = plotting.weight_change(before, after, sending="class")
    drawn = [axes.images[0] for axes in figure.axes if axes.get_title()]
    assert [image.get_array().shape for image in drawn] == [(3, 5)] * 3
    assert drawn[1].get_array()[1, 4] == -0.5
    assert [image.get_clim() for image in drawn[:2]] == [(-0.5, 0.5)] * 2
    assert drawn[2].get_clim() == pytest.approx((-0.500001, 0.500001))
    last = next(axes for axes in figure.axes if axes.get_title() == "change")
    assert last.get_xlabel() == "class"
    with pytest.raises(ValueError, match=r"before must have 2 axes, got shape \(5, 3, 1\)"):
        plotting.weight_change(before[..., None], after)
