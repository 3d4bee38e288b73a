"""Small trained networks that come with the package.

NAME.npz holds a network's variables, by dotted path; NAME.json says which module they belong to and where they come
from. `python -m experiments.export` writes both.
"""

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from oscnets import models

__all__ = ["Pretrained", "available", "load", "pretrained"]


class Pretrained(NamedTuple):
    """A trained network.

    Attributes:
        module: the Flax module.
        variables: {"params": ...} and what else it has; `module.apply(variables, images, ...)`.
        facts: where it comes from: command, model, seed, step of its training, and score, {test set: {metric: value
            at the last step of the dynamics}} of this very network.
    """

    module: nn.Module
    variables: dict[str, Any]
    facts: dict[str, Any]


def available() -> list[str]:
    """Names that `pretrained` takes."""
    stems = (path.name.removesuffix(".npz") for path in files(__name__).iterdir() if path.name.endswith(".npz"))
    return sorted(stems)


def pretrained(name: str) -> Pretrained:
    """Load a network that comes with the package.

    Args:
        name: one of `available()`.

    Raises:
        ValueError: no such network.
    """
    if name not in available():
        raise ValueError(f"no network {name!r}: expected one of {', '.join(available())}")
    return load(files(__name__), name)


def load(folder: Traversable, name: str) -> Pretrained:
    """Likewise from a folder of one's own that `python -m experiments.export` wrote; a `pathlib.Path` will do."""
    facts = json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    attributes = {key: tuple(value) if isinstance(value, list) else value for key, value in facts["attributes"].items()}
    module = getattr(models, facts["module"])(**attributes)
    with folder.joinpath(f"{name}.npz").open("rb") as stream, np.load(stream) as stored:
        flat = {key: jnp.asarray(stored[key]) for key in stored.files}
    return Pretrained(module, traverse_util.unflatten_dict(flat, sep="."), facts)
