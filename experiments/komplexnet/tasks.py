"""What the engine trains and judges: a network, its loss, and its scores on still scenes and on videos."""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine
from experiments.komplexnet import names
from oscnets import losses, metrics, models

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def make_task(config: ConfigDict, name: str) -> engine.Task:
    """A model of `names` as the engine trains it."""
    network, phased = make_network(config, name), names.model(name).network in names.COMPLEX
    channels = 3 if names.model(name).background and config.data.colour else 1
    example = jnp.zeros((1, config.data.size, config.data.size, channels))
    if phased:
        phases = models.random_phases(jax.random.key(0), (*example.shape[:3], network.channels))
        init = lambda key: network.init(key, example, phases0=phases, num_steps=1)  # noqa: E731
        start = ideal_start if network.phases == "ideal" else random_start
        weight = config.train.synchrony_weight if network.phases == "kuramoto" else 0.0
        loss, judge = partial(complex_loss, network, start, weight), _judge_complex(network, start)
    else:
        init = lambda key: network.init(key, example)  # noqa: E731
        loss, judge = partial(real_loss, network), _judge_real(network)
    slice_size = config.slice_size or (32 if jax.default_backend() == "cpu" else config.train.batch_size)
    optimizer = optax.chain(optax.clip_by_global_norm(config.train.clip_norm), optax.adam(config.train.learning_rate))
    return engine.Task(
        init,
        partial(in_slices, loss, slice_size),
        judge("test"),
        optimizer,
        score="accuracy",
        evaluate_on=judge,
    )


def make_network(config: ConfigDict, name: str) -> nn.Module:
    """The Flax module of a model."""
    kind = names.model(name).network
    if kind not in names.COMPLEX:
        return {"real": models.RealNet, "real_large": models.larger_real_net, "vit": models.VisionTransformer}[kind]()
    settings = config.model.to_dict()
    if kind in ("random", "ideal"):
        return models.KomplexNet(**settings, phases=kind)
    if layers := names.FEEDBACK[kind]:
        settings["feedback_kernel_size"] = config.feedback_kernel_size
        settings |= config.feedback["all" if len(layers) > 1 else layers[0]].to_dict()
    return models.KomplexNet(**settings, feedback=layers, learn_kernel=kind != "fixed_kernel")


Judge = Callable[[str], Callable[..., dict[str, Array]]]


def _judge_complex(network: models.KomplexNet, start: Callable) -> Judge:
    """Test set -> its scores; sets judged alike share one function, which is then compiled once."""
    still = cache(lambda num_steps: partial(complex_scores, network, start, num_steps))
    by_frame = cache(lambda num_steps: partial(frame_scores, still(num_steps)))
    moving = partial(video_scores, network, start) if network.phases == "kuramoto" else by_frame(None)

    def judge(split):
        test = names.test_set(split)
        if test.kind in names.STILL:
            return still(test.num_steps)
        return by_frame(test.num_steps) if test.kind == "frames" else moving

    return judge


def _judge_real(network: nn.Module) -> Judge:
    still = partial(real_scores, network)
    by_frame = partial(frame_scores, still)
    return lambda split: still if names.test_set(split).kind in names.STILL else by_frame


