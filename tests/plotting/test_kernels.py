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
