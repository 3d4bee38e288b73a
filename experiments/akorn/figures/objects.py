"""Pictures of objects: the groups of pixels that a run saves, and the sheet of them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import engine
from experiments.akorn import autoencode, discovery
from experiments.akorn.data import num_groups
from experiments.akorn.task import make_network
from experiments.engine import Table
from experiments.groups import matched
from oscnets import plotting

Arrays = dict[str, np.ndarray]

PICTURES = 8  # saved of a test set


def sample(trained: engine.Trained, data: Mapping[str, Any], tests: Mapping[str, Table]) -> Arrays:
    """Pictures of the last test set, that of most tiles, with the groups that the first seed's model finds.

    Returns:
        images (N, H, W, C), labels (N, H, W), groups (N, H, W), each group by the number of the object that it
        overlaps most, or another number.
    """
    *_, (label, test) = sorted(tests.items(), key=lambda item: item[1]["tiles"])
    config = trained.model.config
    network, number = make_network(config, trained.model.table), num_groups(config)
    params = jax.tree.map(lambda x: x[0], engine.averaged_params(trained.params))
    pictures = {key: array[:PICTURES] for key, array in data[label].items()}
    if config.data.set == "shapes":
        features = jax.jit(partial(autoencode.oriented, network))(params, pictures, None)["features"]
        group = autoencode.group
    else:
        keys = jax.random.split(jax.random.key(config.seed), len(pictures["images"]))
        run = jax.jit(partial(discovery.evaluated, network, test["tiles"]))
        features = run(params, pictures, keys)["features"]
        group = discovery.group
    features = np.nan_to_num(features, posinf=0, neginf=0)  # a seed that diverged has a picture too
    groups = group(number, features, pictures["labels"])
    return pictures | {"groups": np.stack([matched(*pair) for pair in zip(pictures["labels"], groups, strict=True)])}


def draw_samples(figures: Path, model: str, arrays: Mapping[str, np.ndarray]) -> None:
    """groups_MODEL.png: pictures, objects and groups; pixels of several objects are in the colour of none."""
    images, labels = arrays["images"][..., :3], arrays["labels"].astype(int)
    labels = np.where(labels < 0, labels.max() + 1, labels)
    sheet = plotting.label_sheet(images, labels, {"groups": arrays["groups"]}, title=model)
    plotting.save(sheet, figures / f"groups_{model}.png")
