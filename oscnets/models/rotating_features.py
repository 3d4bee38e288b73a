"""Rotating Features and the Complex AutoEncoder: objects found in the orientations of an autoencoder's features.

Löwe, Lippe, Locatello and Welling, "Rotating features for object discovery" (2023), and Löwe, Lippe, Rudolph and
Welling, "Complex-valued autoencoders for object discovery" (2022), its case of two components with other biases.
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets._products.conv import conv_hwcb, conv_transpose_hwcb
from oscnets.dynamics import sphere
from oscnets.models._program import run
from oscnets.models.batch_norm import BatchNorm
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops.norm import normalize
from oscnets.phase import sincos

BIASES = ("rotation", "polar")


class Rotated(NamedTuple):
    """Output of an autoencoder of rotating features."""

    reconstruction: Array  # (B, H, W, C), in (0, 1) for pictures
    features: Array  # (B, H, W, C, n): their norms make the reconstruction, their orientations tell objects apart
    latent: Array  # (B, L, n)


# (C_out, C_in) uniform within 1 / sqrt(fan_in), which PyTorch takes from the output channels.
_transposed_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=-1, out_axis=-2)


class RotatingLayer(nn.Module):
    """A linear layer of features of n components, without bias, and what gives them their norm and orientation.

        psi = f(z) for each component;  chi = f(||z||)
        out = relu(normalize(||psi|| / 2 + chi / 2)) (psi + b) / ||psi + b||

    With polar biases the magnitude gets one before it is normalized, and the phase of psi another one.

    Attributes:
        features: of the output.
        kind: of f: a convolution 3x3, a transposed one that doubles the resolution, or a matrix.
        strides: of the convolution.
        biases: `rotation`, b of n components; `polar`, of magnitude and phase, with n = 2.
    """

    features: int
    kind: Literal["conv", "transposed", "dense"] = "conv"
    strides: int = 1
    biases: Literal["rotation", "polar"] = "rotation"

    @nn.compact
    def __call__(self, z: Array, *, train: bool) -> Array:
        """(..., C, n, B) -> (..., features, n, B), with the axes H and W in front unless `kind` is `dense`."""
        count, batch = z.shape[-2:]
        both = jnp.concatenate([z, _norm(z)[..., None, :]], axis=-2)
        out = self._linear(both.reshape(*both.shape[:-2], -1))
        out = out.reshape(*out.shape[:-1], count + 1, batch)
        psi, chi = out[..., :count, :], out[..., count, :]
        magnitude = 0.5 * (_norm(psi) + chi)
        start = self._bias_start(z.shape[-3])
        if self.biases == "polar":
            magnitude += self.param("magnitude_bias", start, (self.features,))[:, None]
            direction = _turned(psi, self.param("phase_bias", nn.initializers.zeros, (self.features,)))
        else:
            direction = _unit(psi + self.param("bias", start, (self.features, count))[..., None])
        return nn.relu(self._normalized(magnitude, train))[..., None, :] * direction

    def _linear(self, x: Array) -> Array:
        """(..., C, N) -> (..., features, N)."""
        if self.kind == "dense":
            kernel = self.param("kernel", torch_uniform, (x.shape[0], self.features))
            return jnp.matmul(kernel.T, x, precision=precision())
        shape = (3, 3, x.shape[2], self.features)
        if self.kind == "transposed":
            return conv_transpose_hwcb(x, self.param("kernel", _transposed_init, shape))
        # Zeros where the stride takes a part of its last cell only.
        x = jnp.pad(x, [*((0, -side % self.strides) for side in x.shape[:2]), (0, 0), (0, 0)])
        return conv_hwcb(x, self.param("kernel", torch_uniform, shape), strides=self.strides)

    def _bias_start(self, inputs: int) -> nn.initializers.Initializer:
        if self.kind == "dense":
            return torch_bias((inputs, self.features))
        return torch_bias((3, 3, self.features if self.kind == "transposed" else inputs, self.features))

    def _normalized(self, magnitude: Array, train: bool) -> Array:
        if self.kind == "dense":
            return LayerNorm(name="norm")(magnitude)
        return BatchNorm(axis=2, name="norm")(magnitude, train=train)


class LayerNorm(nn.Module):
    """Zero mean and unit variance over the features of (F, B), then scale and shift."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Shape-preserving; epsilon 1e-5."""
        scale = self.param("scale", nn.initializers.ones, x.shape[:1])
        shift = self.param("shift", nn.initializers.zeros, x.shape[:1])
        return normalize(x, 0) * scale[:, None] + shift[:, None]


def _norm(z: Array) -> Array:
    """Over the components, (..., n, B) -> (..., B)."""
    return sphere.norm(jnp.swapaxes(z, -2, -1))


def _unit(z: Array) -> Array:
    size = _norm(z)[..., None, :]
    return jnp.where(size == 0, 0, z / jnp.where(size == 0, 1, size))


def _turned(psi: Array, bias: Array) -> Array:
    """Unit vectors (..., C, 2, B) of the phases of psi plus a bias (C,)."""
    real, imag = psi[..., 0, :], psi[..., 1, :]
    # As published: numbers that are nearly real count as a little above the real axis, without gradient.
    imag = jnp.where(jnp.abs(imag) < 1e-8, 1e-8, imag)
    direction = _unit(jnp.stack([real, imag], axis=-2))
    sine, cosine = (x[:, None] for x in sincos(bias))
    real, imag = direction[..., 0, :], direction[..., 1, :]
    return jnp.stack([cosine * real - sine * imag, sine * real + cosine * imag], axis=-2)