def in_slices(loss, slice_size: int, params, batch, keys) -> Scored:
    """The mean of `loss` over a batch, computed a slice at a time so that its intermediates stay in the cache."""
    size = len(keys)
    count = next(n for n in range(-(-size // slice_size), size + 1) if size % n == 0)
    sliced = jax.tree.map(lambda x: x.reshape(count, size // count, *x.shape[1:]), (batch, keys))
    total, scalars = losses.streaming_sum(lambda params, _, data: loss(params, *data), params, (), sliced)
    return total / count, jax.tree.map(lambda x: x.mean(0), scalars)


def real_loss(network, params, batch, keys) -> Scored:
    """Binary cross-entropy."""
    del keys
    value = losses.binary_cross_entropy(network.apply(params, batch["images"]), batch["targets"]).mean()
    return value, {"classification": value}


def real_scores(network, params, batch, keys) -> dict[str, Array]:
    """Accuracies, (B,) each."""
    del keys
    return metrics.multi_label_scores(network.apply(params, batch["images"]), batch["targets"])


def random_start(batch, keys, channels: int) -> Array:
    """Uniform phases, (B, H, W, C)."""
    shape = (*batch["images"].shape[1:3], channels)
    return jax.vmap(lambda key: models.random_phases(key, shape))(keys)


def ideal_start(batch, keys, channels: int) -> Array:
    """Phases set by the masks, (B, H, W, C)."""
    return models.ground_truth_phases(keys, batch["masks"], batch["overlap"], channels)


def complex_loss(network, start, weight: float, params, batch, keys) -> Scored:
    """Equation 7: cross-entropy averaged over time plus the weighted synchrony loss at the last step."""
    start_phases = start(batch, keys, network.channels)
    run = network.apply(params, batch["images"], phases0=start_phases, method="synchronize")
    shared = (params, run.context)
    entropy = losses.mean_over_time(partial(step_entropy, network), shared, run.states, batch["targets"])
    synchrony = losses.cluster_synchrony(run.phases, batch["masks"], run.amplitude).mean()
    return entropy + weight * synchrony, {"classification": entropy, "synchrony": synchrony}


def step_entropy(network, shared, state, targets) -> Array:
    """Binary cross-entropy of one step of the dynamics."""
    params, context = shared
    logits = network.apply(params, state, context, method="classify_step")
    return losses.binary_cross_entropy(logits, targets).mean()


def complex_scores(network, start, num_steps: int | None, params, batch, keys) -> dict[str, Array]:
    """Accuracies and synchrony loss at every step, (B, T) each; (B,) without dynamics."""
    phases0 = start(batch, keys, network.channels)
    out = network.apply(params, batch["images"], phases0=phases0, num_steps=num_steps)
    scores = metrics.multi_label_scores(out.logits, batch["targets"])
    of_step = lambda phases: losses.cluster_synchrony(phases, batch["masks"], out.amplitude)  # noqa: E731
    scores["synchrony"] = jax.lax.map(of_step, out.trajectory)
    if network.phases != "kuramoto":
        return {name: value[0] for name, value in scores.items()}
    return {name: value.T for name, value in scores.items()}


def frame_scores(still, params, batch, keys) -> dict[str, Array]:
    """`still`'s scores, at its last step, of every frame of a video by itself: (B, F)."""
    films = {name: jnp.moveaxis(batch[name], 1, 0) for name in ("images", "masks", "overlap")}
    keys = jax.vmap(partial(jax.random.split, num=len(films["images"])), out_axes=1)(keys)

    def of_frame(frame):
        scores = still(params, {**frame[0], "targets": batch["targets"]}, frame[1])
        return {name: value.reshape(len(value), -1)[:, -1] for name, value in scores.items()}

    return {name: value.T for name, value in jax.lax.map(of_frame, (films, keys)).items()}


def video_scores(network, start, params, batch, keys) -> dict[str, Array]:
    """Accuracies at every frame, (B, F), with phases and layers carried on: one step of the dynamics a frame."""
    frames = jnp.moveaxis(batch["images"], 1, 0)
    first = {"images": frames[0]}
    see = partial(network.apply, params, num_steps=1)
    out = see(frames[0], phases0=start(first, keys, network.channels))

    def next_frame(state, frame):
        out = see(frame, phases0=state[0], layers0=state[1])
        return (out.phases, out.layers), out.logits[0]

    _, logits = jax.lax.scan(next_frame, (out.phases, out.layers), frames[1:])
    scores = metrics.multi_label_scores(jnp.concatenate([out.logits, logits]), batch["targets"])
    return {name: value.T for name, value in scores.items()}
