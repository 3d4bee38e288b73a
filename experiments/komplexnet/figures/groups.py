"""Models by the scenes of their training, and what a line or a row of a picture is called."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from experiments.engine import Table
from experiments.komplexnet.data import Scenes, of_training


class Group(NamedTuple):
    """Models that were trained on scenes of one kind."""

    scenes: Scenes
    names: Mapping[str, str]  # model's label -> its name in a picture of this group
    suffix: str  # of the group's files: "" for the config's own scenes, "_3_digits", "_background", ...

    @property
    def title(self) -> str:
        """What they were trained on."""
        return f"trained on {self.scenes.num_digits} digits" + (" before pictures" if self.scenes.background else "")


def by_scenes(config: ConfigDict, models: Mapping[str, Table]) -> list[Group]:
    """Group models, tables by label, by the scenes of their training.

    In a picture a model is named after its network where no other of the group has the same, else by its label.
    """
    grouped: dict[Scenes, dict[str, Table]] = {}
    for label, model in models.items():
        grouped.setdefault(of_training(config, model), {})[label] = model
    return [Group(scenes, _names(group), suffix(config, scenes)) for scenes, group in grouped.items()]


def suffix(config: ConfigDict, scenes: Scenes) -> str:
    """How scenes differ from the config's own, as a part of a file's name."""
    digits = "" if scenes.num_digits == config.data.num_digits else f"_{scenes.num_digits}_digits"
    return digits + ("_background" if scenes.background else "")


def _names(models: Mapping[str, Table]) -> dict[str, str]:
    count = Counter(model["network"] for model in models.values())
    return {label: model["network"] if count[model["network"]] == 1 else label for label, model in models.items()}
