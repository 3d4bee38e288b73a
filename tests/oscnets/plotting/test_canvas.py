"""oscnets.plotting: files are written whole or not at all."""

import os

import numpy as np
import pytest

from oscnets import plotting


def test_save_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    figure = plotting.curves({"a": np.array([[0.1, 0.2]])})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    plotting.save(figure, tmp_path / "a.png")
    good = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        plotting.save(figure, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == good
