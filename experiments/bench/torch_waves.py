"""Neural Wave Machine and ConvLSTM in eager PyTorch: the reference of the timings of the JAX training step.

Written from the equations of Jacobs et al. (2025), as one would write it in plain PyTorch; nothing is compiled. Layout
(N, C, H, W) and the names of the parameters are those of the published checkpoints, so that a published state dict
loads with `load_state_dict`. Needs the extra `bench`; imported only when a comparison runs.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.bench import waves


def _encoder(colours: int, channels: int, depth: int, *last: nn.Module, mid: int = 16) -> nn.Sequential:
    """Convolutions 3x3 with relu between them."""
    layers, width = [], colours
    for i in range(depth):
        layers += [nn.Conv2d(width, mid if i < depth - 1 else channels, 3, padding=1), nn.ReLU()]
        width = mid
    return nn.Sequential(*layers[:-1], *last)


class _Readout(nn.Module):
    """What both networks read from their states, and the classifier of a pixel."""

    def __init__(self, channels: int, hidden: list[int], num_steps: int, classes: int, how: str):
        super().__init__()
        self.how, bins = how, num_steps // 2 + 1
        self.fc_time = nn.Linear(num_steps, bins, bias=False)
        sizes = [channels * (bins if how in ("fft", "linear") else 1), *hidden, classes]
        layers = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.fc_readout = nn.Sequential(*layers[:-1])

    def read(self, states: list[Tensor]) -> Tensor:
        """T states (N, C, H, W) -> logits (N, K, H, W)."""
        series = torch.stack(states, -1)
        if self.how == "linear":
            series = self.fc_time(series)
        elif self.how == "fft":
            series = torch.fft.rfft(series).abs()
        else:
            read = {"last": lambda x: x[..., -1], "mean": lambda x: x.mean(-1), "max": lambda x: x.amax(-1)}[self.how]
            series = read(series).unsqueeze(-1)
        features = series.permute(0, 2, 3, 4, 1).flatten(3)  # bin by bin, then channel by channel
        return self.fc_readout(features).permute(0, 3, 1, 2)


class _WaveCell(nn.Module):
    """Equation (9), explicit damping."""

    def __init__(self, channels: int):
        super().__init__()
        self.Wy = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="circular", bias=False)
        laplace = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
        self.Wy.weight = nn.Parameter(torch.eye(channels)[..., None, None] * laplace)

    def forward(self, u: Tensor, v: Tensor, omega: Tensor, alpha: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """Position and velocity after a step."""
        v = v + dt * (torch.tanh(self.Wy(u)) - omega * u - alpha * v)
        return u + dt * v, v


class WaveClassifier(_Readout):
    """The Neural Wave Machine."""

    def __init__(self, channels: int, hidden: list[int], num_steps: int, classes: int, colours: int, how: str):
        super().__init__(channels, hidden, num_steps, classes, how)
        self.num_steps, self.dt = num_steps, 0.1
        self.hy_encoder = _encoder(colours, channels, 4, nn.Tanh())
        self.omega_encoder = _encoder(colours, channels, 3, nn.ReLU())
        self.alpha_encoder = _encoder(colours, channels, 3, nn.ReLU())
        self.cell = _WaveCell(channels)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images (N, C, H, W) -> logits (N, K, H, W), and the states."""
        u, omega, alpha = self.hy_encoder(images), self.omega_encoder(images), self.alpha_encoder(images)
        v, states = torch.zeros_like(u), []
        for _ in range(self.num_steps):
            u, v = self.cell(u, v, omega, alpha, self.dt)
            states.append(u)
        return self.read(states), states


class _Gates(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1, padding_mode="circular")


class _LSTMCell(nn.Module):
    """Equations (10) to (15)."""

    def __init__(self, channels: int):
        super().__init__()
        self.cell = _Gates(channels)
        self.transform_hidden = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, u: Tensor, s: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output, hidden state and cell after a step."""
        i, f, g, o = self.cell.conv(torch.cat([u, s], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        s = o.sigmoid() * c.tanh()
        return self.transform_hidden(s.movedim(1, -1)).movedim(-1, 1), s, c


class LSTMClassifier(_Readout):
    """The ConvLSTM."""

    def __init__(self, channels: int, hidden: list[int], num_steps: int, classes: int, colours: int, how: str):
        super().__init__(channels, hidden, num_steps, classes, how)
        self.num_steps = num_steps
        self.hy_encoder = _encoder(colours, channels, 4, nn.Tanh())
        self.hz_encoder = _encoder(colours, channels, 3)
        self.hc_encoder = _encoder(colours, channels, 3)
        self.recurrent_cell = _LSTMCell(channels)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images (N, C, H, W) -> logits (N, K, H, W), and the outputs."""
        state, states = (self.hy_encoder(images), self.hz_encoder(images), self.hc_encoder(images)), []
        for _ in range(self.num_steps):
            state = self.recurrent_cell(*state)
            states.append(state[0])
        return self.read(states), states


class Segmenter(nn.Module):
    """A network under the name that published checkpoints know it by.

    Args:
        kind: wave_machine or conv_lstm.
        channels, hidden, num_steps: as in the library's modules.
        classes, colours: of labels and images.
        how: the readout.
    """

    def __init__(
        self,
        kind: str,
        *,
        channels: int,
        hidden: list[int],
        num_steps: int,
        classes: int = waves.NUM_CLASSES,
        colours: int = 1,
        how: str = "linear",
    ):
        super().__init__()
        network = {"wave_machine": WaveClassifier, "conv_lstm": LSTMClassifier}[kind]
        self.classifier = network(channels, hidden, num_steps, classes, colours, how)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images (N, C, H, W) -> logits (N, K, H, W), and T states (N, C, H, W)."""
        return self.classifier(images)


def train(
    *, batch_size: int, size: int, compiled: bool = False, **options: Any
) -> tuple[Callable[[], float], dict[str, Any]]:
    """The side of a comparison: a training step of Adam on one batch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, images, labels = _setup(batch_size, size, device, options)
    if compiled:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> float:
        optimizer.zero_grad()
        value = F.cross_entropy(model(images)[0], labels)
        value.backward()
        optimizer.step()
        return value.item()

    return run, {"torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads()}


def reference(*, path: str, batch_size: int, size: int, **options: Any) -> tuple[Callable[[], None], dict[str, Any]]:
    """Write weights, loss and gradient to an npz file: state/KEY, loss, gradient/KEY."""
    model, images, labels = _setup(batch_size, size, torch.device("cpu"), options)
    value = F.cross_entropy(model(images)[0], labels)
    value.backward()
    arrays = {f"state/{key}": tensor for key, tensor in model.state_dict().items()}
    arrays |= {f"gradient/{key}": tensor.grad for key, tensor in model.named_parameters()}
    np.savez(path, loss=value.item(), **{key: tensor.numpy() for key, tensor in arrays.items()})
    return lambda: None, {"differences": {}}


def _setup(
    batch_size: int, size: int, device: torch.device, options: dict[str, Any]
) -> tuple[Segmenter, Tensor, Tensor]:
    torch.manual_seed(0)
    model = Segmenter(**options).to(device)
    arrays = waves.scenes(batch_size, size)
    images = torch.from_numpy(arrays["images"]).movedim(-1, 1).contiguous()
    return model, images.to(device), torch.from_numpy(arrays["labels"]).long().to(device)
