"""Settings of the whole suite, made before any JAX backend starts."""

import os

import jax

DEVICES = 4


def pytest_configure() -> None:
    """Give every test four virtual CPU devices, so that code that shards is exercised wherever the suite runs.

    JAX_PLATFORMS chooses another platform; without it the suite stays on the CPU, also in the processes it starts.
    """
    platforms = os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax.config.update("jax_platforms", platforms)
    jax.config.update("jax_num_cpu_devices", DEVICES)
