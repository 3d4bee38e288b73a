"""One training step of GASPnet in JAX against the same step in eager PyTorch: the parent's part, and the scenes."""

from typing import Any

import numpy as np

from experiments.bench import komplexnet

JAX_SIDE = "experiments.bench.jax_gaspnet"
TORCH_SIDE = "experiments.bench.torch_gaspnet"
PLAIN_SIDE = "experiments.bench.torch_gaspnet_plain"


def scenes(batch_size: int) -> dict[str, np.ndarray]:
    """Two disks per scene: images (B, 32, 32, 1), masks (B, 16, 16, 3) of background and disks, labels (B, 2)."""
    scenes = komplexnet.scenes(batch_size)
    disks = scenes["masks"].reshape(batch_size, 16, 2, 16, 2, 2).any((2, 4))
    return scenes | {"masks": np.concatenate([~disks.any(-1, keepdims=True), disks], axis=-1)}


def compare(*, rounds: int, peer: bool, compiled: bool = False, **sizes: int) -> dict[str, dict[str, Any]]:
    """`komplexnet.measure` of this model; sizes: batch_size, num_steps."""
    options = {"rounds": rounds, "peer": peer, "compiled": compiled}
    return komplexnet.measure({"gaspnet": {}}, JAX_SIDE, TORCH_SIDE, PLAIN_SIDE, **options, **sizes)
