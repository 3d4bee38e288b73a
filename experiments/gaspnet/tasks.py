"""What the engine trains and judges: a network, its loss, and its scores at every step."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine
from experiments.gaspnet import names
from oscnets import losses, metrics, models
from oscnets.models.gaspnet import Output

SIZE = 32  # pixels a side

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def make_task(config: ConfigDict, name: str) -> engine.Task:
    """A model of `names` as the engine trains it."""
    network = make_network(config, name)
    example = jnp.zeros((1, SIZE, SIZE, 3 if config.data.scenes == "overlay" else 1))
    if name == "baseline":
        init, loss, evaluate = partial(network.init, images=example), partial(plain_loss, network), plain_scores
    else:
        start = jnp.zeros((1, num_oscillators(network)))
        init, weight = partial(network.init, images=example, phases0=start), names.changed(config, name)[1]
        loss, evaluate = partial(synchrony_loss, network, weight), phased_scores
    # Weight decay as in PyTorch's Adam, which adds it to the gradient.
    decay, adam = optax.add_decayed_weights(config.train.weight_decay), optax.adam(config.train.learning_rate)
    optimizer = optax.chain(decay, adam)
    return engine.Task(init, loss, partial(evaluate, network), optimizer, score="accuracy")


def make_network(config: ConfigDict, name: str) -> nn.Module:
    """The Flax module of a model."""
    heads = {"num_heads": 2 if config.data.scenes == "overlay" else 1}
    if name == "baseline":
        return models.FeedforwardNet(**heads, norm=config.model.norm)
    return models.GASPnet(**heads, **names.changed(config, name)[0])


def num_oscillators(network: models.GASPnet) -> int:
    """N."""
    return sum(map(math.prod, network.layers((SIZE, SIZE))))


def present(network: models.GASPnet, params, batch, keys) -> Output:
    """A presentation; phases that start at random are drawn by each example's own key."""
    phases0 = None
    if network.start == "normal":
        phases0 = jax.vmap(lambda key: jax.random.normal(key, (num_oscillators(network),)))(keys)
    return network.apply(params, batch["images"], phases0=phases0)


def cross_entropy(logits: Array, targets: Array) -> Array:
    """Nats, (...): of two-hot targets (..., 10) binary; of classes (..., heads) the sum of the heads' own."""
    if jnp.issubdtype(targets.dtype, jnp.floating):
        return losses.binary_cross_entropy(logits, targets)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).sum(-1)


def accuracies(logits: Array, targets: Array) -> dict[str, Array]:
    """(...) each: of two-hot targets `metrics.multi_label_scores`; of classes each head's, and their mean."""
    if jnp.issubdtype(targets.dtype, jnp.floating):
        return metrics.multi_label_scores(logits, targets)
    right = (logits.argmax(-1) == targets).astype(logits.dtype)
    return {"accuracy": right.mean(-1), "item": right[..., 0], "picture": right[..., 1]}


def plain_loss(network, params, batch, keys) -> Scored:
    """Cross-entropy."""
    del keys
    value = cross_entropy(network.apply(params, batch["images"]), batch["targets"]).mean()
    return value, {"classification": value}


def plain_scores(network, params, batch, keys) -> dict[str, Array]:
    """Accuracies, (B,) each."""
    del keys
    return accuracies(network.apply(params, batch["images"]), batch["targets"])


def synchrony_loss(network, weight: float, params, batch, keys) -> Scored:
    """Cross-entropy plus the weighted synchrony loss of the first block (equation 7), both at the last step."""
    out = present(network, params, batch, keys)
    entropy = cross_entropy(out.logits[-1], batch["targets"]).mean()
    synchrony = losses.cluster_synchrony(out.first_phases[-1][..., None], batch["masks"]).mean()
    return entropy + weight * synchrony, {"classification": entropy, "synchrony": synchrony}


def phased_scores(network, params, batch, keys) -> dict[str, Array]:
    """Accuracies and synchrony loss after every step, (B, T) each, and the accuracies of the plain pass, (B,).

    The plain pass is what every step would be with alpha = 0 in the test.
    """
    out = present(network, params, batch, keys)
    found = accuracies(out.logits, batch["targets"])
    scores = {name: value[1:].T for name, value in found.items()}
    scores["synchrony"] = losses.cluster_synchrony(out.first_phases[1:, ..., None], batch["masks"]).T
    return scores | {f"plain_{name}": value[0] for name, value in found.items()}
