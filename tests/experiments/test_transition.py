"""The figure of the synchronization transition, small."""

import numpy as np

from experiments import transition


def test_order_rises_with_the_coupling(tmp_path):
    options = {"units": 50, "num_steps": 400, "seeds": 2}
    weak, strong = (transition.order(strength, **options) for strength in (0.5, 6.0))
    assert weak.shape == (2,)
    assert weak.mean() < 0.4
    np.testing.assert_allclose(strong.mean(), np.sqrt(1 - 2 / 6), atol=0.15)


def test_the_figure_is_written(tmp_path):
    transition.main([f"--figure={tmp_path}/r.png", "--units=10", "--steps=20", "--seeds=1"])
    assert (tmp_path / "r.png").stat().st_size > 1000
