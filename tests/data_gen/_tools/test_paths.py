"""Paths as they are typed, and users without a home, in whose place nothing is made and who need none."""

import pwd
from pathlib import Path

import pytest

from data_gen import sources
from data_gen._tools import cache, paths
from tests.data_gen.test_sources import Downloadable, write_tfds


@pytest.fixture
def homeless(monkeypatch):
    """A user whom the system does not know, as in a container that is started with any number."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("mode", [0o755, 0o555])
def test_a_user_without_a_home_reads_a_set(mode, tmp_path, homeless):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    folder.chmod(mode)
    assert cache.user_folder() is None
    for _ in range(2):
        assert len(sources.load("mnist", "test", data_dir=tmp_path).labels) == 3


def test_folders_that_need_a_home_are_named(tmp_path, homeless, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sources.MissingDatasetError, match=r"~/sets, and ~/sets: there is no home folder ~\."):
        sources.load("mnist", "test", data_dir="~/sets")
    unknown = Downloadable(Path("~"))
    monkeypatch.setattr(sources, "_builder", lambda *_: unknown)  # what TFDS makes of its default folder
    with pytest.raises(sources.MissingDatasetError, match=r"found in ~/mnist/3\.0\.1, and there is no home folder ~\."):
        sources.load("mnist", "test")
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    write_tfds(tmp_path / "sets", "mnist", {"train": 3, "test": 3})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(sources.load("mnist", "test", data_dir="~/sets").labels) == 3


def test_a_path_as_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.user_path("~/a b/c") == tmp_path / "a b" / "c"
    assert paths.user_path("a/~") == Path("a/~")
    with pytest.raises(RuntimeError, match=r"^~nobody_at_all/x: there is no home folder ~nobody_at_all$"):
        paths.user_path("~nobody_at_all/x")
