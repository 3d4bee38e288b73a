"""KomplexNet in eager PyTorch as its equations read: complex tensors, a call of a layer for each part it acts on.

As a first implementation and published code are written; `torch_komplexnet` is the same network written
for speed. Parameters and their names are the same.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.bench import torch_komplexnet as fast

Field = tuple[Tensor, Tensor]  # magnitude, phase


class KomplexNet(fast.KomplexNet):
    """The network of equations (1) to (6); arguments as of its parent."""

    def forward(self, images: Tensor, phases: Tensor, num_steps: int = 15) -> fast.Output:
        """Images (N, 1, H, W) and initial phases (N, C, H, W); the head is applied after every step."""
        amplitude = F.relu(self.downsampling(images))
        logits, layers = [], None
        for _ in range(num_steps):
            phases = self.step(phases, torch.tanh(amplitude), layers)
            layers = self.head((amplitude, phases))
            magnitude, _ = layers["l4"]
            logits.append(magnitude - magnitude.amax(-1, keepdim=True) / 3)
        return fast.Output(torch.stack(logits), phases, amplitude)

    def step(self, phases: Tensor, drive: Tensor, layers: dict[str, Field] | None) -> Tensor:
        """Equation (1), and (6) once there are layers to look back at."""
        field = torch.polar(drive, phases)
        near = _apply(partial(F.conv2d, weight=self.kernel_kuramoto, padding="same"), field)
        pull = self.rate * _towards(phases, near - self.epsilon * field.sum((1, 2, 3), keepdim=True))
        for layer, rate in self.feedback.items() if layers is not None else ():
            pull = pull + rate * _towards(phases, self.look_back(layer, layers[layer]))
        return phases + pull

    def look_back(self, layer: str, field: Field) -> Tensor:
        """F_l of equation (6)."""
        magnitude, phase = field
        kernel = getattr(self, f"kernel_kuramoto_{layer}")
        linear = partial(F.linear, weight=kernel)
        if layer == "l2":
            shape = {"stride": 2, "padding": kernel.shape[-1] // 2, "output_padding": 1}
            linear = partial(F.conv_transpose2d, weight=kernel, **shape)
        pull = _apply(linear, torch.tanh(magnitude) * _unit(phase))
        return pull if layer == "l2" else pull[..., None, None]

    def head(self, field: Field) -> dict[str, Field]:
        """The three layers above the first, by name."""
        first, second = self.classif1[1], self.classif2
        convolved = _layer(self.convA.kernel_conv, self.convA.norm, *field)
        hidden = _layer(first.weights, first.norm, *(part.flatten(1) for part in convolved))
        return {"l2": convolved, "l3": hidden, "l4": _layer(second.weights, None, *hidden)}


def _unit(phase: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(phase), phase)


def _towards(phases: Tensor, field: Tensor) -> Tensor:
    return (_unit(-phases) * field).imag


def _apply(linear: Callable[[Tensor], Tensor], field: Tensor) -> Tensor:
    """Equation (3): a real linear map of a complex field."""
    return torch.complex(linear(field.real), linear(field.imag))


def _layer(linear: nn.Module, norm: nn.Module | None, magnitude: Tensor, phase: Tensor) -> Field:
    """Equations (3) to (5); without a norm, (3) and (4)."""
    psi = _apply(linear, magnitude * _unit(phase))
    magnitude = 0.5 * psi.abs() + 0.5 * linear(magnitude)
    return magnitude if norm is None else F.relu(norm(magnitude)), psi.angle()


def train(**options: Any) -> tuple[Callable[[], float], dict[str, Any]]:
    """The side of a comparison, see `torch_komplexnet.train`."""
    return fast.train(network=KomplexNet, **options)


def reference(**options: Any) -> tuple[Callable[[], None], dict[str, Any]]:
    """Write loss and gradient, see `torch_komplexnet.reference`."""
    return fast.reference(network=KomplexNet, **options)
