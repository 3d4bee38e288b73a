"""What models and sets are called.

A model is a network and its one choice: the readout of `nwm_linear` and `lstm_fft`, the number of convolutions of
`cnn_8`, the width of `unet_3`.
"""

import re
from typing import NamedTuple, get_args

from oscnets.ops import How

READOUTS = get_args(How)
RECURRENT = ("nwm", "lstm")
DEPTHS = (2, 4, 8, 16, 32)  # of the paper's CNNs
WIDTHS = (2, 3, 4, 5)  # of its U-Nets

_READ = re.compile(rf"(?P<network>nwm|lstm)_(?P<choice>{'|'.join(READOUTS)})")
_SIZED = re.compile(r"(?P<network>cnn|unet)_(?P<choice>[1-9]\d?)")


class Set(NamedTuple):
    """A set of pictures."""

    classes: tuple[str, ...]  # names of classes 1 and on; 0 is the background
    colours: int  # channels of an image

    @property
    def num_classes(self) -> int:
        """K, with the background."""
        return len(self.classes) + 1


_DIGITS = Set(tuple("0123456789"), 1)
SETS = {
    "tetrominoes": Set(("I", "O", "T", "S, Z", "J, L"), 3),
    "mnist": _DIGITS,
    "multi_mnist": _DIGITS,
    "polygons": Set(("triangle", "quadrilateral", "pentagon", "hexagon"), 1),
}


class Model(NamedTuple):
    """A model's name, understood."""

    network: str  # nwm, lstm, cnn or unet
    choice: str | int  # the readout of the first two, a size of the others


def model(name: str) -> Model:
    """Understand a model.

    Raises:
        ValueError: it is none.
    """
    if match := _READ.fullmatch(name):
        return Model(match["network"], match["choice"])
    if match := _SIZED.fullmatch(name):
        return Model(match["network"], int(match["choice"]))
    raise ValueError(
        f"no model {name!r}: expected nwm_READOUT or lstm_READOUT ({', '.join(READOUTS)}), cnn_DEPTH or unet_WIDTH"
    )
