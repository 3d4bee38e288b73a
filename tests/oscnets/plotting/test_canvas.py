"""oscnets.plotting: files are written whole or not at all, in the format that their ending names."""

import os

import numpy as np
import pytest
from PIL import Image

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


@pytest.fixture(scope="module")
def figure():
    return plotting.curves({"a": np.array([[0.1, 0.2]])})


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.png", b"\x89PNG"),
        ("a.PNG", b"\x89PNG"),
        ("a b.pdf", b"%PDF"),
        ("a.svg", b"<?xml"),
        ("a.jpg", b"\xff\xd8\xff"),
    ],
)
def test_the_ending_names_the_format(name, start, figure, tmp_path):
    for place in (tmp_path / name, str(tmp_path / name)):
        plotting.save(figure, place, dpi=40)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.mp4", "a.txt", "png"])
def test_another_ending_is_refused_with_those_that_are_accepted(name, figure, tmp_path):
    with pytest.raises(ValueError, match=rf"{name} must end in one of .*\.pdf, .*\.png, .*\.svg"):
        plotting.save(figure, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder(figure, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    plotting.save(figure, "~/a.png", dpi=40)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
