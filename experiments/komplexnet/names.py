"""What models and test sets are called.

A model is NETWORK or NETWORK@SCENES: a network, and the scenes it is trained on where they are not the config's own:
`komplexnet@3` is trained on three digits, `komplexnet@background` on scenes in front of pictures.

A test set is SET or SET@STEPS, with another number of steps of the dynamics than in training: `test@60`. The scenes of
`test`, `overlap` and `noise` are of the kind that the model was trained on; `digits5` has five digits for all.
"""

from typing import NamedTuple

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

STILL = ("test", "overlap", "noise", *(f"digits{count}" for count in range(2, 10)))
# Videos of two digits: one step of the dynamics a frame forwards and backwards in time, and every frame by itself.
VIDEOS = ("moving", "moving_backwards", "frames")
SETS = (*STILL, *VIDEOS)


class Model(NamedTuple):
    """A model's name, understood. num_digits is None where the config says how many."""

    network: str
    num_digits: int | None
    background: bool


class TestSet(NamedTuple):
    """A test set's name, understood. num_steps is None where the config says how many."""

    name: str
    num_steps: int | None


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
    """Understand SET[@STEPS].

    Raises:
        ValueError: it is none.
    """
    known, at, steps = name.partition("@")
    if known not in SETS or (at and not (steps.isdecimal() and int(steps) >= 1)) or (at and known in VIDEOS[:2]):
        raise ValueError(
            f"no test set {name!r}: expected one of {', '.join(SETS)}, all but {' and '.join(VIDEOS[:2])} also with "
            f"@STEPS, for example test@60"
        )
    return TestSet(known, int(steps) if at else None)


def digits_in(model_name: str, split: str, default: int) -> int:
    """How many digits the scenes of a split have for a model; `default`: in the config's own scenes."""
    if split.partition("@")[0] in VIDEOS:
        return 2
    return digits_of(split) or model(model_name).num_digits or default


def section(model_name: str, split: str, default: int) -> str:
    """Under what a model's values on a test set are reported: with those of models that saw the same scenes.

    The set's name; for scenes of the kind that a model was trained on, where these are not the config's own, also what
    they are: `overlap_of_@3`, `digits5_of_@background`.
    """
    _, number, background = model(model_name)
    name = test_set(split).name
    own = background if digits_of(name) else background or (number or default) != default
    return f"{split}_of_@{model_name.partition('@')[2]}" if own and name not in VIDEOS else split


def digits_of(name: str) -> int | None:
    """How many digits a test set's name tells, for any name of a split; None where it tells none."""
    stem = name.partition("@")[0]
    return int(stem.removeprefix("digits")) if stem in STILL and stem.startswith("digits") else None
