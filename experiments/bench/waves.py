"""One training step of the Neural Wave Machine and of the ConvLSTM in JAX against the same step in eager PyTorch.

This is the parent's part, and the scenes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.bench import komplexnet

JAX_SIDE = "experiments.bench.jax_waves"
TORCH_SIDE = "experiments.bench.torch_waves"
# The published models on MNIST and on Multi-MNIST, at batch sizes for which a step takes some seconds.
SMALL = {"size": 56, "channels": 2, "hidden": [256] * 3, "batch_size": 16}
LARGE = {"size": 128, "channels": 16, "hidden": [32] * 5, "batch_size": 4}
CASES = {
    "wave_machine": {"kind": "wave_machine", "num_steps": 100, **SMALL},
    "wave_machine_large": {"kind": "wave_machine", "num_steps": 100, **LARGE},
    "conv_lstm": {"kind": "conv_lstm", "num_steps": 20, **SMALL},
}
NUM_CLASSES = 11


def scenes(batch_size: int, size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """One disk per scene: images (B, size, size, 1) of 0 and 1, labels (B, size, size), 0 outside the disk."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1)
    centres = rng.uniform(size / 3, 2 * size / 3, (batch_size, 1, 1, 2))
    inside = np.linalg.norm(grid - centres, axis=-1) < rng.uniform(size / 6, size / 3, (batch_size, 1, 1))
    labels = inside * rng.integers(1, NUM_CLASSES, (batch_size, 1, 1))
    return {"images": inside[..., None].astype(np.float32), "labels": labels.astype(np.int32)}


def compare(
    *, rounds: int, peer: bool, compiled: bool = False, cases: Sequence[str] = tuple(CASES), **sizes: int
) -> dict[str, dict[str, Any]]:
    """`komplexnet.measure` of one case of `CASES` after the other; sizes: size, batch_size, num_steps."""
    how = {"rounds": rounds, "peer": peer, "compiled": compiled}
    return komplexnet.measure_cases({name: CASES[name] | sizes for name in cases}, JAX_SIDE, TORCH_SIDE, **how)
