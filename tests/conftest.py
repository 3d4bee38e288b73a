"""Settings of the whole suite, made before any JAX backend starts."""

import gc
import os

import jax
import jaxlib.version
from hypothesis import settings

DEVICES = 4
# Most of the suite's time is XLA's compilation. These make it three times faster and change no number but by rounding.
QUICK_FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
# The same examples in every run; --hypothesis-profile=default looks for others.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")


def pytest_configure() -> None:
    """Give every test four virtual CPU devices, so that code that shards is exercised wherever the suite runs.

    JAX_PLATFORMS chooses another platform; without it the suite stays on the CPU, also in the processes it starts.
    Programs are compiled without costly optimizations, since most of the suite's time is compilation;
    JAX_DISABLE_MOST_OPTIMIZATIONS=0 has them compiled as everywhere else.
    """
    # Tracing makes many objects that stay: with the usual thresholds, collection takes a tenth of the time.
    gc.set_threshold(50_000, 20, 50)
    platforms = os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax.config.update("jax_platforms", platforms)
    jax.config.update("jax_num_cpu_devices", DEVICES)
    quick = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") not in ("0", "false")
    jax.config.update("jax_disable_most_optimizations", quick)
    # Later versions of XLA end a process that names a flag they no longer have.
    if quick and jaxlib.version.__version_info__ < (0, 11):
        os.environ.setdefault("XLA_FLAGS", QUICK_FLAGS)
