"""oscnets.plotting: animations of phases that are known at every step."""

import itertools

import numpy as np
import pytest
from PIL import Image

from oscnets import plotting


@pytest.fixture
def animation(scene):
    """Two scenes of three steps, a third of a turn each."""
    phases, amplitude, masks = scene
    turning = np.stack([phases + 2 * np.pi / 3 * step for step in range(3)])
    both = [np.stack([array] * 2) for array in (masks.any(-1) * 0.5, masks, turning, amplitude)]
    return plotting.phase_animation(*both, names=["test", "noise"], title="komplexnet")


def test_frames_show_the_phases_of_their_step(animation):
    assert animation.num_frames == 3
    maps = [axes.images[0] for axes in animation.figure.axes[2:7:4]]
    for step in (2, 0, 1):
        animation.show(step)
        expected = plotting.phase_colours(0.5 + 2 * np.pi / 3 * step)
        for picture in maps:
            np.testing.assert_allclose(picture.get_array()[2, 2], expected)
            assert not picture.get_array()[0, 0].any()
        assert animation.figure.get_suptitle() == f"komplexnet, step {step + 1} of 3"
        circle = animation.figure.axes[3]
        assert len(circle.collections) == 2  # the dots of this step, not of those before
        np.testing.assert_allclose(circle.texts[0].xy[0], np.angle(np.exp(1j * (0.5 + 2 * np.pi / 3 * step))))
    assert [animation.figure.axes[i].get_title() for i in (0, 4)] == ["test", "noise"]


def test_the_file_holds_every_frame_and_stays_at_the_last(animation, tmp_path):
    plotting.save_animation(animation, tmp_path / "animation.gif", fps=5, hold=4, dpi=40)
    assert [path.name for path in tmp_path.iterdir()] == ["animation.gif"]
    with Image.open(tmp_path / "animation.gif") as stored:
        assert stored.info["loop"] == 0
        durations, frames = [], []
        for number in range(stored.n_frames):
            stored.seek(number)
            durations.append(stored.info["duration"])
            frames.append(np.asarray(stored.convert("RGB"), np.int64))
    assert sum(durations) == 200 * (2 + 4)
    assert durations[:2] == [200, 200]
    assert all(np.abs(first - second).max() > 50 for first, second in itertools.pairwise(frames[:3]))


def test_an_animation_that_breaks_off_leaves_nothing(animation, tmp_path):
    def torn(frame):
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        plotting.save_animation(animation._replace(show=torn), tmp_path / "animation.gif")
    assert not list(tmp_path.iterdir())


def test_phase_animation_refuses(scene):
    phases, amplitude, masks = (array[None] for array in scene)
    with pytest.raises(ValueError, match="scenes differ in number: 1, 1, 1, 1, 2"):
        plotting.phase_animation(masks[..., 0], masks, phases[:, None], amplitude, names=["a", "b"])
