"""Networks that iterate a residual block: what AKOrN is compared with (Miyato, Löwe, Geiger and Welling, 2025)."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen as nn
from jax import Array

from oscnets._inputs import concrete, dense_array, precision, whole_number
from oscnets._products.layout import from_hwcb, to_hwcb
from oscnets.dynamics import unroll
from oscnets.models._program import run
from oscnets.models.attention import attention, attention_weights, position_table
from oscnets.models.convolution import convolution
from oscnets.models.init import torch_bias, torch_uniform
from oscnets.ops.norm import normalize

HEADS = ("sudoku", "discovery")
DIGITS = 10  # of a Sudoku, 0 is a blank


def check_boards(boards: Any) -> None:
    """Raise ValueError for boards of Sudoku with digits outside 0 to 9, unless they are traced."""
    values = concrete(dense_array("boards", boards))
    if values is not None and ((values < 0) | (values >= DIGITS)).any():
        raise ValueError(f"boards must hold digits 0 to 9, got {values.min()} to {values.max()}")


class Iterated(NamedTuple):
    """Output of an iterated network."""

    logits: Array  # sudoku (B, 9, 9, 9), class k is digit k + 1; discovery (B, C), the embedding
    features: Array  # (B, H, W, C) after the last block


class _IteratedNet(nn.Module):
    """Blocks: `num_steps` times x += mix(norm(x)), then once x += perceptron(norm(x))."""

    head: Literal["sudoku", "discovery"] = "sudoku"
    channels: int = 512
    num_blocks: int = 1
    hidden: int | None = None
    num_steps: int = 32
    patch: int = 4

    def __call__(self, images: Array, *, num_steps: int | None = None) -> Iterated:
        """Iterate the blocks, and read out.

        Args:
            images: (B, H, W, C_in) in [0, 1]; for Sudoku boards (B, 9, 9) of digits 0 to 9, 0 for a blank.
            num_steps: applications of the mixing of each block; None takes the attribute.

        Raises:
            ValueError: images of another shape, sides that the patches do not divide, other digits, an unknown
                head, num_steps < 1.
        """
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {self.head!r}")
        num_steps = whole_number("num_steps", self.num_steps if num_steps is None else num_steps, 1)
        if self.head == "sudoku":
            check_boards(images)
        core = 2 if self.head == "sudoku" else 3
        return run(self, "_forward", {"images": images}, core=core, out=Iterated(0, 0), num_steps=num_steps)

    @nn.compact
    def _forward(self, images: Array, num_steps: int) -> Iterated:
        x = self._embedded(images) if self.head == "sudoku" else self._patches(images)
        x = self._placed(x)
        for index in range(self.num_blocks):
            mix, perceive = self._block(f"block_{index}", x)
            x = perceive(unroll(mix, x, num_steps)[0])
        return Iterated(self._logits(x), x)

    def _embedded(self, boards: Array) -> Array:
        if boards.ndim != 3:
            raise ValueError(f"boards must be (B, 9, 9), got shape {boards.shape}")
        table = self.param("embedding", nn.initializers.normal(1.0), (DIGITS, self.channels))
        return jnp.take(table, boards.astype(int), axis=0, mode="clip")

    def _patches(self, images: Array) -> Array:
        if images.ndim != 4 or images.shape[1] % self.patch or images.shape[2] % self.patch:
            raise ValueError(
                f"images must be (B, H, W, C) with sides divisible by the patch {self.patch}, got {images.shape}"
            )
        patches = rearrange(2 * images - 1, "b (h i) (w j) c -> b h w (i j c)", i=self.patch, j=self.patch)
        return self._dense("patch", patches, self.channels)

    def _placed(self, x: Array) -> Array:
        return x

    def _mixing(self, name: str, x: Array) -> Callable[[Array], Array]:
        """Make the weights of the product over positions, and return it."""
        raise NotImplementedError

    def _block(self, name: str, x: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
        """The two residual steps of a block."""
        mixing, hidden = self._mixing(name, x), self.hidden or 2 * self.channels
        norms = [self._norm(f"{name}_{part}", self.channels) for part in ("mix", "mlp")]
        wide = self._affine(f"{name}_wide", self.channels, hidden)
        narrow = self._affine(f"{name}_narrow", hidden, self.channels)
        mix = lambda x: x + mixing(norms[0](x))  # noqa: E731
        return mix, lambda x: x + narrow(jax.nn.gelu(wide(norms[1](x)), approximate=False))

    def _norm(self, name: str, channels: int) -> Callable[[Array], Array]:
        scale = self.param(f"{name}_scale", nn.initializers.ones, (channels,))
        shift = self.param(f"{name}_shift", nn.initializers.zeros, (channels,))
        return lambda x: normalize(x, -1) * scale + shift

    def _affine(self, name: str, inputs: int, units: int) -> Callable[[Array], Array]:
        kernel = self.param(f"{name}_kernel", torch_uniform, (inputs, units))
        bias = self.param(f"{name}_bias", torch_bias((inputs, units)), (units,))
        return lambda x: jnp.matmul(x, kernel, precision=precision()) + bias

    def _dense(self, name: str, x: Array, units: int) -> Array:
        return self._affine(name, x.shape[-1], units)(x)

    def _logits(self, x: Array) -> Array:
        if self.head == "sudoku":
            return self._dense("output", self._norm("output", self.channels)(x), DIGITS - 1)
        pooled = x.reshape(len(x), -1, self.channels).max(1)
        return self._dense(
            "embedding", nn.relu(self._dense("embedding_hidden", pooled, 4 * self.channels)), self.channels
        )


class ItrSA(_IteratedNet):
    """Iterated self-attention; with `num_steps=1` and several blocks the Transformer of the comparison.

    Learned positions, pre-norm residual blocks, the head the fast index of the channels as in AKOrN.

    Attributes:
        head: `sudoku` takes boards of digits, `discovery` takes images in [0, 1].
        channels: C.
        num_blocks: blocks, each with weights of its own.
        hidden: units of the perceptron of a block; 2 C if None.
        num_steps: applications of the attention of each block, before its perceptron, unless the call sets it.
        patch: side of the patches of discovery, pixels.
        heads: of the attention.
    """

    heads: int = 8

    def _placed(self, x: Array) -> Array:
        return x + self.param("positions", lambda _: position_table(*x.shape[1:]))

    def _mixing(self, name: str, x: Array) -> Callable[[Array], Array]:
        weights = attention_weights(self, x.shape[-1], self.heads, None, prefix=f"{name}_")
        return attention(weights, self.heads)


class ItrConv(_IteratedNet):
    """Iterated convolution: `ItrSA` with a convolution in the place of the attention, and without positions.

    Attributes:
        head, channels, num_blocks, hidden, num_steps, patch: see `ItrSA`.
        kernel_size: odd size of the convolution.
    """

    kernel_size: int = 5

    def _mixing(self, name: str, x: Array) -> Callable[[Array], Array]:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], x.shape[-1])
        kernel = self.param(f"{name}_kernel", torch_uniform, shape)
        bias = self.param(f"{name}_bias", torch_bias(shape), shape[-1:])
        convolve = convolution(kernel.astype(x.dtype), x.shape[1:3], len(x))
        return lambda x: from_hwcb(convolve(to_hwcb(x)), x.shape[:1]) + bias
