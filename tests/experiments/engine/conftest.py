"""Compiled programs are shared by all tests of the engine, and by the processes that they start."""

import pytest

from tests.experiments.engine import toy


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory):
    """The folder of the compiled programs."""
    cache = tmp_path_factory.mktemp("programs")
    toy.keep_programs(cache)
    yield cache
    toy.keep_programs(None)


@pytest.fixture(autouse=True)
def at_the_root(request, monkeypatch):
    """Config files are given by their path from the root of the repository."""
    monkeypatch.chdir(request.config.rootpath)
