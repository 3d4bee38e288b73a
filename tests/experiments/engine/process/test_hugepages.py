"""A command starts itself again with huge pages where they are to be had, and once only."""

import os
import subprocess
import sys

import pytest

from experiments.engine.process import hugepages

TUNABLE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


@pytest.mark.parametrize(
    ("libc", "pages", "chosen", "expected"),
    [
        (("glibc", "2.35"), "always [madvise] never", None, TUNABLE),
        (("glibc", "2.39.1"), "always [madvise] never", None, TUNABLE),
        (("glibc", "2.34"), "always [madvise] never", None, {}),
        (("", ""), "always [madvise] never", None, {}),
        (("glibc", "2.36"), "[always] madvise never", None, {}),
        (("glibc", "2.36"), None, None, {}),
        (("glibc", "2.36"), "always [madvise] never", "glibc.malloc.perturb=1", {}),
    ],
)
def test_where_they_are_to_be_had(libc, pages, chosen, expected, tmp_path, monkeypatch):
    if pages is not None:
        (tmp_path / "enabled").write_text(pages)
    monkeypatch.setattr(hugepages, "_ENABLED", tmp_path / "enabled")
    monkeypatch.setattr(hugepages.platform, "libc_ver", lambda: libc)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if chosen:
        monkeypatch.setenv("GLIBC_TUNABLES", chosen)
    assert hugepages.environment() == expected


def test_a_process_that_cannot_be_started_again_goes_on(monkeypatch):
    def refuse(*_):
        raise FileNotFoundError

    monkeypatch.setattr(hugepages, "environment", lambda: {"GLIBC_TUNABLES": "x"})
    monkeypatch.setattr(hugepages.os, "execve", refuse)
    hugepages.restart()


PROGRAM = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("hugepages", "experiments/engine/process/hugepages.py")
hugepages = importlib.util.module_from_spec(spec)  # without the rest of the engine, which takes seconds to import
spec.loader.exec_module(hugepages)
hugepages.environment = lambda: {} if "GLIBC_TUNABLES" in os.environ else {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
print("started")
hugepages.restart()
print(os.environ["GLIBC_TUNABLES"], sys.argv[1:], os.getpid())
"""


def test_the_same_command_in_the_same_process(request):
    environment = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    command = [sys.executable, "-c", PROGRAM, "--workdir=a b", "x"]
    process = subprocess.Popen(command, cwd=request.config.rootpath, env=environment, stdout=subprocess.PIPE, text=True)
    lines = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert lines == ["started", "started", f"glibc.malloc.hugetlb=1 ['--workdir=a b', 'x'] {process.pid}"]
