"""Recurrent networks of oscillators and waves: coRNN (Rusch and Mishra, 2021), wave-RNN (Keller et al., 2024)."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets._inputs import precision
from oscnets.dynamics import recurrent
from oscnets.models._program import run
from oscnets.models.init import torch_bias, torch_uniform


class SequenceOutput(NamedTuple):
    """Output of a recurrent network."""

    logits: Array  # (B, K), of the last step; or (B, T, K), of every step
    states: Array  # after every step: positions (B, T, N) of the coRNN, (B, T, places, channels) of the wave-RNN


OUTPUT = SequenceOutput(0, 0)  # type: ignore[arg-type]


def check_sequences(inputs: Array) -> None:
    """ValueError unless inputs are (B, T, C_in) with at least one step."""
    if inputs.ndim != 3 or not inputs.shape[1]:
        raise ValueError(f"inputs must be (B, T, C_in) with T >= 1, got shape {inputs.shape}")


class CoRNN(nn.Module):
    """Coupled oscillatory recurrent network: damped oscillators that drive each other through tanh.

    The dynamics are `oscnets.dynamics.recurrent.oscillator_trajectory`. All weights of the oscillators start as those
    of one PyTorch layer of inputs, velocities and positions.

    Attributes:
        num_outputs: K.
        units: N, oscillators.
        dt: time step.
        stiffness: gamma, the squared frequency of an oscillator alone.
        damping: epsilon.
        every_step: read every step; else the last one.
    """

    num_outputs: int = 10
    units: int = 256
    dt: float = 0.042
    stiffness: float = 2.7
    damping: float = 4.7
    every_step: bool = False

    def __call__(self, inputs: Array) -> SequenceOutput:
        """Run over sequences (B, T, C_in).

        Raises:
            ValueError: inputs of another rank, or without a step.
        """
        return run(self, "_run", {"inputs": inputs}, core=2, out=OUTPUT)

    @nn.compact
    def _run(self, inputs: Array) -> SequenceOutput:
        check_sequences(inputs)
        units, fan_in = self.units, inputs.shape[-1] + 2 * self.units
        start = torch_bias((fan_in, units))
        kernel = self.param("input_kernel", start, (inputs.shape[-1], units))
        couplings = [self.param(f"{name}_coupling", start, (units, units)) for name in ("position", "velocity")]
        drive = jnp.matmul(inputs, kernel, precision=precision()) + self.param("bias", start, (units,))
        options = {"dt": self.dt, "stiffness": self.stiffness, "damping": self.damping}
        positions, _ = recurrent.oscillator_trajectory(drive, *couplings, **options)
        read = positions if self.every_step else positions[:, -1]
        return SequenceOutput(Readout((), self.num_outputs, name="readout")(read), positions)


class WaveRNN(nn.Module):
    """Recurrent network whose units on a ring receive from their neighbours: waves travel around it.

    The dynamics are `oscnets.dynamics.recurrent.ring_trajectory`. With places=1 and kernel_size=1 it is the ordinary
    recurrent network of identity weights (iRNN) with `channels` units.

    Attributes:
        num_outputs: K.
        places: N, around the ring.
        channels: C at every place.
        kernel_size: places that a unit receives from.
        activation: "relu" or "tanh".
        start: first kernel: "shift" moves a pattern by one place a step, towards lower places; "identity" keeps it;
            "random" is PyTorch's.
        one_source: the inputs start at weight 1 for place 0 and 0 for all others; else they are normal of spread 1e-3.
        hidden: units of hidden layers, rectified, between the ring and the outputs.
        every_step: read every step; else the last one.
    """

    num_outputs: int = 10
    places: int = 100
    channels: int = 6
    kernel_size: int = 3
    activation: recurrent.Activation = "relu"
    start: Literal["shift", "identity", "random"] = "shift"
    one_source: bool = False
    hidden: tuple[int, ...] = ()
    every_step: bool = False

    def __call__(self, inputs: Array) -> SequenceOutput:
        """Run over sequences (B, T, C_in).

        Raises:
            ValueError: inputs of another rank, or without a step; an unknown start or activation.
        """
        return run(self, "_run", {"inputs": inputs}, core=2, out=OUTPUT)

    @nn.compact
    def _run(self, inputs: Array) -> SequenceOutput:
        check_sequences(inputs)
        ring = (self.places, self.channels)
        kernel = self.param("input_kernel", self._input_kernel, (inputs.shape[-1], *ring))
        bias = nn.initializers.zeros if self.one_source else torch_bias((inputs.shape[-1], 1))
        drive = jnp.tensordot(inputs, kernel, 1, precision=precision()) + self.param("input_bias", bias, ring)
        shape = (self.kernel_size, self.channels, self.channels)
        kernel = self.param("ring_kernel", self._ring_kernel, shape)
        drive += self.param("ring_bias", torch_bias(shape), (self.channels,))
        states = recurrent.ring_trajectory(drive, kernel, activation=self.activation)
        read = states if self.every_step else states[:, -1]
        logits = Readout(self.hidden, self.num_outputs, name="readout")(read.reshape(*read.shape[:-2], -1))
        return SequenceOutput(logits, states)

    def _input_kernel(self, key: Array, shape: tuple[int, ...]) -> Array:
        if self.one_source:
            return jnp.zeros(shape).at[:, 0].set(1)
        return 1e-3 * jax.random.normal(key, shape)

    def _ring_kernel(self, key: Array, shape: tuple[int, ...]) -> Array:
        if self.start == "random":
            return torch_uniform(key, shape)
        places = {"identity": shape[0] // 2, "shift": shape[0] // 2 + 1}
        if self.start not in places:
            raise ValueError(f"start must be shift, identity or random, got {self.start!r}")
        if places[self.start] >= shape[0]:
            raise ValueError(f"start='shift' needs kernel_size >= 2, got {shape[0]}")
        return jnp.zeros(shape).at[places[self.start]].set(jnp.eye(shape[1]))


class Readout(nn.Module):
    """Dense layers, all but the last rectified."""

    hidden: tuple[int, ...]
    num_outputs: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(..., F) -> (..., K)."""
        for i, units in enumerate((*self.hidden, self.num_outputs)):
            shape = (x.shape[-1], units)
            x = nn.relu(x) if i else x
            x = jnp.matmul(x, self.param(f"kernel_{i}", torch_uniform, shape), precision=precision())
            x = x + self.param(f"bias_{i}", torch_bias(shape), (units,))
        return x
