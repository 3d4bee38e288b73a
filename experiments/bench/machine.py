"""What the machine itself can do: its processor, and the rates of a large product and of a large copy."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.bench import harness

# Names of an instruction set and the flag of /proc/cpuinfo that shows it; the widest come first.
_SETS = {
    "AMX": "amx_tile",
    "AVX-512": "avx512f",
    "AVX2": "avx2",
    "AVX": "avx",
    "SSE4.2": "sse4_2",
    "SVE": "sve",
    "NEON": "asimd",
}
_INFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The name of this machine's processor."""
    return next(iter(_values("model name")), platform.processor())


def instruction_set() -> str:
    """The widest instruction set of the processor; where the system does not tell, its architecture."""
    flags = {flag for line in _values("flags") + _values("Features") for flag in line.split()}
    return next((name for name, flag in _SETS.items() if flag in flags), platform.machine())


def _values(key: str) -> list[str]:
    lines = _INFO.read_text(encoding="utf-8").splitlines() if _INFO.exists() else []
    pairs = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def product(*, size: int = 2048) -> tuple[harness.Run, dict[str, Any]]:
    """A side: a product of two square matrices in float32, by JAX, on all cores."""
    import jax
    import jax.numpy as jnp

    matrix = jnp.ones((size, size))
    multiply = jax.jit(lambda x: jnp.dot(x, x, precision="highest"))
    return lambda: multiply(matrix).block_until_ready(), {"amount": 2.0 * size**3}


def copy(*, size: int = 2**26) -> tuple[harness.Run, dict[str, Any]]:
    """A side: every number of a long float32 vector is read and written once, by JAX, on all cores."""
    import jax
    import jax.numpy as jnp

    vector = jnp.ones(size)
    change = jax.jit(lambda x: x + 1)
    return lambda: change(vector).block_until_ready(), {"amount": 8.0 * size}


def facts(seconds: Mapping[str, Sequence[float]], sides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of a report: processor, instruction set, and the peaks in operations and bytes per second.

    Args:
        seconds: of the sides `product` and `copy`, by name, one per turn.
        sides: their facts.
    """
    rates = {name: sides[name]["amount"] / statistics.median(seconds[name]) for name in ("product", "copy")}
    return {
        "processor": processor(),
        "instruction_set": instruction_set(),
        "product_flops_per_second": rates["product"],
        "copy_bytes_per_second": rates["copy"],
    }


def shares(milliseconds: Sequence[float], work: Mapping[str, Any], peaks: Mapping[str, Any]) -> dict[str, float]:
    """What a step reaches of the two peaks.

    Its bytes are those that its kernels read and write. The caches hold some of them, so that the share can exceed 1.

    Args:
        milliseconds: of the step, one per turn.
        work: its `flops` and `bytes`.
        peaks: `facts`.
    """
    seconds = statistics.median(milliseconds) / 1e3
    return {
        "product": work["flops"] / seconds / peaks["product_flops_per_second"],
        "copy": work["bytes"] / seconds / peaks["copy_bytes_per_second"],
    }


def describe(peaks: Mapping[str, Any]) -> str:
    """`facts` as a line of text."""
    rates = peaks["product_flops_per_second"] / 1e9, peaks["copy_bytes_per_second"] / 1e9
    return (
        f"{peaks['processor']}, {peaks['instruction_set']}: a large product {rates[0]:.0f} GFLOP/s, "
        f"a large copy {rates[1]:.1f} GB/s"
    )
