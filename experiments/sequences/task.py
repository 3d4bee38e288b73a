"""A model as the engine trains and evaluates it: its network, its loss and its scores."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine import Table
from experiments.sequences.gru import GRU
from experiments.sequences.problems import Problem, problem_of
from oscnets import models

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def linoss(config: ConfigDict, model: Table) -> models.LinOSS:
    """LinOSS: the mean over time of pictures, every step of a copy, the last step of a sum, which no mean helps."""
    sizes = {key: config.model[key] for key in ("channels", "state_size", "num_blocks", "dropout")}
    read = {"copy": 1, "adding": config.data.length}.get(config.data.set)
    form = {"form": model["form"]} if model["form"] else {}
    return models.LinOSS(problem_of(config).outputs, **sizes, **form, read_every=read, bounded=False)


def dlinoss(config: ConfigDict, model: Table) -> models.LinOSS:
    """The same with damping."""
    return linoss(config, {**model, "form": model["form"] or "imex"}).clone(damped=True)


def cornn(config: ConfigDict, model: Table) -> models.CoRNN:
    """The coRNN."""
    del model
    settings = {key: config.model[key] for key in ("units", "dt", "stiffness", "damping")}
    return models.CoRNN(**_outputs(config), **settings)


def wrnn(config: ConfigDict, model: Table) -> models.WaveRNN:
    """The wave-RNN."""
    settings = {key: config.model[key] for key in ("places", "channels", "hidden")}
    start = {"start": model["start"]} if model["start"] else {}
    return models.WaveRNN(**_outputs(config), **settings, **start, one_source=model["one_source"])


def irnn(config: ConfigDict, model: Table) -> models.WaveRNN:
    """The recurrent network of an identity, without waves: all units at one place."""
    del model
    ring = {"places": 1, "channels": config.model.units, "kernel_size": 1, "start": "identity"}
    return models.WaveRNN(**_outputs(config), **ring, hidden=config.model.hidden)


def gru(config: ConfigDict, model: Table) -> GRU:
    """Gated recurrent units."""
    del model
    return GRU(**_outputs(config), units=config.model.units)


def _outputs(config):
    problem = problem_of(config)
    return {"num_outputs": problem.outputs, "every_step": problem.every_step}


# The networks that a table of config.models may name.
BUILDERS: dict[str, Callable[[ConfigDict, Table], nn.Module]] = {
    "linoss": linoss,
    "dlinoss": dlinoss,
    "cornn": cornn,
    "wrnn": wrnn,
    "irnn": irnn,
    "gru": gru,
}


def make_network(config: ConfigDict, model: Table) -> nn.Module:
    """The Flax module of a model."""
    return BUILDERS[model["network"]](config, model)


def make_task(config: ConfigDict, model: Table) -> engine.Task:
    """The task of one model, given its own config and its table; the best on validation is kept."""
    network, problem = make_network(config, model), problem_of(config)
    init = partial(network.init, inputs=jnp.zeros((1, 1, problem.inputs)))
    draw = None if problem.draw is None else partial(problem.draw, length=config.data.length)
    optimizer, objective = engine.optimizer.make(config.train), loss
    if isinstance(network, models.LinOSS):
        optimizer, objective = engine.with_statistics(optimizer), normalized_loss
    return engine.Task(
        init,
        partial(objective, network, problem, draw),
        partial(scores, network, problem),
        optimizer,
        score="accuracy" if problem.draw is None else "-loss",
    )


Draw = Callable[[Array], dict[str, Array]]


def loss(network: nn.Module, problem: Problem, draw: Draw | None, params, batch, keys) -> Scored:
    """Mean of the problem's losses, of sequences that are drawn by their keys if there is a draw."""
    batch, _ = drawn(draw, batch, keys)
    return problem.losses(answers(network.apply(params, batch["inputs"])), batch).mean(), {}


def normalized_loss(network: models.LinOSS, problem: Problem, draw: Draw | None, variables, batch, keys) -> Scored:
    """The same, of a network with running statistics, which are variables that `engine.with_statistics` moves.

    On several devices each device has statistics of its part of the batch, and drops values by a key of its own.
    """
    batch, key = drawn(draw, batch, keys)
    fixed = {**variables, "batch_stats": jax.lax.stop_gradient(variables["batch_stats"])}
    options = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": key}}
    out, moved = network.apply(fixed, batch["inputs"], **options)
    return problem.losses(out, batch).mean() + engine.statistics_term(variables, moved), {}


def drawn(draw: Draw | None, batch, keys: Array) -> tuple[dict[str, Array], Array]:
    """A batch, drawn by the keys (B,) of its examples if there is a draw, and a key for what else is random."""
    pairs = jax.vmap(jax.random.split)(keys)
    return batch if draw is None else jax.vmap(draw)(pairs[:, 0]), pairs[0, 1]


def answers(out: Array | models.SequenceOutput) -> Array:
    """What a network answers."""
    return out.logits if isinstance(out, models.SequenceOutput) else out


def scores(network: nn.Module, problem: Problem, params, batch, keys) -> dict[str, Array]:
    """One value per sequence, (B,), of the problem's metrics."""
    del keys
    return problem.scores(answers(network.apply(params, batch["inputs"])), batch)
