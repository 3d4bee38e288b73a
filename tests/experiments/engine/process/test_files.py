"""Paths as they are typed, new folders, and locks where the file system has none."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments.engine.process import files
from experiments.engine.process.errors import UsageError

ROOT = Path(__file__).parents[4]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.user_path("~/runs/a b") == tmp_path / "runs" / "a b"
    assert files.user_path(Path("~")) == tmp_path
    assert files.user_path("runs/~") == Path("runs/~")
    with pytest.raises(UsageError, match=r"^~nobody_at_all/x: there is no home folder ~nobody_at_all$"):
        files.user_path("~nobody_at_all/x")


def test_new_folders_of_one_name_are_different(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(files.new_folder(tmp_path / "a" / "run"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in found) == ["run", *(f"run-{i}" for i in range(2, 9))]
    assert all(path.is_dir() for path in found)


def test_a_new_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"folder .*run cannot be made: File exists"):
        files.new_folder(tmp_path / "file" / "run")


def without_locks(monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture(params=["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def no_locks(request, monkeypatch):
    without_locks(monkeypatch, getattr(errno, request.param))


def test_a_lock_is_held_by_one(tmp_path):
    with files.hold(tmp_path, "workdir w"), pytest.raises(UsageError, match=r"^workdir w: another run is using it$"):
        files.hold(tmp_path, "workdir w")
    with files.hold(tmp_path, "workdir w"):
        assert not (tmp_path / ".lock.owner").exists()


def test_without_locks_a_marker_stands_for_one(no_locks, tmp_path, capsys):
    (tmp_path / ".lock").write_text("")  # of a run on a machine that has locks here
    with files.hold(tmp_path, "workdir w"):
        assert "WARNING: workdir w: the file system has no locks" in capsys.readouterr().err
        with pytest.raises(UsageError, match="workdir w: another run is using it"):
            files.hold(tmp_path, "workdir w")
    with files.hold(tmp_path, "workdir w"):
        pass
    assert not (tmp_path / ".lock.owner").exists()


def test_the_marker_of_a_killed_process_is_taken_over(monkeypatch, tmp_path):
    without_locks(monkeypatch, errno.ENOSYS)
    code = (
        "import fcntl, os, signal, sys\nfrom pathlib import Path\nfrom experiments.engine.process import files\n"
        "def flock(*_): raise OSError(38, 'none')\nfcntl.flock = flock\n"
        "held = files.hold(Path(sys.argv[1]), 'w')\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == -signal.SIGKILL and (tmp_path / ".lock.owner").exists()
    with files.hold(tmp_path, "w"):
        pass


def test_the_marker_of_another_machine_is_respected(no_locks, tmp_path):
    marker = tmp_path / ".lock.owner"
    marker.write_text("1234\nanother-machine\n")
    with pytest.raises(UsageError, match=rf"killed on another machine; if so, delete {marker}$"):
        files.hold(tmp_path, "w")
