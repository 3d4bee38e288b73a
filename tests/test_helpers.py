"""Which golden files the tests read."""

import pytest

from tests.helpers import golden_files

OWN = "komplexnet.npz"


def test_files_of_the_named_folder_stand_for_those_of_the_suite(tmp_path, monkeypatch):
    monkeypatch.delenv("OSCNETS_GOLDEN", raising=False)
    (own,) = golden_files(OWN)
    monkeypatch.setenv("OSCNETS_GOLDEN", "")
    assert golden_files(OWN) == [own]
    (tmp_path / "cornn.npz").touch()
    monkeypatch.setenv("OSCNETS_GOLDEN", str(tmp_path))
    assert golden_files("cornn*.npz") == [tmp_path / "cornn.npz"]
    assert golden_files(OWN) == [own]


@pytest.mark.parametrize("name", ["missing", "empty", "file.npz"])
def test_a_folder_without_golden_files_is_refused(name, tmp_path, monkeypatch):
    """Otherwise numbers of the suite would pass for those of the folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.npz").touch()
    monkeypatch.setenv("OSCNETS_GOLDEN", str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match=rf"OSCNETS_GOLDEN=.*{name} is no folder of .npz files"):
        golden_files(OWN)
