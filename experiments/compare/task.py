"""A model as the engine trains and evaluates it: the loss is that of its family, the scores are the same for all."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine, groups
from experiments.compare.data import SETS, image_shape
from experiments.engine import Table
from experiments.gaspnet import specs as gaspnet_specs
from experiments.gaspnet import task as gaspnet
from experiments.komplexnet import specs as komplexnet_specs
from experiments.komplexnet import task as komplexnet
from experiments.waves import specs as waves_specs
from experiments.waves import task as waves
from oscnets import grouping, metrics, models

Arrays = dict[str, np.ndarray]
Evaluate = Callable[..., dict[str, Array]]

FAMILIES = {family.name: family for family in (komplexnet_specs.FAMILY, gaspnet_specs.FAMILY, waves_specs.FAMILY)}
NETWORKS = {
    "komplexnet": ("komplexnet", "random", "real", "real_large"),
    "gaspnet": tuple(gaspnet.BUILDERS),
    "waves": tuple(waves.BUILDERS),
}
_TASKS = {"komplexnet": komplexnet, "gaspnet": gaspnet, "waves": waves}


def family_of(model: Table) -> engine.Family:
    """The family that a model's network is of."""
    (name,) = (name for name, networks in NETWORKS.items() if model["network"] in networks)
    return FAMILIES[name]


def of_family(own: ConfigDict, table: Table, name: str = "model") -> tuple[ConfigDict, Table]:
    """The config of one model as its own family has it, and its table there.

    Args:
        own: the model's config in the comparison.
        table: of the model in the comparison.
        name: of the table, for messages.
    """
    family = family_of(table)
    theirs = engine.base_config(family.entries)
    given = {key: value for key, value in own.train.to_dict().items() if key not in FAMILIES}
    theirs.train.update(given | own.train.get(family.name, ConfigDict()).to_dict())
    theirs.model.update(own.model[family.name])
    theirs.data.update(_scenes(family.name, own))
    theirs.slice_size = own.slice_size
    theirs.models = {name: {key: table[key] for key in family.model if table.get(key) is not None}}
    engine.complete(theirs, family)
    return theirs, engine.tables(theirs, "models")[name]


def _scenes(family: str, config: ConfigDict) -> dict[str, Any]:
    if family != "waves":
        return {}  # two objects, ten classes
    names = {"set": SETS[config.data.set].segmented, "digit_size": 8}
    return names | {key: config.data[key] for key in ("size", "square")}


def make_network(own: ConfigDict, table: Table) -> nn.Module:
    """The Flax module of a model, given its config and its table in the comparison."""
    theirs, table = of_family(own, table)
    return _TASKS[family_of(table).name].make_network(theirs, table)


def make_task(own: ConfigDict, table: Table, tests: Mapping[str, Table]) -> engine.Task:
    """The task of one model, which its own family trains; the best share of found objects on validation is kept.

    Args:
        own, table: as for `make_network`.
        tests: the table of every test set that it is evaluated on, by label.
    """
    theirs, table = of_family(own, table)
    family = family_of(table).name
    theirs_on = {label: {**test, "kind": "test", "num_steps": None} for label, test in tests.items()}
    if family == "waves":
        task = waves.make_task(theirs, table)
    else:
        task = _TASKS[family].make_task(theirs, table, theirs_on, shape=image_shape(own))
    scores_on = _scores_on(_TASKS[family].make_network(theirs, table), task)
    return task._replace(
        score="accuracy",
        evaluate=scores_on(None),
        evaluate_on=lambda label: scores_on(label if tests[label]["grouped"] else None),
        on_host=on_host,
    )


def _scores_on(network: nn.Module, task: engine.Task) -> Callable[[str | None], Evaluate]:
    """Label of a test set whose groups are scored, or None -> its scores; the same function for all that are alike."""
    if isinstance(network, models.KomplexNet | models.GASPnet):  # their own tasks have all of these scores
        return lambda label: task.evaluate if label is None else task.evaluate_on(label)
    scores = segmenter_scores if is_segmenter(network) else classifier_scores
    by_groups = cache(lambda grouped: partial(scores, network, grouped))
    return lambda label: by_groups(label is not None)


