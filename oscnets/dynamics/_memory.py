"""How much memory the device has, and how much of it gradients may fill."""

import os

import jax

_UNKNOWN = 16 * 2**30  # bytes of a device that does not tell, and of a machine that cannot be asked
_SHARE = 4  # a quarter: beside what is stored stand its cotangents, what the head reads, and other seeds


def default_limit() -> int:
    """Bytes that gradients may store: a quarter of the device's memory, on a CPU of half of the machine's."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit", _UNKNOWN) // _SHARE
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 // _SHARE
    except (AttributeError, ValueError, OSError):  # not on Windows
        return _UNKNOWN // _SHARE
