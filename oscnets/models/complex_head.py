"""KomplexNet's layers after the dynamics, and their feedback: complex activations with real weights, batch last."""

from collections.abc import Sequence

import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets._products.conv import conv_hwcb, conv_transpose_hwcb
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops import complex as polar
from oscnets.phase import sincos

Layers = dict[str, polar.Polar]  # activations of every layer above the first, by name


class ComplexHead(nn.Module):
    """The layers after the dynamics, the same at every time step, in the layout hwcb.

    A strided convolution, dense, dense: all complex with real weights. `precompute` gives the part that is constant in
    time.
    """

    channels: int
    hidden: int
    num_classes: int

    @nn.compact
    def _weights(self, size: Sequence[int]) -> dict[str, Array]:
        """Declare the parameters for a first layer of `size` (H, W)."""
        features = size[0] // 2 * (size[1] // 2) * self.channels
        shapes = {
            "conv": (3, 3, self.channels, self.channels),
            "hidden": (features, self.hidden),
            "output": (self.hidden, self.num_classes),
        }
        weights = {}
        for name, shape in shapes.items():
            weights[f"{name}_kernel"] = self.param(f"{name}_kernel", torch_uniform, shape)
            weights[f"{name}_bias"] = self.param(f"{name}_bias", torch_bias(shape), shape[-1:])
        for name in ("conv", "hidden"):
            weights[f"{name}_scale"] = self.param(f"{name}_scale", nn.initializers.ones, shapes[name][-1:])
            weights[f"{name}_shift"] = self.param(f"{name}_shift", nn.initializers.zeros, shapes[name][-1:])
        return weights

    def precompute(self, amplitude: Array) -> Array:
        """(H, W, C, B) amplitude -> the classic term of equation 4 of the convolution, (H/2, W/2, C, B)."""
        weights = self._weights(amplitude.shape[:2])
        return conv_hwcb(amplitude, weights["conv_kernel"], strides=2) + weights["conv_bias"][:, None]

    def __call__(self, phases: Array, amplitude: Array, classic: Array) -> Layers:
        """(H, W, C, B) phases and amplitude, and `precompute(amplitude)` -> the layers of one step, batch last."""
        sine, cosine = sincos(phases)
        return self.of_field(jnp.concatenate([amplitude * cosine, amplitude * sine], axis=-1), classic)

    def of_field(self, field: Array, classic: Array) -> Layers:
        """The same of the field amplitude e^{i phase}, (H, W, C, 2 B), real parts before imaginary ones."""
        weights = self._weights(field.shape[:2])
        psi = conv_hwcb(field, weights["conv_kernel"], strides=2) + weights["conv_bias"][:, None]
        z = polar.gate(*jnp.split(psi, 2, axis=-1), classic)
        l2 = polar.rectify(z, weights["conv_scale"][:, None], weights["conv_shift"][:, None], axes=(0, 1))
        z = _dense(_flat(l2), weights["hidden_kernel"], weights["hidden_bias"])
        l3 = polar.rectify(z, weights["hidden_scale"][:, None], weights["hidden_shift"][:, None], axes=0)
        return {"l2": l2, "l3": l3, "l4": _dense(l3, weights["output_kernel"], weights["output_bias"])}

    def zero_layers(self, amplitude: Array) -> Layers:
        """Layers of magnitude 0, which exert no force: the feedback of the first step, batch last."""
        height, width, _, batch = amplitude.shape
        l2 = (height // 2, width // 2, self.channels, batch)
        shapes = {"l2": l2, "l3": (self.hidden, batch), "l4": (self.num_classes, batch)}
        return {name: polar.Polar(*(jnp.zeros(shape, amplitude.dtype),) * 3) for name, shape in shapes.items()}


def logits_of(layers: Layers) -> Array:
    """(B, K)."""
    return polar.contrast_logits(layers["l4"].magnitude, axis=0).T


def feedback_field(kernels: dict[str, Array], rates: dict[str, Array | float], sent: dict[str, Array]) -> Array | float:
    """Equation 6: rate_l F_l summed over the layers l with a kernel, broadcastable to (H, W, C, 2 B); 0 of none."""
    total = 0.0
    for name, kernel in kernels.items():
        of_layer = conv_transpose_hwcb if name == "l2" else _uniform_field
        total = total + rates[name] * of_layer(sent[name], kernel)
    return total


def sent_fields(layers: Layers) -> dict[str, Array]:
    """What each layer sends: tanh of the magnitude at the phase, real parts before imaginary ones."""
    fields = {}
    for name, z in layers.items():
        drive = jnp.tanh(z.magnitude)
        fields[name] = jnp.concatenate([drive * z.cosine, drive * z.sine], axis=-1)
    return fields


def _uniform_field(field: Array, kernel: Array) -> Array:
    """(inputs, B), (inputs, C) -> (C, B): the same at all pixels."""
    return jnp.matmul(kernel.T, field, precision=precision())


def _flat(z: polar.Polar) -> polar.Polar:
    return polar.Polar(*(rearrange(x, "h w c b -> (h w c) b") for x in z))


def _dense(z: polar.Polar, kernel: Array, bias: Array) -> polar.Polar:
    """Equations 3 and 4 of a dense layer, features first: real part, imaginary part and magnitude in one product."""
    stacked = jnp.concatenate([*z.parts, z.magnitude], axis=-1)
    psi = jnp.matmul(kernel.T, stacked, precision=precision()) + bias[:, None]
    return polar.gate(*jnp.split(psi, 3, axis=-1))
