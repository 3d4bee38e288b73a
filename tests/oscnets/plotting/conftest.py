"""A scene whose pictures are known."""

import numpy as np
import pytest


@pytest.fixture
def scene():
    """Two squares of opposite phase on a silent ground: phases, amplitude (H, W, C), masks (H, W, G)."""
    masks = np.zeros((12, 12, 2), bool)
    masks[1:5, 1:5, 0] = masks[7:11, 7:11, 1] = True
    phases = np.where(masks[:, :, 1:], np.pi + 0.5, 0.5) * np.ones(3)
    amplitude = masks.any(-1)[:, :, None] * np.array([1.0, 0.25, 0.0])
    return phases, amplitude, masks
