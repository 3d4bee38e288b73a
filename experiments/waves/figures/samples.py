"""The arrays of each model that a run saves for pictures, from test pictures and the first seed's parameters."""

import json
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from experiments import engine
from experiments.waves import task
from oscnets import analysis, ops

SHOWN, MEASURED = 4, 16  # pictures that are drawn, and those whose spectra and wavelengths are measured
CHANNELS, FRAMES = 2, 100  # of the states that are kept
EDGES = np.geomspace(0.5, 64, 57)  # of wavelengths, pixels, 8 per octave; none is below the root of 1/2


# What the arrays are; the axes are n pictures, t steps, h rows, w columns and c channels.
MEANING = {"labels": "nhw", "predictions": "nhw", "targets": "labels", "states": "tnhwc"}


def sample(trained: engine.Trained, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays for the pictures.

    Args:
        trained: the model.
        arrays: of the test set: images (N, H, W, C) and labels (N, H, W).

    Returns:
        Of the first pictures (N, ...): images, labels, predictions (N, H, W), and of the first one `field` (H, W), the
        receptive field of the logit at `place` (2,). Of recurrent models also states (T', N, H, W, C') at the `steps`
        (T',), features of the first picture (H, W, bins, C'), kernels before and after training, spectra (K, F, C) by
        class with the number of `pixels` (K,) of each, and histograms of wavelengths, from raw and wrapped differences,
        before and after between `EDGES`, as shares. `meaning`, `MEANING` as JSON.
    """
    config = trained.model.config
    network = task.make_network(config, trained.model.table)
    params, initial = (jax.tree.map(lambda x: x[0], tree) for tree in (trained.params, trained.initial_params))
    images, labels = arrays["images"][:MEASURED], arrays["labels"][:MEASURED].astype(np.int32)
    look = jax.jit(partial(look_at, network, task.num_classes(config)))
    seen = [jax.tree.map(np.asarray, look(params, *pair)) for pair in zip(images, labels, strict=True)]
    place = middle(labels[0])
    field = jax.jit(partial(field_of, network))(params, images[0], place, labels[0][tuple(place)])
    kept = {"images": images[:SHOWN], "labels": labels[:SHOWN].astype(np.uint8), "place": place, "field": field}
    kept["predictions"] = np.stack([one["prediction"] for one in seen[:SHOWN]]).astype(np.uint8)
    if task.is_recurrent(network):
        before = [look(initial, *pair) for pair in zip(images, labels, strict=True)]
        kept |= _of_recurrent(network, params, seen)
        kept |= _histograms("before", before) | _histograms("after", seen)
        kept |= {f"kernel/{when}": kernel(tree) for when, tree in (("before", initial), ("after", params))}
    kept["meaning"] = json.dumps(MEANING)
    return {name: np.asarray(array) for name, array in kept.items()}


def look_at(network: nn.Module, num_classes: int, params, image: Array, labels: Array) -> dict[str, Array]:
    """One picture's prediction (H, W), and of a recurrent model its states, spectra by class and wavelengths."""
    out = network.apply(params, image[None])
    seen = {"prediction": out.logits[0].argmax(-1)}
    if out.states is None:
        return seen
    spectra, pixels = analysis.class_spectra(out.states, labels[None], num_classes)
    return seen | {
        "states": out.states[:, 0, :, :, :CHANNELS],
        "spectra": spectra,
        "pixels": pixels,
        "wavelengths": {kind: _histogram(out.states[:, 0], kind) for kind in task.DIFFERENCES},
    }


def _histogram(states, kind):
    lengths = analysis.wavelength(states, kind)
    return jnp.histogram(jnp.minimum(lengths, EDGES[-1]), EDGES)[0] / lengths.size


def _histograms(when, seen):
    return {
        f"wavelengths_{kind}/{when}": np.mean([one["wavelengths"][kind] for one in seen], axis=0)
        for kind in task.DIFFERENCES
    }


def field_of(network: nn.Module, params, image: Array, place: Array, label: Array) -> Array:
    """Receptive field (H, W) of the logit of a class at a pixel."""

    def logit(image):
        return network.apply(params, image[None]).logits[0, place[0], place[1], label]

    return analysis.receptive_field(logit, image)


def middle(labels: np.ndarray) -> np.ndarray:
    """The foreground's pixel nearest to the middle of its most frequent class, (2,); labels (H, W)."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    inside = np.argwhere(labels == counts.argmax())
    return inside[np.square(inside - inside.mean(0)).sum(1).argmin()]


def kernel(params) -> Array:
    """The recurrent connections (3, 3, C_in, C_out) of a wave machine, or of a ConvLSTM's gates."""
    params = params["params"]
    return params["kernel"] if "kernel" in params else params["kernel_gates"]


def _of_recurrent(network, params, seen):
    length = len(seen[0]["states"])
    steps = np.unique(np.rint(np.linspace(0, length - 1, min(length, FRAMES))).astype(int))
    pixels = np.stack([one["pixels"] for one in seen])
    sums = np.einsum("nk,nkfc->kfc", pixels, np.stack([one["spectra"] for one in seen]))
    states = np.stack([one["states"] for one in seen[:SHOWN]], 1)
    time_kernel = params["params"]["head"].get("time_kernel")
    features = ops.readout(states[:, 0], network.readout, **({} if time_kernel is None else {"kernel": time_kernel}))
    features = np.asarray(features).reshape(*features.shape[:2], -1, states.shape[-1])
    return {
        "states": states[steps].astype(np.float16),
        "steps": steps + 1,
        "features": features.astype(np.float16),
        "spectra": sums / np.maximum(pixels.sum(0), 1)[:, None, None],
        "pixels": pixels.sum(0),
    }
