"""GASPnet in eager PyTorch: the reference of the timings of the JAX training step.

Written from the equations of Alamia et al., 2025, as one would write it for speed in plain PyTorch: the three
convolutions of a modulated one share a call, the pull of the phases is taken through sines and cosines and not pair by
pair, the first block, which nothing modulates, is computed once, nothing is compiled. Layout (N, C, H, W).
Needs the extra `bench`; imported only when a comparison runs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.bench import gaspnet
from experiments.bench.torch_komplexnet import cluster_synchrony

CHANNELS, HIDDEN, CLASSES = (26, 30, 32), 16, 10
SIDES = (16, 8, 4)  # of the blocks


class Output(NamedTuple):
    """Logits (T + 1, N, K) of the plain pass and of every step, phases after the last (N, 362)."""

    logits: Tensor
    phases: Tensor


class GASPnet(nn.Module):
    """The network for grey 32x32 images, with the multi-MNIST constants by default.

    Args:
        dim: D of queries and keys.
        strength, rate, neighbour_gain, offset, dense_gain: alpha, lambda, tau, epsilon, kappa (a gain).
    """

    def __init__(
        self,
        *,
        dim: int = 32,
        strength: float = 1.0,
        rate: float = 1.0,
        neighbour_gain: float = 5.0,
        offset: float = -0.9,
        dense_gain: float = 0.01,
    ):
        super().__init__()
        self.strength, self.rate, self.offset = strength, rate, offset
        sizes = (1, *CHANNELS)
        self.blocks = nn.ModuleList(nn.Conv2d(*sizes[i : i + 2], 3, padding=1) for i in range(3))
        self.hidden = nn.Linear(CHANNELS[-1] * SIDES[-1] ** 2, HIDDEN)
        self.output = nn.Linear(HIDDEN, CLASSES)
        self.maps = nn.ModuleList(nn.Linear(size, 2 * dim, bias=False) for size in (*CHANNELS, 1, 1))
        self.register_buffer("neighbours", _neighbours() * (neighbour_gain - 1) + 1)
        dense = torch.arange(len(self.neighbours)) >= sum(side**2 for side in SIDES)
        self.register_buffer("gains", torch.where(dense | dense[:, None], dense_gain, 1.0))

    def forward(self, images: Tensor, phases: Tensor, num_steps: int = 6) -> Output:
        """Images (N, 1, 32, 32) and the phases to start from (N, 362)."""
        first = rest_of_block(self.blocks[0](images))
        activities = self.layers(first)
        logits = [activities[-1]]
        for _ in range(num_steps):
            phases = self.step(phases, activities)
            activities = self.layers(first, phases)
            logits.append(activities[-1])
        return Output(torch.stack(logits), phases)

    def step(self, phases: Tensor, activities: list[Tensor]) -> Tensor:
        """Equations (3) to (6)."""
        flat = [a.flatten(2).mT if a.ndim == 4 else a.unsqueeze(-1) for a in activities]
        both = torch.cat([layer(a) for layer, a in zip(self.maps, flat, strict=True)], dim=1)
        queries, keys = both.chunk(2, dim=-1)
        r = (queries @ keys.mT * self.neighbours - self.offset) * self.gains
        cos, sin = phases.cos(), phases.sin()
        coupled = r @ torch.stack([cos, sin], dim=-1)
        pull = cos * coupled[..., 1] - sin * coupled[..., 0]
        return phases + self.rate * pull / (r.abs().sum(-1) + 1e-6)

    def layers(self, first: Tensor, phases: Tensor | None = None) -> list[Tensor]:
        """Activities of all layers given the first block's; without phases a plain pass."""
        activities, levels = [first], None if phases is None else self.levels(phases)
        for i in (1, 2):
            activities.append(rest_of_block(self.convolve(self.blocks[i], activities[-1], levels, i)))
        flat = activities[-1].flatten(1)
        phase_in = None if phases is None else levels[2].flatten(1).repeat(1, CHANNELS[-1])
        hidden = F.relu(self.dense(self.hidden, flat, phase_in, levels and levels[3]))
        return [*activities, hidden, self.dense(self.output, hidden, levels and levels[3], levels and levels[4])]

    def convolve(self, layer: nn.Conv2d, x: Tensor, levels: list[Tensor] | None, level: int) -> Tensor:
        """Equation (1)."""
        if levels is None:
            return layer(x)
        phase_in, phase_out = levels[level - 1], F.interpolate(levels[level], scale_factor=2)
        stacked = torch.cat([x, x * phase_in.cos(), x * phase_in.sin()])
        plain, cos, sin = F.conv2d(stacked, layer.weight, padding=1).chunk(3)
        modulation = phase_out.cos() * cos + phase_out.sin() * sin
        return plain + self.strength * modulation + layer.bias[:, None, None]

    def dense(self, layer: nn.Linear, x: Tensor, phase_in: Tensor | None, phase_out: Tensor | None) -> Tensor:
        """Equation (2)."""
        if phase_in is None:
            return layer(x)
        stacked = torch.cat([x, x * phase_in.cos(), x * phase_in.sin()])
        plain, cos, sin = F.linear(stacked, layer.weight).chunk(3)
        return plain + self.strength * (phase_out.cos() * cos + phase_out.sin() * sin) + layer.bias

    @staticmethod
    def levels(phases: Tensor) -> list[Tensor]:
        """(N, 362) -> (N, 1, H, W) of the blocks, (N, n) of the dense layers."""
        parts = phases.split([*(side**2 for side in SIDES), HIDDEN, CLASSES], dim=1)
        return [*(part.unflatten(1, (1, side, side)) for part, side in zip(parts, SIDES, strict=False)), *parts[3:]]


