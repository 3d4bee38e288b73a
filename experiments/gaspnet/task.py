"""A model as the engine trains and evaluates it: its network, its loss, its scores at every step."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine, groups
from experiments.engine import Table
from experiments.gaspnet.data import SIZE, TARGETS
from oscnets import grouping, losses, metrics, models
from oscnets.models.gaspnet import Output

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log
Synchrony = Callable[[Array, Array], Array]  # of phases and masks


def gaspnet(config: ConfigDict, model: Table) -> models.GASPnet:
    """GASPnet with the changes of a model's table, see `specs.MODEL`."""
    settings = config.model.to_dict() | {"num_heads": num_heads(config)}
    if model["weaken"]:
        settings["offset"] *= -1
    if model["amplify"]:
        settings["dense_gain"] = 1 / settings["dense_gain"]
    if model["no_kappa_epsilon"] or model["no_location"]:
        settings |= {"dense_gain": 1.0, "offset": 0.0}
    if model["no_location"]:
        settings["neighbour_gain"] = 1.0
    if model["no_modulation"]:
        settings["strength"] = 0.0
    if model["node_maps"]:
        settings["dense_maps"] = "node"
    if model["input_phases"]:
        settings["input_phases"] = True
    return models.GASPnet(**settings)


def baseline(config: ConfigDict, model: Table) -> models.FeedforwardNet:
    """The network without phases."""
    return models.FeedforwardNet(num_heads=num_heads(config), norm=config.model.norm)


# The networks that an entry of config.models may name.
BUILDERS: dict[str, Callable[[ConfigDict, Table], nn.Module]] = {"gaspnet": gaspnet, "baseline": baseline}


def make_network(config: ConfigDict, model: Table) -> nn.Module:
    """The Flax module of a model, given its config and its table."""
    return BUILDERS[model["network"]](config, model)


def num_heads(config: ConfigDict) -> int:
    """Classifiers of a network: one of digits, or one each of item and picture."""
    return 2 if config.data.scenes == "overlay" else 1


def has_phases(network: nn.Module) -> bool:
    """Whether it has oscillators."""
    return isinstance(network, models.GASPnet)


def make_task(
    config: ConfigDict,
    model: Table,
    tests: Mapping[str, Table] | None = None,
    *,
    shape: tuple[int, int, int] | None = None,
) -> engine.Task:
    """The task of one model.

    Args:
        config: this model's own.
        model: its table.
        tests: the table of every test set that it is evaluated on, by label.
        shape: height, width and channels of an image; None: those of this family's scenes.
    """
    network, targets = make_network(config, model), TARGETS[config.data.scenes]
    shape = shape or (SIZE, SIZE, 3 if config.data.scenes == "overlay" else 1)
    example = jnp.zeros((1, *shape))
    drawn = has_phases(network) and network.start == "normal"
    spreading = config.train.phase_curriculum if drawn else 0.0
    plain = config.train.plain_first if has_phases(network) else 0.0
    if has_phases(network):
        init = partial(network.init, images=example, phases0=jnp.zeros((1, num_oscillators(network, shape[:2]))))
        weight = 0.0 if model["no_synchrony"] else config.train.synchrony_weight
        synchrony = partial(losses.cluster_synchrony, normalization=config.train.synchrony_normalization)
        loss = partial(synchrony_loss, network, targets, weight, synchrony)
        evaluate = partial(phased_scores, synchrony=synchrony)
    else:
        init, loss, evaluate = (
            partial(network.init, images=example),
            partial(plain_loss, network, targets),
            plain_scores,
        )
    scores = partial(evaluate, network, targets)
    grouped = partial(scores, grouped=True) if has_phases(network) else scores
    return engine.Task(
        init,
        partial(curriculum_loss, loss, plain, spreading) if plain or spreading else loss,
        scores,
        engine.optimizer.make(config.train),
        score="accuracy",
        evaluate_on=lambda label: grouped if (tests or {})[label]["grouped"] else scores,
        on_host=partial(groups.on_host, lambda data: groups.labels_of(data["masks"][..., 1:])),
        takes_progress=plain > 0 or spreading > 0,
        curriculum=plain + spreading,
    )


def num_oscillators(network: models.GASPnet, size: tuple[int, int]) -> int:
    """N, the oscillators of all layers, of images of some height and width."""
    return sum(map(math.prod, network.layers(size)))


