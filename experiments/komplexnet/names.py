"""What models and test sets are called.

A model is NETWORK or NETWORK@SCENES: a network, and the scenes it is trained on where they are not the config's own:
`komplexnet@3` is trained on three digits, `komplexnet@background` on scenes in front of pictures.

A test set is SET[LEVEL][+SCENES][@STEPS]. The sets `test`, `overlap` and `noise` have scenes of the kind that a model
was trained on, but for what SCENES tells: `noise+digits3`, `test+background`, `overlap+digits2+plain`; `digits5` is
`test+digits5`. LEVEL is a share of overlap or a variance of noise other than the config's: `overlap0.4`, `noise0.2`.
STEPS is another number of steps of the dynamics than in training: `test@60`.
"""

import math
import re
from typing import NamedTuple

from experiments.engine.training.splits import TRAINING
from oscnets.models.komplexnet import LAYERS

# Networks with dynamics, by the layers that feed back; the first layer's own coupling is learned but in `fixed_kernel`.
FEEDBACK = {
    "komplexnet": (),
    "feedback": LAYERS,
    **{f"feedback_{layer}": (layer,) for layer in LAYERS},
    "fixed_kernel": (),
}
COMPLEX = (*FEEDBACK, "random", "ideal")
NETWORKS = (*COMPLEX, "real", "real_large", "vit")

STILL = ("test", "overlap", "noise")
# Videos of two digits: one step of the dynamics a frame forwards and backwards in time, and every frame by itself.
VIDEOS = ("moving", "moving_backwards", "frames")
SETS = (*STILL, *(f"digits{count}" for count in range(2, 10)), *VIDEOS)

_SET = re.compile(
    r"(?P<kind>[a-z_]+?)(?P<short>(?<=digits)[2-9])?(?P<level>[0-9]*[.]?[0-9]+)?"
    r"([+]digits(?P<digits>[2-9]))?([+](?P<behind>background|plain))?(@(?P<steps>[1-9][0-9]*))?"
)


class Model(NamedTuple):
    """A model's name, understood. num_digits is None where the config says how many."""

    network: str
    num_digits: int | None
    background: bool


class TestSet(NamedTuple):
    """A test set's name, understood; None where the config, or the model's training, says it.

    kind is one of `STILL` or `VIDEOS`; level a share of overlap or a variance of noise.
    """

    kind: str
    level: float | None = None
    num_digits: int | None = None
    background: bool | None = None
    num_steps: int | None = None


def model(name: str) -> Model:
    """Understand NETWORK[@SCENES].

    Raises:
        ValueError: it is none.
    """
    network, at, scenes = name.partition("@")
    number = int(scenes) if scenes.isdecimal() else None
    if network not in NETWORKS or (at and scenes != "background" and number not in range(2, 10)):
        raise ValueError(
            f"no model {name!r}: expected one of {', '.join(NETWORKS)}, alone or with @2 to @9 (trained on so many "
            f"digits) or @background"
        )
    return Model(network, number, scenes == "background")


def test_set(name: str) -> TestSet:
    """Understand SET[LEVEL][+SCENES][@STEPS].

    Raises:
        ValueError: it is none.
    """
    found = _SET.fullmatch(name)
    known = _understood(**found.groupdict()) if found else None
    if known is None:
        raise ValueError(
            f"no test set {name!r}: expected one of {', '.join(SETS)}; overlap and noise also with another level "
            f"(noise0.2), all but videos with other scenes (test+digits3, test+background, test+plain), all but "
            f"{' and '.join(VIDEOS[:2])} with other steps (test@60)"
        )
    return known


def _understood(kind, short, level, digits, behind, steps) -> TestSet | None:
    if short and (kind != "digits" or digits):
        return None
    kind = "test" if short else kind
    level, steps = level and float(level), steps and int(steps)
    in_range = {"overlap": 0 < (level or 0) <= 1, "noise": 0 <= (level or 0) < math.inf}
    if (
        kind not in (*STILL, *VIDEOS)
        or (level is not None and not in_range.get(kind))
        or (kind in VIDEOS and (digits or behind))
        or (kind in VIDEOS[:2] and steps)
    ):
        return None
    number = digits or short
    return TestSet(kind, level, number and int(number), behind and behind == "background", steps)


def digits_in(model_name: str, split: str, default: int) -> int:
    """How many digits the scenes of a split have for a model; `default`: in the config's own scenes."""
    trained = model(model_name).num_digits or default
    if split in TRAINING:
        return trained
    known = test_set(split)
    return 2 if known.kind in VIDEOS else known.num_digits or trained


def section(model_name: str, split: str, default: int) -> str:
    """Under what a model's values on a test set are reported: with those of models that saw the same scenes.

    The set's name; for scenes of the kind that a model was trained on, where these are not the config's own, also what
    they are: `overlap_of_@3`, `digits5_of_@background`.
    """
    _, number, background = model(model_name)
    known = test_set(split)
    own = not known.num_digits and (number or default) != default
    own = own or (known.background is None and background)
    return f"{split}_of_@{model_name.partition('@')[2]}" if own and known.kind not in VIDEOS else split
