"""Pure layers: functions of arrays, without parameters of their own."""

from oscnets.ops import complex
from oscnets.ops.conv import conv

__all__ = ["complex", "conv"]
