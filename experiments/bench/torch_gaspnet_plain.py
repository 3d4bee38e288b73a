"""GASPnet in eager PyTorch as its equations read: a pass through all layers each step, every pair of phases compared.

What a researcher would write first; `torch_gaspnet` is the same network written for speed. Parameters and their names
are the same.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.bench import torch_gaspnet as fast


class GASPnet(fast.GASPnet):
    """The network for grey 32x32 images; arguments as of its parent."""

    def forward(self, images: Tensor, phases: Tensor, num_steps: int = 6) -> fast.Output:
        """Images (N, 1, 32, 32) and the phases to start from (N, 362)."""
        activities = self.layers(images)
        logits = [activities[-1]]
        for _ in range(num_steps):
            phases = self.step(phases, activities)
            activities = self.layers(images, phases)
            logits.append(activities[-1])
        return fast.Output(torch.stack(logits), phases)

    def step(self, phases: Tensor, activities: list[Tensor]) -> Tensor:
        """Equations (3) to (6)."""
        flat = [a.flatten(2).mT if a.ndim == 4 else a.unsqueeze(-1) for a in activities]
        both = [layer(a) for layer, a in zip(self.maps, flat, strict=True)]
        queries, keys = torch.cat(both, dim=1).chunk(2, dim=-1)
        r = (queries @ keys.mT * self.neighbours - self.offset) * self.gains
        pull = (r * torch.sin(phases[:, None, :] - phases[:, :, None])).sum(-1)
        return phases + self.rate * pull / (r.abs().sum(-1) + 1e-6)

    def layers(self, images: Tensor, phases: Tensor | None = None) -> list[Tensor]:
        """Activities of all layers; without phases a plain pass."""
        return super().layers(fast.rest_of_block(self.blocks[0](images)), phases)

    def convolve(self, layer: nn.Conv2d, x: Tensor, levels: list[Tensor] | None, level: int) -> Tensor:
        """Equation (1)."""
        if levels is None:
            return layer(x)
        phase_in, phase_out = levels[level - 1], F.interpolate(levels[level], scale_factor=2)
        cos, sin = (F.conv2d(x * part, layer.weight, padding=1) for part in (phase_in.cos(), phase_in.sin()))
        return layer(x) + self.strength * (phase_out.cos() * cos + phase_out.sin() * sin)

    def dense(self, layer: nn.Linear, x: Tensor, phase_in: Tensor | None, phase_out: Tensor | None) -> Tensor:
        """Equation (2)."""
        if phase_in is None:
            return layer(x)
        cos, sin = (F.linear(x * part, layer.weight) for part in (phase_in.cos(), phase_in.sin()))
        return layer(x) + self.strength * (phase_out.cos() * cos + phase_out.sin() * sin)


def train(**options: Any) -> tuple[Callable[[], float], dict[str, Any]]:
    """The side of a comparison, see `torch_gaspnet.train`."""
    return fast.train(network=GASPnet, **options)


def reference(**options: Any) -> tuple[Callable[[], None], dict[str, Any]]:
    """Write loss and gradient, see `torch_gaspnet.reference`."""
    return fast.reference(network=GASPnet, **options)
