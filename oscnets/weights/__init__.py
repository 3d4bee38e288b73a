"""Small trained networks in the package.

NAME.npz holds the variables of a network, by dotted path; NAME.json holds its module, its attributes and its origin.
`python -m experiments.export` writes both.
"""

import json
import os
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from oscnets import models

__all__ = ["Pretrained", "available", "load", "pretrained"]


def __dir__() -> list[str]:
    return __all__


class Pretrained(NamedTuple):
    """A trained network.

    Attributes:
        module: the Flax module.
        variables: {"params": ...} and its other collections, for `module.apply(variables, images, ...)`.
        facts: its origin: command, model, seed, step of its training, and score, {test set: {metric: value at the last
            step of the dynamics}} of this network.
    """

    module: nn.Module
    variables: dict[str, Any]
    facts: dict[str, Any]


def available() -> list[str]:
    """Names of the networks in the package."""
    stems = (path.name.removesuffix(".npz") for path in files(__name__).iterdir() if path.name.endswith(".npz"))
    return sorted(stems)


def pretrained(name: str) -> Pretrained:
    """Load a network of the package.

    Args:
        name: one of `available()`.

    Raises:
        ValueError: another name.
    """
    if name not in available():
        raise ValueError(f"no network {name!r}: expected one of {', '.join(available())}")
    return load(files(__name__), name)


def load(folder: Traversable | str | os.PathLike[str], name: str) -> Pretrained:
    """Load NAME.npz and NAME.json of `python -m experiments.export`.

    Args:
        folder: of the two files; ~ at its start is the home folder.
        name: of the files, without their endings.
    """
    if isinstance(folder, str | os.PathLike):
        folder = Path(folder).expanduser()
    facts = _migrate(json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8")))
    attributes = {key: tuple(value) if isinstance(value, list) else value for key, value in facts["attributes"].items()}
    module = getattr(models, facts["module"])(**attributes)
    with folder.joinpath(f"{name}.npz").open("rb") as stream, np.load(stream) as stored:
        flat = {key: jnp.asarray(stored[key]) for key in stored.files}
    return Pretrained(module, traverse_util.unflatten_dict(flat, sep="."), facts)


def _migrate(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts exported under the former names of the wave machine and its attributes, under the present ones."""
    if facts["module"] != "WaveMachine":
        return facts
    attributes = dict(facts["attributes"])
    attributes["gradient"] = attributes.pop("memory")
    attributes["keep"] = "readout" if attributes.pop("stream") else "states"
    if attributes["gradient"] != "checkpoint":
        attributes["checkpoint_every"] = None  # was ignored
    return facts | {"module": "NeuralWaveMachine", "attributes": attributes}
