"""Cache of arrays in .npz files: read only if a file is intact and its fingerprint matches, written where possible."""

import encodings.cp437  # noqa: F401 - of zip files; a process that has given up its rights may not load it any more
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import platformdirs

_DAMAGE = (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def read(path: Path, fingerprint: str) -> dict[str, np.ndarray] | None:
    """The arrays in `path`, or None if it is absent, damaged or of another fingerprint. Never unpickles."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except _DAMAGE:
        return None
    return arrays if str(arrays.pop("fingerprint", "")) == fingerprint else None


def write(path: Path, fingerprint: str, arrays: dict[str, np.ndarray], *, compress: bool = False) -> bool:
    """Store the arrays in one step, so that no reader sees half a file. Returns whether that worked; no OSError leaves.

    A folder that nobody may write to is left alone, even by an administrator, whom the system would not stop.
    """
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.stat().st_mode & 0o222:
            return False
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as file:
            name = file.name
            (np.savez_compressed if compress else np.savez)(file, fingerprint=np.array(fingerprint), **arrays)
        os.chmod(name, 0o644)  # whoever shares the folder may read it
        os.replace(name, path)
    except OSError:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        return False
    return True


def user_folder() -> Path | None:
    """Where a user's caches belong, on Linux $XDG_CACHE_HOME/oscnets or ~/.cache/oscnets; None without a home."""
    try:
        folder = platformdirs.user_cache_path("oscnets", appauthor=False)
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # earlier versions leave the ~ where it is