def rest_of_block(x: Tensor) -> Tensor:
    """relu, max-pool, instance norm: (N, C, H, W) -> (N, C, H / 2, W / 2)."""
    return F.instance_norm(F.max_pool2d(F.relu(x), 2))


def _neighbours() -> Tensor:
    """(362, 362): 1 for positions of one block at most one row and one column apart."""
    blocks = []
    for side in SIDES:
        places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        blocks.append(((places[:, None] - places).abs().amax(-1) <= 1).float())
    return torch.block_diag(*blocks, torch.zeros(HIDDEN + CLASSES, HIDDEN + CLASSES))


def loss(
    model: GASPnet, images: Tensor, phases: Tensor, masks: Tensor, targets: Tensor, *, num_steps: int, weight: float
) -> Tensor:
    """Cross-entropy of the two-hot targets plus equation (7) of the first block's phases, both at the last step."""
    out = model(images, phases, num_steps)
    first = GASPnet.levels(out.phases)[0]
    synchrony = cluster_synchrony(first, masks, torch.ones_like(first), normalization="half").mean()
    return F.binary_cross_entropy_with_logits(out.logits[-1], targets) + weight * synchrony


def train_step(model: GASPnet, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor], **options) -> float:
    """One step of Adam; returns the loss before it."""
    optimizer.zero_grad()
    value = loss(model, **batch, **options)
    value.backward()
    optimizer.step()
    return value.item()


def train(
    *, batch_size: int, num_steps: int, network: type[GASPnet] = GASPnet, compiled: bool = False
) -> tuple[Callable[[], float], dict[str, Any]]:
    """The side of a comparison: a training step on one batch, fresh phases every time."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, batch = _setup(network, batch_size, device)
    if compiled:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, weight_decay=1e-5)

    def run() -> float:
        phases = torch.randn_like(batch["phases"])
        return train_step(model, optimizer, batch | {"phases": phases}, num_steps=num_steps, weight=0.5)

    return run, {"torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads()}


def reference(
    *, path: str, batch_size: int, num_steps: int, network: type[GASPnet] = GASPnet
) -> tuple[Callable[[], None], dict[str, Any]]:
    """Write weights, phases, logits, loss and gradient to an npz file: state/KEY, gradient/KEY and their names."""
    model, batch = _setup(network, batch_size, torch.device("cpu"))
    value = loss(model, **batch, num_steps=num_steps, weight=0.5)
    value.backward()
    arrays = {f"state/{key}": tensor.detach() for key, tensor in model.named_parameters()}
    arrays |= {f"gradient/{key}": tensor.grad for key, tensor in model.named_parameters()}
    arrays |= {"phases": batch["phases"], "loss": value.detach()}
    np.savez(path, num_steps=num_steps, **{key: tensor.numpy() for key, tensor in arrays.items()})
    return lambda: None, {"differences": {}}


def _setup(network: type[GASPnet], batch_size: int, device: torch.device) -> tuple[GASPnet, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = network().to(device)
    arrays = {key: torch.from_numpy(array) for key, array in gaspnet.scenes(batch_size).items()}
    batch = {
        "images": arrays["images"].movedim(-1, 1).contiguous(),
        "masks": arrays["masks"].movedim(-1, 1).float().contiguous(),
        "targets": F.one_hot(arrays["labels"].long(), CLASSES).sum(1).float(),
        "phases": torch.randn(batch_size, len(model.gains)),
    }
    return model, {key: tensor.to(device) for key, tensor in batch.items()}
