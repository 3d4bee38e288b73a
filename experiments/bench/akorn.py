"""One training step of AKOrN in JAX against the same step in eager PyTorch: the parent's part, boards and pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_gen import sudoku
from experiments.bench import komplexnet

JAX_SIDE = "experiments.bench.jax_akorn"
TORCH_SIDE = "experiments.bench.torch_akorn"
# 128 channels; at batch sizes for which a step takes about a second.
CASES = {
    "sudoku": {"head": "sudoku", "coupling": "attention", "channels": 128, "num_steps": 16, "batch_size": 100},
    "discovery": {"head": "discovery", "coupling": "attention", "channels": 128, "num_steps": 8, "batch_size": 64},
    "discovery_conv": {"head": "discovery", "coupling": "conv", "channels": 128, "num_steps": 8, "batch_size": 64},
}
HEADS, COMPONENTS, KERNEL_SIZE, PATCH = 8, 4, 5, 4
SIZE = 32  # pixels
RUNS = {"sudoku": 1, "discovery": 2}  # of the network in a step


def side(head: str) -> int:
    """Oscillators stand on a grid of so many rows and columns."""
    return 9 if head == "sudoku" else SIZE // PATCH


def batch(head: str, batch_size: int) -> dict[str, np.ndarray]:
    """What a step takes: `images` and `targets` (B, ...).

    Of a Sudoku boards int32 (B, 9, 9), 0 for a blank, and classes 0 to 8 of all cells; else two views of noise, float32
    (B, 32, 32, 3) in [0, 1].
    """
    if head == "sudoku":
        boards = sudoku.generate(seed=0, num_examples=batch_size)
        return {"images": boards.puzzles.astype(np.int32), "targets": boards.solutions.astype(np.int32) - 1}
    views = np.random.default_rng(0).uniform(size=(2, batch_size, SIZE, SIZE, 3)).astype(np.float32)
    return dict(zip(("images", "targets"), views, strict=True))


def compare(
    *, rounds: int, peer: bool, compiled: bool = False, cases: Sequence[str] = tuple(CASES), **sizes: int
) -> dict[str, dict[str, Any]]:
    """`komplexnet.measure` of one case of `CASES` after the other; sizes: channels, batch_size, num_steps."""
    how = {"rounds": rounds, "peer": peer, "compiled": compiled}
    return komplexnet.measure_cases({name: CASES[name] | sizes for name in cases}, JAX_SIDE, TORCH_SIDE, **how)
