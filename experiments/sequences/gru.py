"""The baseline without oscillators: gated recurrent units (Cho et al., 2014)."""

from flax import linen as nn
from jax import Array


class GRU(nn.Module):
    """Gated recurrent units, read by a dense layer.

    Attributes:
        num_outputs: K.
        units: of the recurrent layer.
        every_step: read every step; else the last one.
    """

    num_outputs: int
    units: int
    every_step: bool = False

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """(B, L, C) -> (B, K), or (B, L, K) of every step."""
        states = nn.RNN(nn.GRUCell(self.units))(inputs)
        return nn.Dense(self.num_outputs)(states if self.every_step else states[:, -1])
