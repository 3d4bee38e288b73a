"""A model as the engine trains and evaluates it: its network, its pixelwise cross-entropy, its scores and its waves."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine import Table
from experiments.waves.data import SETS
from oscnets import analysis, losses, metrics, models

# Wavelengths in pixels above which a share is measured. The paper's comes last: it counts as the metric's value.
LONG = (16.0, 12.0, 8.0, 6.0, 4.0, 3.0, 2.0, 1.5)
REPORTED = (12.0, 4.0, 1.5)  # of these, in tables and over training
DIFFERENCES = ("raw", "wrapped")  # of phases, from which wavelengths are measured; the paper's are raw

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def wave_machine(config: ConfigDict, model: Table) -> nn.Module:
    """The Neural Wave Machine, with a readout over time."""
    waves = {key: config.model[key] for key in ("num_steps", "dt", "omega_start", "implicit_damping", "gradient")}
    return models.NeuralWaveMachine(**waves, **_recurrent(config, model))


def conv_lstm(config: ConfigDict, model: Table) -> nn.Module:
    """The ConvLSTM, with a readout over time."""
    return models.ConvLSTM(num_steps=config.model.lstm_steps, **_recurrent(config, model))


def cnn(config: ConfigDict, model: Table) -> nn.Module:
    """A stack of `depth` convolutions."""
    sizes = {
        "channels": config.model.mid_channels,
        "out_channels": config.model.channels,
        "bins": config.model.cnn_bins,
    }
    return models.CNN(depth=model["depth"], **sizes, hidden=config.model.hidden, num_classes=num_classes(config))


def unet(config: ConfigDict, model: Table) -> nn.Module:
    """A U-Net of some `width`."""
    return models.UNet(width=model["width"], num_classes=num_classes(config))


def _recurrent(config, model):
    sizes = {key: config.model[key] for key in ("channels", "mid_channels", "hidden")}
    return {**sizes, "num_classes": num_classes(config), "readout": model["readout"]}


# The networks that a table of config.models may name.
BUILDERS: dict[str, Callable[[ConfigDict, Table], nn.Module]] = {
    "nwm": wave_machine,
    "lstm": conv_lstm,
    "cnn": cnn,
    "unet": unet,
}


def make_network(config: ConfigDict, model: Table) -> nn.Module:
    """The Flax module of a model."""
    return BUILDERS[model["network"]](config, model)


def num_classes(config: ConfigDict) -> int:
    """K, with the background."""
    return SETS[config.data.set].num_classes


def is_recurrent(network: nn.Module) -> bool:
    """Whether it has states over time."""
    return isinstance(network, models.NeuralWaveMachine | models.ConvLSTM)


def make_task(config: ConfigDict, model: Table) -> engine.Task:
    """The task of one model, given its own config and its table; the best validation loss is kept."""
    network = make_network(config, model)
    init = partial(network.init, images=blank(config))
    optimizer, objective, norms = engine.optimizer.make(config.train), loss, isinstance(network, models.UNet)
    if norms:
        optimizer, objective = engine.with_statistics(optimizer), normalized_loss
    return engine.Task(
        init, partial(objective, network), partial(scores, network), optimizer, score="-loss", may_slice=not norms
    )


def blank(config: ConfigDict) -> Array:
    """One image of the set's shape, (1, H, W, C)."""
    return jnp.zeros((1, config.data.size, config.data.size, SETS[config.data.set].colours))


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
    """The same, of a network whose batch norms keep running statistics.

    The statistics are variables that `engine.with_statistics` moves. On several devices each normalizes its part of the
    batch alone, and the statistics are the mean of theirs.
    """
    del keys
    options = {"train": True, "mutable": ["batch_stats"], "method": "features"}
    features, moved = network.apply(variables, batch["images"], **options)
    entropy = losses.mean_over_pixels(partial(pixel_entropy, network), variables, features.pixels, batch["labels"])
    return entropy + engine.statistics_term(variables, moved), {}


def scores(network: nn.Module, params, batch, keys) -> dict[str, Array | engine.Measured]:
    """One value per image, (B,): accuracy, iou and loss of all pixels and of the foreground.

    Of the images that are watched also long_waves_raw and long_waves_wrapped, (B, len(LONG)): the share of all pixels,
    channels and steps at which the wavelength, from either differences of phases, is above each of `LONG`.
    """
    del keys
    out, labels = network.apply(params, batch["images"]), batch["labels"].astype(jnp.int32)
    values = metrics.segmentation_scores(out.logits, labels)
    values |= {f"foreground_{name}": value for name, value in metrics.foreground_scores(out.logits, labels).items()}
    if out.states is not None and "watched" in batch:
        for kind, shares in long_waves(out.states, batch["watched"]).items():
            values[f"long_waves_{kind}"] = engine.Measured(shares, batch["watched"])
    return values


def long_waves(states: Array, watched: Array) -> dict[str, Array]:
    """Shares of wavelengths above `LONG` in states (T, B, H, W, C), by `DIFFERENCES`.

    Returns:
        (B, len(LONG)) each, 0 for images not watched.
    """

    def shares(states):
        return {kind: _shares(analysis.wavelength(states, kind)) for kind in DIFFERENCES}

    def none(_):
        return {kind: jnp.zeros(len(LONG)) for kind in DIFFERENCES}

    def one(args):  # Image by image: complex signals of a whole batch would take many times its states' memory.
        return jax.lax.cond(args[0], shares, none, args[1])

    return jax.lax.map(one, (watched, jnp.moveaxis(states, 1, 0)))


def _shares(lengths):
    nan = jnp.where(jnp.isnan(lengths), lengths, 0).mean()
    return jnp.stack([(lengths > limit).mean() for limit in LONG]) + nan
