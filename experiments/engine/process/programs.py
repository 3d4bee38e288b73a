"""Compiled programs, kept in the user's folder for caches: a run that is continued need not compile again."""

import hashlib
import platform
from pathlib import Path

import jax
import platformdirs

LIMIT = 4 * 2**30  # bytes in all; the programs that were not used for the longest go first
_INFO = Path("/proc/cpuinfo")


def folder() -> Path | None:
    """Where they lie, apart for every kind of processor, whose instructions a CPU's programs use; None: nowhere."""
    try:
        place = platformdirs.user_cache_path("oscnets", appauthor=False) / "programs"
        info = _INFO.read_text(encoding="utf-8").splitlines() if _INFO.exists() else []
    except (OSError, RuntimeError):  # no home folder
        return None
    kind = sorted({line for line in info if line.startswith(("model name", "flags", "Features"))})
    kind = "\n".join([platform.machine(), platform.processor(), *kind])
    return place / hashlib.sha256(kind.encode()).hexdigest()[:16]


def keep() -> None:
    """Have JAX keep them, unless the user has named another folder (`JAX_COMPILATION_CACHE_DIR`).

    `JAX_ENABLE_COMPILATION_CACHE=false` turns it off. What cannot be written or read is compiled again.
    """
    place = folder()
    if place is None or jax.config.jax_compilation_cache_dir is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(place))
    if jax.config.jax_compilation_cache_max_size < 0:
        jax.config.update("jax_compilation_cache_max_size", LIMIT)
