"""The pictures of given samples."""

import json

import numpy as np
import pytest

from experiments.gaspnet import figures
from oscnets import plotting


@pytest.mark.parametrize(("masks", "first_step"), [("background+objects", 0), ("objects", 1)])
def test_pictures_are_of_what_the_samples_say(tmp_path, monkeypatch, masks, first_step):
    """The step before the first and the mask of the background are left out, where there are any."""
    drawn = {}
    monkeypatch.setattr(plotting, "save", lambda figure, path: drawn.update({path.name: figure}))
    monkeypatch.setattr(plotting, "save_animation", lambda animation, path: drawn.update({path.name: animation}))
    objects = np.zeros((3, 4, 4, 2), bool)
    objects[:, :2, :2, 0] = objects[:, 2:, 2:, 1] = True
    background = ~objects.any(-1, keepdims=True)
    arrays = {
        "images": objects.any(-1)[..., None].astype(np.float32),
        "masks": np.concatenate([background, objects], -1) if masks == "background+objects" else objects,
        "phases": np.zeros((3, 4 - first_step, 4, 4), np.float16),
        "set": np.array(["test", "test", "gaussian0.1"]),
        "meaning": np.array(json.dumps({"masks": masks, "phases": "nthw", "first_step": first_step})),
    }
    figures.draw_samples(tmp_path, "gaspnet", arrays)
    assert set(drawn) == {"phases_gaspnet_test.png", "phases_gaspnet_gaussian0.1.png", "animation_gaspnet.gif"}
    animation = drawn["animation_gaspnet.gif"]
    assert animation.num_frames == 3
    assert [axes.get_title() for axes in animation.figure.axes if axes.get_title()][:1] == ["test"]
    pictures = [axes.images[0].get_array() for axes in animation.figure.axes if axes.images]
    colours = {tuple(colour) for colour in np.asarray(pictures[1])[..., :3].reshape(-1, 3)}
    assert len(colours) == 3  # of two objects, and of no object


def test_models_without_phases_have_no_pictures(tmp_path):
    figures.draw_samples(tmp_path, "baseline", {})
    assert not list(tmp_path.iterdir())
