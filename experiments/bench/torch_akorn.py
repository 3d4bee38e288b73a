"""AKOrN in eager PyTorch: the reference of the timings of the JAX training step.

Written from the equations of Miyato et al., 2025, for speed in plain PyTorch: queries, keys and values are one product
and are turned together, the attention is PyTorch's own, weights are brought into its order of heads once a step,
channels are last throughout, nothing is compiled. Parameters have the published names and layouts.
Needs the extra `bench`; imported only when a comparison runs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.bench import akorn

TEMPERATURE = 0.1


class Output(NamedTuple):
    """Logits (B, 9, 9, 9) or embedding (B, C), features and states (B, H, W, C)."""

    logits: Tensor
    features: Tensor
    states: Tensor


class Attention(nn.Module):
    """Self-attention on a grid whose queries, keys, values and outputs are turned by learned 2 x 2 blocks."""

    def __init__(self, channels: int, heads: int, side: int):
        super().__init__()
        self.heads, self.size = heads, channels // heads
        self.W_qkv, self.W_o = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        blocks = _position_blocks(side, self.size)
        self.mat_q, self.mat_k, self.mat_v = (nn.Parameter(blocks.clone()) for _ in range(3))
        self.mat_o = nn.Parameter(blocks.mT.contiguous())

    def prepare(self) -> Callable[[Tensor], Tensor]:
        """The attention as a function (B, H, W, C) -> (B, H, W, C); it may be called many times."""
        # The head is the fast index of the published channels, here it is the slow one.
        wide = (
            self.W_qkv.weight.view(3, self.size, self.heads, -1).transpose(1, 2).reshape(3 * self.W_o.in_channels, -1)
        )
        bias = self.W_qkv.bias.view(3, self.size, self.heads).transpose(1, 2).reshape(-1)
        out = self.W_o.weight.view(-1, self.size, self.heads).transpose(1, 2).reshape(self.W_o.in_channels, -1)
        turns = torch.stack([self.mat_q, self.mat_k, self.mat_v])[:, None, None]

        def attend(x: Tensor) -> Tensor:
            tokens = x.flatten(1, 2)
            qkv = F.linear(tokens, wide, bias).unflatten(-1, (3, self.heads, self.size)).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(*_turned(qkv, turns).unbind())
            y = _turned(y, self.mat_o).transpose(1, 2).flatten(2)
            return F.linear(y, out, self.W_o.bias).view_as(x)

        return attend


class Convolution(nn.Conv2d):
    """Convolution to as many channels."""

    def __init__(self, channels: int, kernel_size: int):
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2)

    def prepare(self) -> Callable[[Tensor], Tensor]:
        """As of `Attention`."""
        weight = self.weight.contiguous(memory_format=torch.channels_last)
        padding = self.kernel_size[0] // 2
        return lambda x: F.conv2d(x.movedim(-1, 1), weight, self.bias, padding=padding).movedim(1, -1)


class Rotation(nn.Module):
    """A natural frequency for all pairs of channels: the norm of two numbers."""

    def __init__(self, start: float = 0.5):
        super().__init__()
        self.omg_param = nn.Parameter(torch.full((2,), start / 2**0.5))


class KuramotoLayer(nn.Module):
    """Oscillators of n consecutive channels; without rotation the identity stands in its place, as published."""

    def __init__(self, coupling: nn.Module, components: int, rotates: bool):
        super().__init__()
        self.connectivity, self.components = coupling, components
        if rotates:
            self.omg = Rotation()
        self.rotates = rotates

    def forward(self, x: Tensor, stimulus: Tensor, rate: Tensor, num_steps: int) -> Tensor:
        """States (B, H, W, C) after the last step."""
        coupled, split = self.connectivity.prepare(), (-1, self.components)
        frequency = self.omg.omg_param.norm() if self.rotates else None
        x = F.normalize(x.unflatten(-1, split), dim=-1)
        for _ in range(num_steps):
            force = (coupled(x.flatten(-2)) + stimulus).unflatten(-1, split)
            velocity = force - (force * x).sum(-1, keepdim=True) * x
            if frequency is None:
                velocity = velocity + x
            else:
                first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
                velocity = velocity + frequency * torch.stack([second, -first], -1).flatten(-2)
            x = F.normalize(x + rate * velocity, dim=-1)
        return x.flatten(-2)


class Readout(nn.Module):
    """Norms of groups of n channels of a linear map."""

    def __init__(self, channels: int, components: int):
        super().__init__()
        self.invconv = nn.Conv2d(channels, channels * components, 1)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return _pointwise(self.invconv, x).unflatten(-1, (len(self.bias), -1)).norm(dim=-1) + self.bias


class AKOrN(nn.Module):
    """One Kuramoto layer with the head of Sudoku, or that of discovery on pictures of three colours.

    Args:
        head, coupling: as of the library's module.
        channels, num_steps, heads, components, kernel_size: likewise.
    """

    def __init__(
        self,
        head: str,
        coupling: str,
        channels: int,
        num_steps: int,
        *,
        heads: int = akorn.HEADS,
        components: int = akorn.COMPONENTS,
        kernel_size: int = akorn.KERNEL_SIZE,
    ):
        super().__init__()
        self.num_steps, self.boards = num_steps, head == "sudoku"
        attention = partial(Attention, channels, heads, akorn.side(head))
        coupled = attention() if coupling == "attention" else Convolution(channels, kernel_size)
        layer, readout = KuramotoLayer(coupled, components, self.boards), Readout(channels, components)
        self.gamma = nn.Parameter(torch.ones(1), requires_grad=self.boards)
        if self.boards:
            self.embedding = nn.Embedding(10, channels)
            hidden, residual, output = (_activated(channels, channels) for _ in range(3))
            perceptron = _named(fn=_named(fn=nn.Sequential(_named(fn=hidden), _named(fn=residual))))
            self.layers = nn.ModuleList(
                [nn.ModuleList([layer, nn.ModuleList([readout, perceptron, _named(fn=output)])])]
            )
            self.out = nn.ModuleList(_activated(channels, 9)[1:])
            return
        self.patchfy = nn.ModuleList([nn.Identity(), nn.Conv2d(3, channels, akorn.PATCH, akorn.PATCH)])
        self.layers = nn.ModuleList([nn.ModuleList([layer, readout])])
        ends = (nn.Linear(channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, channels))
        self.out = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Identity(), *ends])

    def forward(self, images: Tensor, noise: Tensor) -> Output:
        """Boards (B, 9, 9), or images (B, 3, H, W) in [0, 1], and noise (B, H, W, C)."""
        layer, read = self.layers[0]
        if not self.boards:
            stimulus = self.patchfy[1](2 * images - 1).movedim(1, -1).contiguous()
            states = layer(noise, stimulus, self.gamma, self.num_steps)
            features = read(states)
            first, relu, last = self.out[3:]
            return Output(last(relu(first(features.amax((1, 2))))), features, states)
        stimulus = self.embedding(images)
        start = torch.where((images > 0)[..., None], stimulus, noise)
        states = layer(start, stimulus, self.gamma, self.num_steps)
        readout, perceptron, output = read
        v = readout(states)
        hidden, residual = perceptron.fn.fn
        v = v + _rectified(residual.fn, _rectified(hidden.fn, v))
        v = _rectified(output.fn, v)
        return Output(_pointwise(self.out[1], v.relu()), v, states)


def _position_blocks(side: int, size: int) -> Tensor:
    """Rotations (side^2, size / 2, 2, 2), by row and by column in turns."""
    count = -(-size // 4)
    frequency = 10000.0 ** (-torch.arange(count) / count)
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
    angle = (places[:, None] * frequency[:, None]).flatten(1)[:, : size // 2]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def _turned(x: Tensor, blocks: Tensor) -> Tensor:
    """(..., N, d), each pair of consecutive channels times its block (..., N, d / 2, 2, 2)."""
    pairs = x.unflatten(-1, (-1, 2))
    return torch.addcmul(blocks[..., 0] * pairs[..., :1], blocks[..., 1], pairs[..., 1:]).flatten(-2)


def _pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of one pixel, of channels last."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)


def _activated(inputs: int, outputs: int) -> nn.ModuleList:
    """A rectified convolution of one pixel, whose place in the published list is the third."""
    return nn.ModuleList([nn.Identity(), nn.Identity(), nn.Conv2d(inputs, outputs, 1)])


def _rectified(layer: nn.ModuleList, x: Tensor) -> Tensor:
    return _pointwise(layer[2], x.relu())


def _named(**modules: nn.Module) -> nn.Module:
    """A module of parts with names."""
    module = nn.Module()
    for name, part in modules.items():
        module.add_module(name, part)
    return module


def loss(model: AKOrN, images: Tensor, targets: Tensor, noise: Tensor) -> Tensor:
    """Cross-entropy of all cells, or SimCLR's of two views; noise (runs, B, H, W, C)."""
    if model.boards:
        return F.cross_entropy(model(images, noise[0]).logits.flatten(0, 2), targets.flatten())
    # Both views are one batch.
    z = F.normalize(model(torch.cat([images, targets]), noise.flatten(0, 1)).logits, dim=-1)
    products = (z @ z.mT / TEMPERATURE).fill_diagonal_(-1e8)
    return F.cross_entropy(products, torch.arange(len(z), device=z.device).roll(len(images)))