class RotatingFeatures(nn.Module):
    """Autoencoder whose features are vectors: norms say what is there, orientations to which object it belongs.

    Five convolutions 3x3 that halve the resolution three times, a dense layer to the latent code, and back. The
    defaults are those of the published 4Shapes; `complex_autoencoder` makes the Complex AutoEncoder.

    Attributes:
        components: n.
        channels: h, of the first convolution.
        latent: L, features of the code.
        biases: see `RotatingLayer`; `polar`, with which n is 2, is the Complex AutoEncoder.
        frozen_features: whether the input is features of a frozen network in place of a picture: these are normalized
            over the batch and rectified, the resolution is halved only twice, and the reconstruction is not squashed.
    """

    components: int = 8
    channels: int = 32
    latent: int = 64
    biases: Literal["rotation", "polar"] = "rotation"
    frozen_features: bool = False

    def __call__(self, images: Array, *, train: bool = False) -> Rotated:
        """Encode and decode.

        Args:
            images: (B, H, W, C) >= 0, in [0, 1] for pictures; pictures have sides divisible by 8.
            train: normalize by the batch, and move the running statistics (`mutable=["batch_stats"]`).

        Raises:
            ValueError: images that are not 4-D or of other sides, fewer than 1 component, polar biases of other than 2.
        """
        return run(self, "_reconstruct", {"images": images}, core=3, out=Rotated(0, 0, 0), train=train)

    @nn.compact
    def _reconstruct(self, images: Array, *, train: bool) -> Rotated:
        self._check(images)
        x = rearrange(images, "b h w c -> h w c b")
        if self.frozen_features:
            x = nn.relu(BatchNorm(axis=2, name="input_norm")(x, train=train))
        z = jnp.pad(x[:, :, :, None], [(0, 0)] * 3 + [(0, self.components - 1), (0, 0)])
        layer = partial(RotatingLayer, biases=self.biases)
        for i, (features, strides) in enumerate(self._encoder()):
            z = layer(features, strides=strides, name=f"encoder_{i}")(z, train=train)
        height, width, channels = z.shape[:3]
        z = layer(self.latent, "dense", name="encoder_dense")(_flat(z), train=train)
        latent = z
        z = layer(height * width * channels, "dense", name="decoder_dense")(z, train=train)
        z = rearrange(z, "(c h w) n b -> h w c n b", h=height, w=width)
        for i, (features, doubles) in enumerate(self._decoder(images.shape[-1])):
            z = layer(features, "transposed" if doubles else "conv", name=f"decoder_{i}")(z, train=train)
        z = _centre(z, images.shape[1:3])
        return Rotated(
            rearrange(self._squashed(_norm(z)), "h w c b -> b h w c"),
            rearrange(z, "h w c n b -> b h w c n"),
            rearrange(latent, "l n b -> b l n"),
        )

    def _encoder(self) -> list[tuple[int, int]]:
        """Features and strides."""
        h, last = self.channels, 1 if self.frozen_features else 2
        return [(h, 2), (h, 1), (2 * h, 2), (2 * h, 1), (2 * h, last)]

    def _decoder(self, colours: int) -> list[tuple[int, bool]]:
        """Features, and whether the resolution doubles."""
        h = self.channels
        middle = h if self.biases == "polar" else 2 * h
        if self.frozen_features:
            return [(2 * h, True), (2 * h, False), (middle, False), (h, True), (colours, False)]
        return [(2 * h, True), (2 * h, False), (middle, True), (h, False), (colours, True)]

    def _squashed(self, magnitude: Array) -> Array:
        """The reconstruction of (H, W, C, B)."""
        colours = magnitude.shape[2]
        shift = self.param("output_shift", nn.initializers.zeros, (colours,))[:, None]
        if self.biases == "polar":
            kernel = self.param("output_kernel", nn.initializers.ones, (colours, colours))
            magnitude = jnp.einsum("hwcb,cd->hwdb", magnitude, kernel, precision=precision())
        else:
            magnitude = magnitude * self.param("output_scale", nn.initializers.ones, (colours,))[:, None]
        return magnitude + shift if self.frozen_features else nn.sigmoid(magnitude + shift)

    def _check(self, images: Array) -> None:
        whole = 1 if self.frozen_features else 8
        if images.ndim != 4 or images.shape[1] % whole or images.shape[2] % whole:
            raise ValueError(f"images must be (B, H, W, C) with sides divisible by {whole}, got {images.shape}")
        if self.components < 1:
            raise ValueError(f"components must be >= 1, got {self.components}")
        if self.biases not in BIASES:
            raise ValueError(f"biases must be one of {', '.join(BIASES)}, got {self.biases!r}")
        if self.biases == "polar" and self.components != 2:
            raise ValueError(f"components must be 2 for polar biases, got {self.components}")


def _flat(z: Array) -> Array:
    return rearrange(z, "h w c n b -> (c h w) n b")


def _centre(z: Array, size: tuple[int, ...]) -> Array:
    """The middle of (H, W, ...), of this size."""
    first = [(have - want) // 2 for have, want in zip(z.shape, size, strict=False)]
    return z[first[0] : first[0] + size[0], first[1] : first[1] + size[1]]


def complex_autoencoder(**options: Any) -> RotatingFeatures:
    """The Complex AutoEncoder: two components, biases of magnitude and phase.

    Args:
        **options: other attributes of `RotatingFeatures`.
    """
    return RotatingFeatures(**({"components": 2, "biases": "polar"} | options))
