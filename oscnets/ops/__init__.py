"""Pure layers: functions of arrays, without parameters of their own."""

from oscnets.ops import complex, norm
from oscnets.ops._conv import conv
from oscnets.ops._phase_conv import modulate, phase_conv, phase_dense, tap_responses
from oscnets.ops._readout import How, num_bins, readout, streaming_readout
from oscnets.ops._vote import Criterion, Vote, vote

__all__ = [
    "Criterion",
    "How",
    "Vote",
    "complex",
    "conv",
    "modulate",
    "norm",
    "num_bins",
    "phase_conv",
    "phase_dense",
    "readout",
    "streaming_readout",
    "tap_responses",
    "vote",
]


def __dir__() -> list[str]:
    return __all__
