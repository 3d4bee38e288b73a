"""LinOSS and D-LinOSS: state-space models of oscillators (Rusch and Rus, 2025; Boyer, Rusch and Rus, 2025)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from oscnets.dynamics import filters
from oscnets.models._program import run
from oscnets.models.init import torch_bias
from oscnets.models.recurrent import Readout, check_sequences


class RunningNorm(nn.Module):
    """Zero mean and unit variance per channel of (B, L, H), by running statistics, also in training.

    In training they first move towards the statistics of the batch by a hundredth (the first batch sets them), and
    gradients reach the batch through this hundredth only. The published runs do this; an ordinary batch norm normalizes
    by the batch itself.
    """

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Shape-preserving; epsilon 1e-5, biased variance, no scale and shift."""
        size = x.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, size, x.dtype)
        variance = self.variable("batch_stats", "variance", jnp.ones, size, x.dtype)
        started = self.variable("batch_stats", "started", jnp.zeros, (), x.dtype)
        if train and not self.is_initializing():
            weight = jnp.where(started.value > 0, jnp.asarray(0.01, x.dtype), 1)
            mean.value += weight * (x.mean((0, 1)) - mean.value)
            variance.value += weight * (x.var((0, 1)) - variance.value)
            started.value = jnp.ones_like(started.value)
        # NaN in any of the statistics is NaN in the output.
        return (x - mean.value) * jax.lax.rsqrt(variance.value + 1e-5 + 0 * started.value)


class OscillatorLayer(nn.Module):
    """A bank of oscillators between two linear maps, `oscnets.dynamics.filters.state_space`, (..., L, H) -> same."""

    state_size: int
    form: filters.Form
    damped: bool
    method: filters.Method

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Shape-preserving."""
        units, channels = self.state_size, x.shape[-1]
        if self.damped:
            step = self.param("step", nn.initializers.normal(0.5), (units,))
            dt = jax.nn.sigmoid(step)
            stiffness, damping = self.param("stiffness_damping", self._from_ring, dt)
            system = filters.stable_parameters(stiffness, damping, dt, form=self.form)
        else:
            dt = jax.nn.sigmoid(self.param("step", nn.initializers.uniform(1.0), (units,)))
            system = jax.nn.relu(self.param("stiffness", nn.initializers.uniform(1.0), (units,))), 0.0
        maps = (
            self.param("input_weights", torch_bias((channels, units)), (units, channels, 2)),
            self.param("output_weights", torch_bias((units, channels)), (channels, units, 2)),
            self.param("feedthrough", nn.initializers.normal(1.0), (channels,)),
        )
        return filters.state_space(x, *system, dt, *maps, form=self.form, method=self.method)

    def _from_ring(self, key: Array, dt: Array) -> Array:
        """Stiffness and damping of poles in a ring, 0.9 <= r <= 1, with any angle."""
        radius_key, angle_key = jax.random.split(key)
        radius = jnp.sqrt(jax.random.uniform(radius_key, dt.shape, minval=0.9**2, maxval=1.0))
        angle = jax.random.uniform(angle_key, dt.shape, maxval=jnp.pi)
        return jnp.stack(filters.from_poles(radius, angle, dt))


class LinOSS(nn.Module):
    """Sequence model of linear oscillators, in parallel over time.

    A linear encoder; blocks of a norm, a bank of oscillators, gelu, a gated linear unit and a skip connection; a linear
    head. Outputs are of the mean over time (classification), or of every so many steps (regression).

    Attributes:
        num_outputs: K.
        channels: H, of the sequences between blocks.
        state_size: P, complex oscillators of a block.
        num_blocks: number of blocks.
        form: discretization, see `oscnets.dynamics.filters.transition`.
        damped: learn damping (D-LinOSS).
        method: how recurrences are computed, see `oscnets.dynamics.filters.filter_bank`; the result is the same.
        dropout: share of values dropped in training, after gelu and after the gate, each sequence by itself (the
            published code drops the same values in all sequences of a batch).
        read_every: None reads the mean over time; n reads steps n, 2n, ...
        bounded: whether outputs of steps pass through tanh.
    """

    num_outputs: int = 10
    channels: int = 64
    state_size: int = 64
    num_blocks: int = 4
    form: filters.Form = "im"
    damped: bool = False
    method: filters.Method = "auto"
    dropout: float = 0.05
    read_every: int | None = None
    bounded: bool = True

    def __call__(self, inputs: Array, *, train: bool = False) -> Array:
        """Run over sequences.

        Args:
            inputs: (B, L, C_in).
            train: drop values (PRNG stream "dropout", unless dropout=0) and move the running statistics
                (`mutable=["batch_stats"]`).

        Returns:
            Logits (B, K); or of steps (B, L // read_every, K), if bounded in [-1, 1].

        Raises:
            ValueError: inputs of another rank, or without a step; an unknown form or method.
        """
        drops = train and not (isinstance(self.dropout, int | float) and self.dropout == 0)
        rng = "dropout" if drops and not self.is_initializing() else None
        return run(self, "_run", {"inputs": inputs}, core=2, out=0, rng=rng, train=train, drops=drops)

    @nn.compact
    def _run(self, inputs: Array, *, train: bool, drops: bool, key: Array | None = None) -> Array:
        check_sequences(inputs)
        x = Readout((), self.channels, name="encoder")(inputs)
        drops = drops and not self.is_initializing()
        if drops and key is None:
            key = self.make_rng("dropout")
        keys = jax.random.split(key, 2 * self.num_blocks) if drops else [None] * (2 * self.num_blocks)
        for i in range(self.num_blocks):
            y = RunningNorm(name=f"norm_{i}")(x, train=train)
            y = OscillatorLayer(self.state_size, self.form, self.damped, self.method, name=f"oscillators_{i}")(y)
            y = self._drop(jax.nn.gelu(y, approximate=True), keys[2 * i])
            gate = Readout((), self.channels, name=f"gate_{i}")(y)
            y = Readout((), self.channels, name=f"value_{i}")(y) * jax.nn.sigmoid(gate)
            x = x + self._drop(y, keys[2 * i + 1])
        head = Readout((), self.num_outputs, name="head")
        if self.read_every is None:
            return head(x.mean(1))
        read = head(x[:, self.read_every - 1 :: self.read_every])
        return jnp.tanh(read) if self.bounded else read

    def _drop(self, x: Array, key: Array | None) -> Array:
        if key is None:
            return x
        kept = 1 - self.dropout
        return jnp.where(jax.random.bernoulli(key, kept, x.shape), x / kept, 0)