def is_segmenter(network: nn.Module) -> bool:
    """Whether it names pixels."""
    return hasattr(network, "classify_pixels")


def classifier_scores(network: nn.Module, grouped: bool, params, batch, keys) -> dict[str, Array]:
    """`metrics.multi_label_scores`, (B,) each; if grouped also `features` of the first layer, (B, h, w, C)."""
    del keys
    scores = metrics.multi_label_scores(network.apply(params, batch["images"]), batch["targets"])
    if grouped:
        scores["features"] = network.apply(params, batch["images"], method="features")
    return scores


def segmenter_scores(network: nn.Module, grouped: bool, params, batch, keys) -> dict[str, Array]:
    """The same of `scene_logits`, and `foreground_accuracy`, the share of the objects' pixels named, (B,) each.

    The features are what the classifier of a pixel reads, (B, H, W, F).
    """
    del keys
    pixels = network.apply(params, batch["images"], method="features").pixels
    logits = network.apply(params, pixels, method="classify_pixels")
    found = scene_logits(logits)
    scores = metrics.multi_label_scores(found, batch["targets"][:, : found.shape[-1]])
    of_pixels = metrics.foreground_scores(logits, batch["labels"].astype(jnp.int32))
    scores["foreground_accuracy"] = of_pixels["accuracy"]
    return scores | ({"features": pixels} if grouped else {})


def scene_logits(logits: Array) -> Array:
    """What a scene shows by the classes of its pixels: logits (B, H, W, K + 1) -> (B, K).

    The logarithm of a class's mean probability over the picture: the classes that are expected to cover most of it
    have the highest values. The background, class 0, is left out.
    """
    shares = jax.nn.log_softmax(logits, axis=-1)
    return (jax.nn.logsumexp(shares, axis=(1, 2)) - jnp.log(shares.shape[1] * shares.shape[2]))[..., 1:]


def answer(network: nn.Module, params, batch, keys) -> Array:
    """A network's logits of the objects in a scene, (B, K): its forward pass, at the last step where it has steps."""
    images = batch["images"]
    if isinstance(network, models.KomplexNet):
        return network.apply(params, images, phases0=komplexnet.initial_phases(network, batch, keys)).logits[-1]
    if isinstance(network, models.GASPnet):
        return gaspnet.forward(network, params, batch, keys).logits[-1]
    out = network.apply(params, images)
    return scene_logits(out.logits) if is_segmenter(network) else out


def on_host(label: str, data: Arrays, values: Arrays) -> dict[str, Any]:
    """What was evaluated, with `fg_ari` of `group` in place of features, and `pixels_fg_ari`, that of the image alone.

    Arguments as for `engine.Task.on_host`.
    """
    if "features" not in values:
        return values
    objects = data["objects"]
    found = groups.on_host(lambda data: data["objects"], label, data, values, cluster=group)
    alone = groups.scores(objects, group(data["images"][None], objects))["fg_ari"]
    found["pixels_fg_ari"] = np.broadcast_to(alone, found["fg_ari"].shape)
    return {name: value for name, value in found.items() if name not in ("ari", "mbo")}  # the background is given


def group(features: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """The pixels of objects, clustered by k-means into as many groups as a scene has objects.

    Args:
        features: (..., N, h, w, D), at a resolution of which that of the scenes is a multiple.
        objects: (N, H, W): 1, 2, ... for objects, 0 for the background, -1 where they overlap.

    Returns:
        (..., N, H, W), -1 where no pixel of an object is within the feature's place.
    """
    height, width = features.shape[-3:-1]
    inside = rearrange(objects > 0, "n (h i) (w j) -> n h w (i j)", h=height, w=width).any(-1)
    return grouping.clusters(features, objects.max((1, 2)).clip(1), mask=inside, size=objects.shape[1:])
