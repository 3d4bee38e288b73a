"""The devices that programs are compiled for: what their compilers need, and what the devices can do."""

import contextlib
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# XLA's GpuTargetConfig of a card in text form.
_GPU = """
gpu_device_info {{ threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: {shared} threads_per_core_limit: {threads} core_count: {cores} fpus_per_core: {fpus}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: {bandwidth}
  l2_cache_size: {cache} clock_rate_ghz: {clock} device_memory_size: {memory} shared_memory_per_block_optin: {optin}
  cuda_compute_capability {{ major: {major} minor: {minor} }} registers_per_core_limit: 65536
  registers_per_block_limit: 65536 }}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 1 patch: 1 }} device_description_str: "{name}"
"""
_H100 = {
    "name": "NVIDIA H100 80GB HBM3",
    "cores": 132,
    "fpus": 128,
    "threads": 2048,
    "shared": 233472,
    "optin": 232448,
    "cache": 52428800,
    "clock": 1.98,
    "memory": 84942979072,
    "bandwidth": 3352320000000,
    "major": 9,
    "minor": 0,
}
_T4 = {
    "name": "Tesla T4",
    "cores": 40,
    "fpus": 64,
    "threads": 1024,
    "shared": 65536,
    "optin": 65536,
    "cache": 4194304,
    "clock": 1.59,
    "memory": 15828320256,
    "bandwidth": 320000000000,
    "major": 7,
    "minor": 5,
}


class Target(NamedTuple):
    """A device, or several of one kind.

    Attributes:
        platform: "tpu" or "cuda".
        count: number of devices.
        seeds: that a training step is of; the devices share them, or one seed's batch.
        memory: bytes of each.
        bandwidth: of its memory, bytes/s.
        float32: products of precision `highest`, FLOP/s.
        fast: products of lower precision, FLOP/s.
        launch: seconds of a kernel's launch; None where a program is launched as one.
        source: of these figures.
        config: XLA's description of a card.
        level: of JAX's option `jax_optimization_level`; None for the compiler's own.
    """

    platform: str
    count: int
    seeds: int
    memory: float
    bandwidth: float
    float32: float
    fast: float
    launch: float | None
    source: str
    config: Mapping[str, Any] | None = None
    level: str | None = None

    @property
    def usable(self) -> float:
        """Bytes that the engine lets a program take: nine tenths of what JAX may use, of a card three quarters."""
        return 0.9 * self.memory * (0.75 if self.platform == "cuda" else 1)


# A launch of 3 microseconds is an assumption: vendors publish no figure, and short kernels in sequence take 3 to 5.
_LAUNCH = 3e-6
_V5E_SOURCE = "Google Cloud, TPU v5e system architecture; `highest` is six passes of bfloat16"
TARGETS = {
    "v5e": Target("tpu", 1, 1, 16e9, 819e9, 197e12 / 6, 197e12, None, _V5E_SOURCE),
    "v5e-O1": Target("tpu", 1, 1, 16e9, 819e9, 197e12 / 6, 197e12, None, _V5E_SOURCE, level="O1"),
    "v5e-2x2": Target("tpu", 4, 1, 16e9, 819e9, 197e12 / 6, 197e12, None, _V5E_SOURCE, level="O1"),
    "v5e-2x2-seeds": Target("tpu", 4, 4, 16e9, 819e9, 197e12 / 6, 197e12, None, _V5E_SOURCE, level="O1"),
    "h100": Target(
        "cuda",
        1,
        1,
        80e9,
        3.35e12,
        67e12,
        494.5e12,
        _LAUNCH,
        "NVIDIA, H100 SXM data sheet, TF32 without sparsity",
        _H100,
    ),
    "t4": Target("cuda", 1, 1, 16e9, 320e9, 8.1e12, 8.1e12, _LAUNCH, "NVIDIA, T4 data sheet; it has no TF32", _T4),
}
# The packages that hold the compilers.
PLATFORM_VERSIONS = {"tpu": ("libtpu",), "cuda": ("jax-cuda12-plugin", "nvidia-cuda-nvcc-cu12")}
EXTRAS = {"tpu": "aot-tpu", "cuda": "aot-cuda"}


def missing_extra(platform: str) -> str | None:
    """The extra to install before a platform can be compiled for; None where it is installed."""
    present = versions_of(PLATFORM_VERSIONS[platform])
    return None if len(present) == len(PLATFORM_VERSIONS[platform]) else EXTRAS[platform]


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def environment() -> dict[str, str]:
    """The environment of a process that compiles."""
    without_devices = {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"}
    # libtpu's lock is for a TPU, which is not used: another process may compile, or train on one, at the same time.
    unlocked = {"ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    # Errors of Equinox call back to the host, which a device that is not there has none of.
    no_callbacks = {"EQX_ON_ERROR": "nan"}
    return {**os.environ, **without_devices, **unlocked, **no_callbacks, "JAX_ENABLE_COMPILATION_CACHE": "false"}


def devices_of(target: Target) -> Sequence[Any]:
    """Its devices, as the compiler describes them."""
    from jax.experimental import topologies

    if target.platform == "tpu":  # a topology of one chip is refused
        return topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices[: target.count]
    text = _GPU.format(**target.config or {})
    return topologies.get_topology_desc(
        "gpu", platform="cuda", topology=f"1x1x{target.count}", target_config=text
    ).devices
