"""Memory in huge pages: on a CPU a training step spends a fifth of its time or more on small ones.

XLA's temporaries come from the C library's allocator anew in every call. GNU's (since 2.35) asks for huge pages where a
tunable in the environment says so before the process starts, on a Linux that grants them on request.
"""

import contextlib
import os
import platform
import sys
from pathlib import Path

_TUNABLE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def environment() -> dict[str, str]:
    """Variables that the environment lacks for huge pages; {} where there are none, or the user has chosen."""
    library, version = platform.libc_ver()
    recent = library == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 35)
    if not recent or "GLIBC_TUNABLES" in os.environ:
        return {}
    try:
        on_request = "[madvise]" in _ENABLED.read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(_TUNABLE) if on_request else {}


def restart() -> None:
    """Start this very command again with huge pages, in the same process; returns where there is nothing to gain."""
    missing = environment()
    if missing:
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(OSError):  # of an interpreter inside another program, say
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing})
