"""oscnets.plotting: animations of phases that are known at every step."""

import itertools
import sys

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


@pytest.mark.parametrize("name", ["a.png", "a.webm", "a"])
def test_another_ending_is_refused_with_those_that_are_accepted(name, animation, tmp_path):
    with pytest.raises(ValueError, match=rf"{name} must end in one of \.gif, \.mp4$"):
        plotting.save_animation(animation, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_film_without_ffmpeg_is_refused(animation, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"a\.mp4: \.mp4 needs the program ffmpeg, .*\.gif does not"):
        plotting.save_animation(animation, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """In place of ffmpeg: a program that copies its input to the file named last."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_a_film_is_made_by_ffmpeg_frame_by_frame(animation, tmp_path, ffmpeg):
    plotting.save_animation(animation, tmp_path / "a.mp4", hold=2, dpi=40)
    width, height = (int(side // 2 * 2) for side in animation.figure.get_size_inches() * 40 + 1e-6)
    assert (tmp_path / "a.mp4").stat().st_size == 4 * width * height * 4


def test_a_film_that_breaks_off_leaves_nothing(animation, tmp_path, ffmpeg):
    def torn(frame):
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        plotting.save_animation(animation._replace(show=torn), tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_phase_animation_refuses(scene):
    phases, amplitude, masks = (array[None] for array in scene)
    with pytest.raises(ValueError, match="scenes differ in number: 1, 1, 1, 1, 2"):
        plotting.phase_animation(masks[..., 0], masks, phases[:, None], amplitude, names=["a", "b"])
