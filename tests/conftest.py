"""Settings of the whole suite, made before any JAX backend starts."""

import os

import jax
from hypothesis import settings

DEVICES = 4

# The same examples in every run; --hypothesis-profile=default looks for others.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")


def pytest_configure() -> None:
    """Give every test four virtual CPU devices, so that code that shards is exercised wherever the suite runs.

    JAX_PLATFORMS chooses another platform; without it the suite stays on the CPU, also in the processes it starts.
    Programs are compiled without costly optimizations, since most of the suite's time is compilation;
    JAX_DISABLE_MOST_OPTIMIZATIONS=0 has them compiled as everywhere else.
    """
    platforms = os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax.config.update("jax_platforms", platforms)
    jax.config.update("jax_num_cpu_devices", DEVICES)
    quick = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    jax.config.update("jax_disable_most_optimizations", quick not in ("0", "false"))