def forward(network: models.GASPnet, params, batch, keys) -> Output:
    """All steps of a batch; phases that start at random are drawn by each example's own key.

    Their standard deviation is `batch["phase_spread"]` (B,) radians, 1 without it.
    """
    phases0 = None
    if network.start == "normal":
        count = num_oscillators(network, batch["images"].shape[1:3])
        phases0 = jax.vmap(lambda key: jax.random.normal(key, (count,)))(keys)
        if "phase_spread" in batch:
            phases0 *= batch["phase_spread"][:, None]
    return network.apply(params, batch["images"], phases0=phases0)


def cross_entropy(kind: str, logits: Array, targets: Array) -> Array:
    """Nats, (...): of "multi_hot" targets (..., 10) binary; of "classes" (..., heads) the sum over the heads."""
    if kind == "multi_hot":
        return losses.binary_cross_entropy(logits, targets)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).sum(-1)


def accuracies(kind: str, logits: Array, targets: Array) -> dict[str, Array]:
    """(...) each: of "multi_hot" targets `metrics.multi_label_scores`; of "classes" each head's, and their mean.

    NaN where a logit is.
    """
    if kind == "multi_hot":
        return metrics.multi_label_scores(logits, targets)
    right = (logits.argmax(-1) == targets) + jnp.where(jnp.isnan(logits), logits, 0).sum(-1)
    return {"accuracy": right.mean(-1), "item": right[..., 0], "picture": right[..., 1]}


def plain_loss(network, targets: str, params, batch, keys) -> Scored:
    """Cross-entropy."""
    del keys
    value = cross_entropy(targets, network.apply(params, batch["images"]), batch["targets"]).mean()
    return value, {"classification": value}


def plain_scores(network, targets: str, params, batch, keys) -> dict[str, Array]:
    """Accuracies, (B,) each."""
    del keys
    return accuracies(targets, network.apply(params, batch["images"]), batch["targets"])


def synchrony_loss(
    network, targets: str, weight: float, synchrony: Synchrony, params, batch, keys, *, plain: bool = False
) -> Scored:
    """Cross-entropy plus the weighted synchrony loss of the first block (equation 7), both at the last step.

    If `plain` the cross-entropy is that of the plain pass and the synchrony loss that after one step.
    """
    out = forward(network.clone(num_steps=1) if plain else network, params, batch, keys)
    entropy = cross_entropy(targets, out.logits[0 if plain else -1], batch["targets"]).mean()
    value = synchrony(out.first_phases[-1][..., None], batch["masks"]).mean()
    return entropy + weight * value, {"classification": entropy, "synchrony": value}


def curriculum_loss(loss, plain: float, spreading: float, params, batch, keys, progress) -> Scored:
    """`synchrony_loss`, by the share of the training that is done.

    In the first share `plain` the plain pass is trained; in the share `spreading` after it the starting phases spread
    from 0, all equal, to 1.
    """

    def whole(params):
        if not spreading:
            return loss(params, batch, keys)
        spread = jnp.full(len(keys), jnp.clip((progress - plain) / spreading, 0, 1), jnp.float32)
        return loss(params, {**batch, "phase_spread": spread}, keys)

    if not plain:
        return whole(params)
    return jax.lax.cond(progress < plain, lambda params: loss(params, batch, keys, plain=True), whole, params)


def phased_scores(
    network, targets: str, params, batch, keys, *, synchrony: Synchrony, grouped: bool = False
) -> dict[str, Array]:
    """Accuracies and synchrony loss after every step, (B, T) each, and the accuracies of the plain pass, (B,).

    Also `order` and `separation` of the phases of the first block: of the two digits, or of item and background. The
    plain pass is what every step would give with alpha = 0 in the test. If `grouped` also `features` (B, 16, 16, 2) of
    the last phases of the first block, for `groups.on_host`.
    """
    out = forward(network, params, batch, keys)
    by_step = accuracies(targets, out.logits, batch["targets"])
    scores = {name: value[1:].T for name, value in by_step.items()}
    phases, masks = out.first_phases[1:, ..., None], batch["masks"]
    scores["synchrony"] = synchrony(phases, masks).T
    parts = metrics.phase_separation(phases, masks[..., -2:])
    scores |= {name: value.T for name, value in parts.items()}
    if grouped:
        scores["features"] = grouping.phase_features(out.first_phases[-1, ..., None])
    return scores | {f"plain_{name}": value[0] for name, value in by_step.items()}
