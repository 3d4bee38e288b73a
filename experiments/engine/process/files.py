"""Paths as they are typed, new folders, and locks."""

import contextlib
import errno
import itertools
import os
import sys
from pathlib import Path

import filelock

from experiments.engine.process.errors import UsageError

MARKER = ".lock.owner"  # in a folder that is held, where the file system has no locks
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path in which ~ and ~USER at the start stand for home folders, as in a shell.

    Raises:
        UsageError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{os.fspath(path)}: there is no home folder {Path(path).parts[0]}") from error


def make_workdir(path: Path) -> None:
    """Make the folder of `--workdir`, with those above it, where it is not there yet.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--workdir={path}: {error.strerror or error}") from error


def new_folder(path: Path) -> Path:
    """Make a folder that is nobody else's: PATH, or the first of PATH-2, PATH-3, ... that is not there yet.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place, numbers = path, itertools.count(2)
        while not _made(place):
            place = path.with_name(f"{path.name}-{next(numbers)}")
    except OSError as error:
        raise UsageError(f"folder {path} cannot be made: {error.strerror or error}") from error
    return place


def _made(folder):
    """Make it; False where there is one, of another process perhaps that was faster."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        return True
    return False


def hold(folder: Path, what: str) -> filelock.AcquireReturnProxy:
    """Take the lock of a folder, .lock; the system gives it back should the process be killed.

    Where the file system has no locks (NFS and Lustre, as they may be mounted), a marker, `MARKER`, stands for it, and
    a warning is printed. A killed process leaves its marker: the next one on the same machine takes it over, one on
    another machine cannot know whether its owner still runs and is refused.

    Args:
        folder: must exist.
        what: the folder's name in messages.

    Returns:
        A context manager that gives the lock back.

    Raises:
        UsageError: another process holds it.
        OSError: its files cannot be written.
    """
    if filelock.FileLock is not filelock.SoftFileLock:
        lock = filelock.FileLock(folder / ".lock", thread_local=False, fallback_to_soft=False)
        try:
            return lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UsageError(f"{what}: another run is using it") from error
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
    marker = folder / MARKER
    print(f"WARNING: {what}: the file system has no locks; {marker} stands for one", file=sys.stderr)
    try:
        return filelock.SoftFileLock(marker, thread_local=False).acquire(timeout=0.5)
    except filelock.Timeout as error:
        raise UsageError(
            f"{what}: another run is using it, or was killed on another machine; if so, delete {marker}"
        ) from error
