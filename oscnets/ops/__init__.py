"""Pure layers: functions of arrays, without parameters of their own."""

from oscnets.ops import complex
from oscnets.ops._conv import conv
from oscnets.ops._phase_conv import phase_conv, phase_dense
from oscnets.ops._readout import How, num_bins, readout, streaming_readout

__all__ = ["How", "complex", "conv", "num_bins", "phase_conv", "phase_dense", "readout", "streaming_readout"]
