"""What the engine trains and judges: a network, its pixelwise cross-entropy, its scores and its waves."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine
from experiments.waves import names
from oscnets import analysis, losses, metrics, models

# Wavelengths in pixels above which a share is measured. The paper's comes last: what counts as a metric's own value.
LONG = (16.0, 12.0, 8.0, 6.0, 4.0, 3.0, 2.0, 1.5)
REPORTED = (12.0, 4.0, 1.5)  # of these, in tables and over training

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def make_task(config: ConfigDict, name: str) -> engine.Task:
    """A model of `names` as the engine trains it; the best validation loss is kept."""
    network = make_network(config, name)
    init = partial(network.init, images=blank(config))
    optimizer = optax.adam(config.train.learning_rate)
    objective = loss
    if names.model(name).network == "unet":
        by_collection = {"params": optimizer, "batch_stats": optax.sgd(1.0)}
        optimizer = optax.multi_transform(by_collection, {key: key for key in by_collection})
        objective = normalized_loss
    return engine.Task(init, partial(objective, network), partial(scores, network), optimizer, score="-loss")


def make_network(config: ConfigDict, name: str) -> nn.Module:
    """The Flax module of a model."""
    network, choice = names.model(name)
    model, num_classes = config.model, names.SETS[config.data.set].num_classes
    if network == "unet":
        return models.UNet(width=choice, num_classes=num_classes)
    shared = {"hidden": model.hidden, "num_classes": num_classes}
    if network == "cnn":
        sizes = {"channels": model.mid_channels, "out_channels": model.channels, "bins": model.cnn_bins}
        return models.CNN(depth=choice, **sizes, **shared)
    shared |= {"channels": model.channels, "mid_channels": model.mid_channels, "readout": choice}
    if network == "lstm":
        return models.ConvLSTM(num_steps=model.lstm_steps, **shared)
    waves = {key: model[key] for key in ("num_steps", "dt", "omega_start", "implicit_damping")}
    return models.NeuralWaveMachine(**waves, gradient=model.memory, **shared)


def blank(config: ConfigDict) -> Array:
    """One image of the set's shape, (1, H, W, C)."""
    return jnp.zeros((1, config.data.size, config.data.size, names.SETS[config.data.set].colours))


def loss(network: nn.Module, params, batch, keys) -> Scored:
    """Cross-entropy of every pixel, the background's too."""
    del keys
    features = network.apply(params, batch["images"], method="features").pixels
    return losses.mean_over_pixels(partial(pixel_entropy, network), params, features, batch["labels"]), {}


def pixel_entropy(network: nn.Module, params, features: Array, labels: Array) -> Array:
    """Cross-entropy of some pixels, (n,), from their features (n, F)."""
    logits = network.apply(params, features, method="classify_pixels")
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(jnp.int32))


def normalized_loss(network: models.UNet, variables, batch, keys) -> Scored:
    """Likewise, of a network whose batch norms keep running statistics.

    The statistics are variables like the parameters: they start, are averaged over devices, checkpointed and kept with
    the best parameters as these are. A term that is 0 gives each of them the gradient old - new, so that descent at
    rate 1 sets it to its new value. On several devices each normalizes its own piece of the batch, and the statistics
    are the mean of theirs.
    """
    del keys
    options = {"train": True, "mutable": ["batch_stats"], "method": "features"}
    features, moved = network.apply(variables, batch["images"], **options)
    entropy = losses.mean_over_pixels(partial(pixel_entropy, network), variables, features.pixels, batch["labels"])
    old, new = (jax.tree.leaves(tree["batch_stats"]) for tree in (variables, moved))
    fixed = jax.lax.stop_gradient
    ride = sum(jnp.vdot(fixed(a - b), a - fixed(a)) for a, b in zip(old, new, strict=True))
    return entropy + ride, {}


def scores(network: nn.Module, params, batch, keys) -> dict[str, Array]:
    """An image each, (B,): accuracy, iou and loss of all pixels and of the foreground.

    Of the images that are watched also long_waves, (B, len(LONG)): the share of all pixels, channels and steps at which
    the wavelength is above each of `LONG`.
    """
    del keys
    out, labels = network.apply(params, batch["images"]), batch["labels"].astype(jnp.int32)
    found = metrics.segmentation_scores(out.logits, labels)
    found |= {f"foreground_{name}": value for name, value in metrics.foreground_scores(out.logits, labels).items()}
    if out.states is not None and "watched" in batch:
        found["long_waves"] = long_waves(out.states, batch["watched"])
    return found


def long_waves(states: Array, watched: Array) -> Array:
    """Shares of wavelengths above `LONG` in states (T, B, H, W, C): (B, len(LONG)), NaN for images not watched."""

    def shares(states):
        lengths = analysis.wavelength(states)
        return jnp.stack([(lengths > limit).mean() for limit in LONG])

    def one(args):  # Image by image: complex signals of a whole batch would take many times its states' memory.
        return jax.lax.cond(args[0], shares, lambda _: jnp.full(len(LONG), jnp.nan), args[1])

    return jax.lax.map(one, (watched, jnp.moveaxis(states, 1, 0)))
