"""KomplexNet in eager PyTorch: the reference of the timings of the JAX training step.

Written from the equations of Muzellec et al., TMLR 2025, as one would write it for speed in plain PyTorch: real and
imaginary parts share a call, phases travel as unit vectors, nothing is compiled. Layout (N, C, H, W) and the names of
the parameters are those of the published checkpoints, so that a published state dict loads with `load_state_dict`.
Needs the extra `bench`; imported only when a comparison runs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.bench import komplexnet

FEEDBACK = {"rate": 0.009, "feedback": {"l2": 0.005, "l3": 0.004, "l4": 0.004}}


class Polar(NamedTuple):
    """A complex field: magnitude, and the unit vector of its phase."""

    magnitude: Tensor
    cos: Tensor
    sin: Tensor


class Output(NamedTuple):
    """Logits (T, N, K), phases of the first layer after the last step (N, C, H, W), amplitude of that layer."""

    logits: Tensor
    phases: Tensor
    amplitude: Tensor


def _unit(real: Tensor, imag: Tensor) -> Polar:
    """Polar form of real + i imag; the phase of 0 is 0, and its gradient too."""
    squared = real.square() + imag.square()
    zero = squared == 0
    magnitude = torch.where(zero, 1.0, squared).sqrt()
    return Polar(magnitude.masked_fill(zero, 0.0), (real / magnitude).masked_fill(zero, 1.0), imag / magnitude)


def _mix(layer: nn.Module, field: Polar) -> Polar:
    """Equations (3) and (4): one call of the layer on real part, imaginary part and magnitude."""
    parts = torch.cat([field.magnitude * field.cos, field.magnitude * field.sin, field.magnitude])
    real, imag, plain = layer(parts).chunk(3)
    psi = _unit(real, imag)
    return psi._replace(magnitude=0.5 * psi.magnitude + 0.5 * plain)


class ComplexConv(nn.Module):
    """3x3 convolution of stride 2, instance norm of the magnitude, relu: equations (3) to (5)."""

    def __init__(self, channels: int):
        super().__init__()
        self.kernel_conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, field: Polar) -> Polar:
        """(N, C, H, W) -> (N, C, H / 2, W / 2)."""
        mixed = _mix(self.kernel_conv, field)
        return mixed._replace(magnitude=F.relu(self.norm(mixed.magnitude)))


class ComplexDense(nn.Module):
    """Dense layer; with `norm` layer norm of the magnitude and relu: equations (3) to (5), else (3) and (4)."""

    def __init__(self, inputs: int, outputs: int, norm: bool):
        super().__init__()
        self.weights = nn.Linear(inputs, outputs)
        self.norm = nn.LayerNorm(outputs) if norm else None

    def forward(self, field: Polar) -> Polar:
        """(N, ...) -> (N, outputs); a field of an image is flattened first."""
        mixed = _mix(self.weights, Polar(*(part.flatten(1) for part in field)))
        if self.norm is None:
            return mixed
        return mixed._replace(magnitude=F.relu(self.norm(mixed.magnitude)))


class KomplexNet(nn.Module):
    """The network of equations (1) to (6), with feedback from any of l2, l3, l4.

    Args:
        channels: channels of the first two layers; images are (N, 1, 32, 32).
        hidden, classes: units of the two dense layers.
        kernel_size: odd size of the lateral kernel.
        feedback: rates of the feedback by layer, for example {"l2": 0.005}; none: feedforward.
        feedback_size: odd size of the kernel from l2.
    """

    def __init__(
        self,
        *,
        channels: int = 8,
        hidden: int = 50,
        classes: int = 10,
        kernel_size: int = 13,
        rate: float = 0.006,
        epsilon: float = 0.2,
        feedback: dict[str, float] | None = None,
        feedback_size: int = 5,
    ):
        super().__init__()
        self.rate, self.epsilon, self.feedback = rate, epsilon, dict(feedback or {})
        self.downsampling = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.convA = ComplexConv(channels)
        self.classif1 = nn.Sequential(nn.Identity(), ComplexDense(channels * 16 * 16, hidden, norm=True))
        self.classif2 = ComplexDense(hidden, classes, norm=False)
        self.kernel_kuramoto = nn.Parameter(_gaussian(kernel_size).expand(channels, channels, -1, -1).clone())
        shapes = {"l2": (channels, channels, feedback_size, feedback_size), "l3": (channels, hidden)}
        shapes["l4"] = (channels, classes)
        for layer in self.feedback:
            setattr(self, f"kernel_kuramoto_{layer}", nn.Parameter(torch.full(shapes[layer], 1e-6)))

    def forward(self, images: Tensor, phases: Tensor, num_steps: int = 15) -> Output:
        """Images (N, 1, H, W) and initial phases (N, C, H, W); the head is applied after every step."""
        amplitude = F.relu(self.downsampling(images))
        drive = torch.tanh(amplitude)
        logits, layers = [], None
        for _ in range(num_steps):
            phases = self.step(phases, drive, layers)
            layers = self.head(Polar(amplitude, phases.cos(), phases.sin()))
            magnitude = layers["l4"].magnitude
            logits.append(magnitude - magnitude.amax(-1, keepdim=True) / 3)
        return Output(torch.stack(logits), phases, amplitude)

    def step(self, phases: Tensor, drive: Tensor, layers: dict[str, Polar] | None) -> Tensor:
        """Equation (1), and (6) once there are layers to look back at."""
        cos, sin = phases.cos(), phases.sin()
        field = torch.cat([drive * cos, drive * sin])
        near = F.conv2d(field, self.kernel_kuramoto, padding="same")
        real, imag = (near - self.epsilon * field.sum((1, 2, 3), keepdim=True)).chunk(2)
        pull = self.rate * (cos * imag - sin * real)
        if layers is not None:
            for layer, rate in self.feedback.items():
                real, imag = self.look_back(layer, layers[layer]).chunk(2)
                pull = pull + rate * (cos * imag - sin * real)
        return phases + pull

    def look_back(self, layer: str, field: Polar) -> Tensor:
        """F_l of equation (6), real parts then imaginary parts along the batch."""
        kernel = getattr(self, f"kernel_kuramoto_{layer}")
        drive = torch.tanh(field.magnitude)
        parts = torch.cat([drive * field.cos, drive * field.sin])
        if layer != "l2":
            return F.linear(parts, kernel)[..., None, None]
        return F.conv_transpose2d(parts, kernel, stride=2, padding=kernel.shape[-1] // 2, output_padding=1)

    def head(self, field: Polar) -> dict[str, Polar]:
        """The three layers above the first, by name."""
        convolved = self.convA(field)
        hidden = self.classif1(convolved)
        return {"l2": convolved, "l3": hidden, "l4": self.classif2(hidden)}


def _gaussian(size: int, std: float = 3.0) -> Tensor:
    axis = torch.linspace(-1, 1, size)
    return torch.exp(-(axis[:, None].square() + axis.square()) / (2 * std**2))


def cluster_synchrony(
    phases: Tensor, masks: Tensor, amplitude: Tensor, silent: str = "exclude", normalization: str = "bounded"
) -> Tensor:
    """Equation (2), an image each (N,); phases and amplitude (N, C, H, W), masks (N, G, H, W).

    silent: "exclude" leaves units of amplitude 0 out; "zero" counts them, with phase 0.
    normalization: "bounded" as in the equation; "half": GASPnet's prefactor 1/2.
    """
    active = amplitude > 0
    groups = masks.unsqueeze(2)
    if silent == "exclude":
        groups = groups * active.unsqueeze(1)
    else:
        groups, phases = groups.expand(-1, -1, phases.shape[1], -1, -1), phases * active
    size = groups.sum((-2, -1))
    real = torch.einsum("ngchw,nchw->ngc", groups, phases.cos())
    imag = torch.einsum("ngchw,nchw->ngc", groups, phases.sin())
    spread = torch.where(size > 0, 1 - _unit(real, imag).magnitude / size.clamp(min=1), 0.0).mean((1, 2))
    mean = _unit(real.sum(2), imag.sum(2))
    unit = torch.complex(mean.cos, mean.sin)
    orders = range(1, masks.shape[1] // 2 + 1)
    between = sum((unit**m).sum(1).abs().square() / m**2 for m in orders) / (2 * masks.shape[1])
    whole = 1 + masks.shape[1] / 2 * sum(1 / m**2 for m in orders)
    return (spread + between) / (whole if normalization == "bounded" else 2)


def loss(
    model: KomplexNet, images: Tensor, phases: Tensor, masks: Tensor, targets: Tensor, *, num_steps: int, weight: float
) -> Tensor:
    """Equation (7), averaged over the batch; targets (N, K) two-hot."""
    out = model(images, phases, num_steps)
    entropy = F.binary_cross_entropy_with_logits(out.logits, targets.expand_as(out.logits))
    return entropy + weight * cluster_synchrony(out.phases, masks, out.amplitude).mean()


def train_step(model: KomplexNet, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor], **options) -> float:
    """One step of Adam with the gradient clipped to a global norm of 2; returns the loss before it."""
    optimizer.zero_grad()
    value = loss(model, **batch, **options)
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimizer.step()
    return value.item()


def train(
    *,
    batch_size: int,
    num_steps: int,
    kernel_size: int,
    feedback: bool = False,
    network: type[KomplexNet] = KomplexNet,
    compiled: bool = False,
) -> tuple[Callable[[], float], dict[str, Any]]:
    """The side of a comparison: a training step on one batch, fresh phases every time."""
    device = _device()
    model, batch = _setup(network, batch_size, kernel_size, feedback, device)
    if compiled:
        model.compile()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> float:
        phases = (2 * torch.rand_like(batch["phases"]) - 1) * torch.pi
        return train_step(model, optimizer, batch | {"phases": phases}, num_steps=num_steps, weight=1.0)

    return run, {"torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads()}


def reference(
    *,
    path: str,
    batch_size: int,
    num_steps: int,
    kernel_size: int,
    feedback: bool = False,
    network: type[KomplexNet] = KomplexNet,
) -> tuple[Callable[[], None], dict[str, Any]]:
    """Write weights, phases, loss and gradient to an npz file: state/KEY, phases, num_steps, loss, gradient/KEY.

    Feedback starts so small that no other gradient would tell; here its kernels are as if trained.
    """
    model, batch = _setup(network, batch_size, kernel_size, feedback, torch.device("cpu"))
    for key, parameter in model.named_parameters():
        if key.startswith("kernel_kuramoto_"):
            nn.init.normal_(parameter, std=0.1)
    value = loss(model, **batch, num_steps=num_steps, weight=1.0)
    value.backward()
    arrays = {f"state/{key}": tensor for key, tensor in model.state_dict().items()}
    arrays |= {f"gradient/{key}": tensor.grad for key, tensor in model.named_parameters()}
    arrays |= {"phases": batch["phases"], "loss": value.detach()}
    np.savez(path, num_steps=num_steps, **{key: tensor.numpy() for key, tensor in arrays.items()})
    return lambda: None, {"differences": {}}


def _setup(
    network: type[KomplexNet], batch_size: int, kernel_size: int, feedback: bool, device: torch.device
) -> tuple[KomplexNet, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = network(kernel_size=kernel_size, **(FEEDBACK if feedback else {})).to(device)
    arrays = {key: torch.from_numpy(array) for key, array in komplexnet.scenes(batch_size).items()}
    batch = {
        "images": arrays["images"].movedim(-1, 1).contiguous(),
        "masks": arrays["masks"].movedim(-1, 1).float().contiguous(),
        "targets": F.one_hot(arrays["labels"].long(), 10).sum(1).float(),
        "phases": (2 * torch.rand(batch_size, 8, komplexnet.SIZE, komplexnet.SIZE) - 1) * torch.pi,
    }
    return model, {key: tensor.to(device) for key, tensor in batch.items()}


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
