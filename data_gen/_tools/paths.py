"""Paths as they are typed."""

import os
from pathlib import Path


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path in which ~ and ~USER at the start stand for home folders; RuntimeError where there is no such folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RuntimeError(f"{os.fspath(path)}: there is no home folder {Path(path).parts[0]}") from error
