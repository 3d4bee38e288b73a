"""Compiled programs are kept in the user's folder, unless another one is named or there is none."""

import jax
import pytest

from experiments.engine.process import programs

OPTIONS = ("jax_compilation_cache_dir", "jax_compilation_cache_max_size")


@pytest.fixture(autouse=True)
def options():
    """JAX's options as they are by default, and afterwards as they were."""
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    for name, value in zip(OPTIONS, (None, -1), strict=True):
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setattr(programs.platformdirs, "user_cache_path", lambda *_, **__: tmp_path)
    return tmp_path


def test_the_folder_is_the_users_and_the_processors(home, monkeypatch):
    programs.keep()
    here = programs.folder()
    assert here.parent == home / "programs"
    assert [getattr(jax.config, name) for name in OPTIONS] == [str(here), programs.LIMIT]
    (home / "cpuinfo").write_text("model name : another\nflags : fpu\n")
    monkeypatch.setattr(programs, "_INFO", home / "cpuinfo")
    assert programs.folder().parent == here.parent
    assert programs.folder() != here


@pytest.mark.usefixtures("home")
def test_a_folder_that_was_named_stays():
    jax.config.update(OPTIONS[0], "elsewhere")
    programs.keep()
    assert [getattr(jax.config, name) for name in OPTIONS] == ["elsewhere", -1]


def test_without_a_home_nothing_is_kept(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no home")

    monkeypatch.setattr(programs.platformdirs, "user_cache_path", fail)
    programs.keep()
    assert [getattr(jax.config, name) for name in OPTIONS] == [None, -1]
