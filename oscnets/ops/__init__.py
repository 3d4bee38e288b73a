"""Pure layers: functions of arrays, without parameters of their own."""

from oscnets.ops import complex
from oscnets.ops.conv import conv
from oscnets.ops.phase_conv import phase_conv, phase_dense
from oscnets.ops.readout import inner_readout, readout, streaming_readout

__all__ = ["complex", "conv", "inner_readout", "phase_conv", "phase_dense", "readout", "streaming_readout"]
