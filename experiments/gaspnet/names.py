"""What models and test sets are called.

A model is `baseline`, or `gaspnet`, alone or with changes: `gaspnet+no_synchrony`, `gaspnet+weaken+amplify`.

A test set is `test`; or on scenes of digits the same spoilt, `gaussian0.35` (standard deviation) or `salt_pepper0.1`
(share of pixels); or on overlays `item20`, with items of another size.
"""

import re
from typing import NamedTuple

from ml_collections import ConfigDict

# What a change does to config.model and config.train. Of the offset and the gain of the dense nodes the paper's
# formulas say one thing and its words another.
CHANGES = {
    "weaken": "the offset takes the other sign",
    "amplify": "the dense nodes have the reciprocal gain",
    "no_synchrony": "no synchrony loss (omega = 0)",
    "no_location": "neither gains nor offset (kappa = 1, epsilon = 0, tau = 1)",
    "node_maps": "a query and a key map for each dense node",
    "input_phases": "phases of the pixels too",
}

_SPOILT = re.compile(r"(?P<kind>gaussian|salt_pepper)(?P<level>\d+(\.\d+)?)")
_ITEM = re.compile(r"item(?P<size>[1-9]\d*)")


class TestSet(NamedTuple):
    """A test set's name, understood."""

    kind: str  # "test", "gaussian", "salt_pepper" or "item"
    level: float  # of the noise, or the item's size; 0 for "test"


def changes(name: str) -> tuple[str, ...] | None:
    """The changes of a model, None for the baseline.

    Raises:
        ValueError: no such model.
    """
    network, *found = name.split("+")
    if name == "baseline":
        return None
    if network != "gaspnet" or len(set(found)) < len(found) or not set(found) <= set(CHANGES):
        raise ValueError(f"no model {name!r}: expected baseline, or gaspnet with any of +{', +'.join(CHANGES)}")
    return tuple(found)


def changed(config: ConfigDict, name: str) -> tuple[dict, float]:
    """Settings of a GASPnet, and the weight of its synchrony loss."""
    settings, weight = config.model.to_dict(), config.train.synchrony_weight
    for change in changes(name):
        if change == "weaken":
            settings["offset"] *= -1
        elif change == "amplify":
            settings["dense_gain"] = 1 / settings["dense_gain"]
        elif change == "no_synchrony":
            weight = 0.0
        elif change == "no_location":
            settings |= {"dense_gain": 1.0, "offset": 0.0, "neighbour_gain": 1.0}
        elif change == "node_maps":
            settings["dense_maps"] = "node"
        else:
            settings["input_phases"] = True
    return settings, weight


def test_set(name: str) -> TestSet:
    """Understand a test set.

    Raises:
        ValueError: it is none.
    """
    if name == "test":
        return TestSet("test", 0.0)
    if match := _SPOILT.fullmatch(name):
        if match["kind"] == "gaussian" or float(match["level"]) <= 1:
            return TestSet(match["kind"], float(match["level"]))
    elif match := _ITEM.fullmatch(name):
        return TestSet("item", int(match["size"]))
    raise ValueError(f"no test set {name!r}: expected test, gaussianSTD, salt_pepperSHARE or itemSIZE")