def train(*, batch_size: int, compiled: bool = False, **options: Any) -> tuple[Callable[[], float], dict[str, Any]]:
    """The side of a comparison: a training step of Adam on one batch, fresh noise every time."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, batch = _setup(batch_size, device, options)
    if compiled:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> float:
        optimizer.zero_grad()
        value = loss(model, **batch | {"noise": torch.randn_like(batch["noise"])})
        value.backward()
        optimizer.step()
        return value.item()

    return run, {"torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads()}


def reference(*, path: str, batch_size: int, **options: Any) -> tuple[Callable[[], None], dict[str, Any]]:
    """Write weights, noise, loss and gradient to an npz file: state/KEY, noise, loss, gradient/KEY."""
    model, batch = _setup(batch_size, torch.device("cpu"), options)
    value = loss(model, **batch)
    value.backward()
    arrays = {f"state/{key}": tensor.detach() for key, tensor in model.named_parameters()}
    for key, tensor in model.named_parameters():
        arrays[f"gradient/{key}"] = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    arrays["noise"] = batch["noise"]
    np.savez(path, loss=value.item(), **{key: tensor.numpy() for key, tensor in arrays.items()})
    return lambda: None, {"differences": {}}


def _setup(batch_size: int, device: torch.device, options: dict[str, Any]) -> tuple[AKOrN, dict[str, Tensor]]:
    torch.manual_seed(0)
    head, channels = options["head"], options["channels"]
    model = AKOrN(**options).to(device)
    batch = {key: torch.from_numpy(array) for key, array in akorn.batch(head, batch_size).items()}
    if head == "sudoku":
        batch["targets"] = batch["targets"].long()
    else:
        batch = {key: images.movedim(-1, 1).contiguous() for key, images in batch.items()}
    side = akorn.side(head)
    batch["noise"] = torch.randn(akorn.RUNS[head], batch_size, side, side, channels)
    return model, {key: tensor.to(device) for key, tensor in batch.items()}
