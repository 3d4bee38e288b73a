"""A model as the engine trains and evaluates it: its network, its loss, its scores on still scenes and on videos."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from experiments import engine, groups
from experiments.komplexnet.data import VIDEOS
from oscnets import grouping, losses, metrics, models, phase
from oscnets.models.komplexnet import LAYERS

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log


def komplexnet(config: ConfigDict, **settings: Any) -> models.KomplexNet:
    """The complex-valued network without feedback."""
    return models.KomplexNet(**{**config.model.to_dict(), **settings})


class Feedback(NamedTuple):
    """Feedback of a network: the group of config.feedback with its rates, and the layers that send it."""

    group: str
    layers: tuple[str, ...]


FEEDBACK = {
    "feedback": Feedback("all", LAYERS),
    **{f"feedback_{layer}": Feedback(layer, (layer,)) for layer in LAYERS},
}


def with_feedback(config: ConfigDict, feedback: Feedback) -> models.KomplexNet:
    """The complex-valued network with feedback; its rates replace `config.model.rate`."""
    rates = config.feedback[feedback.group].to_dict()
    return komplexnet(config, feedback=feedback.layers, feedback_kernel_size=config.feedback_kernel_size, **rates)


# The networks that a table of config.models may name, each built from the config that `specs.config_of` returns.
BUILDERS: dict[str, Callable[[ConfigDict], nn.Module]] = {
    "komplexnet": komplexnet,
    **{network: partial(with_feedback, feedback=feedback) for network, feedback in FEEDBACK.items()},
    "fixed_kernel": partial(komplexnet, learn_kernel=False),
    "random": partial(komplexnet, phases="random"),
    "ideal": partial(komplexnet, phases="ideal"),
    "real": lambda config: models.RealNet(),
    "real_large": lambda config: models.larger_real_net(),
    "vit": lambda config: models.VisionTransformer(),
    "vit_script": lambda config: models.VisionTransformer(norm="last", dropout=0.1),
}


def make_network(config: ConfigDict, model: Mapping[str, Any]) -> nn.Module:
    """The Flax module of a model, given its config (`specs.config_of`) and its table."""
    return BUILDERS[model["network"]](config)


def has_phases(network: nn.Module) -> bool:
    """Whether its activations are complex."""
    return isinstance(network, models.KomplexNet)


def has_dynamics(network: nn.Module) -> bool:
    """Whether its phases change over the steps of the dynamics."""
    return has_phases(network) and network.phases == "kuramoto"


def make_task(
    config: ConfigDict,
    model: Mapping[str, Any],
    tests: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    shape: tuple[int, int, int] | None = None,
) -> engine.Task:
    """The task of one model.

    Args:
        config: this model's own, from `specs.config_of`.
        model: its table.
        tests: the table of every test set that it is evaluated on, by label.
        shape: height, width and channels of an image; None: those of this family's scenes.
    """
    network = make_network(config, model)
    channels = 3 if model["background"] and config.data.colour else 1
    example = jnp.zeros((1, *(shape or (config.data.size, config.data.size, channels))))
    if has_phases(network):
        phases = models.random_phases(jax.random.key(0), (*example.shape[:3], network.channels))
        init = lambda key: network.init(key, example, phases0=phases, num_steps=1)  # noqa: E731
        weight = config.train.synchrony_weight if has_dynamics(network) else 0.0
        by_progress = has_dynamics(network) and (config.train.one_step > 0 or config.train.phase_curriculum > 0)
        loss = partial(complex_loss, network, weight, last_steps=config.train.loss_steps)
        loss = partial(curriculum_loss, network, config.train) if by_progress else loss
        scores_on = _complex_scores_on(network)
    else:
        init = lambda key: network.init(key, example)  # noqa: E731
        by_progress, loss, scores_on = False, partial(real_loss, network), _real_scores_on(network)
    init = partial(_with_output_gain, init, config.train.output_gain)
    return engine.Task(
        init,
        loss,
        scores_on({"kind": "test", "num_steps": None, "grouped": 0}),
        engine.optimizer.make(config.train),
        score="accuracy",
        evaluate_on=lambda label: scores_on((tests or {})[label]),
        on_host=partial(groups.on_host, lambda data: groups.labels_of(data["masks"], data["overlap"])),
        takes_progress=by_progress,
        curriculum=config.train.one_step + config.train.phase_curriculum if by_progress else 0.0,
        # Of so many images the intermediates stay in the cache of a CPU.
        slice_size=config.slice_size or (32 if jax.default_backend() == "cpu" else None),
    )


def _with_output_gain(init: Callable[[Array], Any], gain: float, key: Array) -> Any:
    """Initial parameters, those of the output layer times a gain."""

    def scaled(path, leaf):
        return leaf * gain if path[-1].key in ("output_kernel", "output_bias") else leaf

    return init(key) if gain == 1 else jax.tree_util.tree_map_with_path(scaled, init(key))


ScoresOn = Callable[[Mapping[str, Any]], Callable[..., dict[str, Array]]]


def _complex_scores_on(network: models.KomplexNet) -> ScoresOn:
    """A test table -> its scores; tests evaluated alike share one function, which is then compiled once."""
    still = cache(lambda num_steps, **kinds: partial(complex_scores, network, num_steps, **kinds))
    by_frame = cache(lambda num_steps: partial(frame_scores, still(num_steps)))
    moving = partial(video_scores, network) if has_dynamics(network) else by_frame(None)

    def scores_on(test):
        if test["kind"] not in VIDEOS:
            return still(test["num_steps"], grouped=test["grouped"] > 0, overlapping=test["kind"] == "overlap")
        return by_frame(test["num_steps"]) if test["kind"] == "frames" else moving

    return scores_on


def _real_scores_on(network: nn.Module) -> ScoresOn:
    still = partial(real_scores, network)
    by_frame = partial(frame_scores, still)
    return lambda test: by_frame if test["kind"] in VIDEOS else still


def real_loss(network, params, batch, keys) -> Scored:
    """Binary cross-entropy; values are dropped by each example's own key, whatever device and slice it is in."""

    def dropped(image, key):
        return network.apply(params, image[None], train=True, rngs={"dropout": key})[0]

    drops = isinstance(network, models.VisionTransformer) and network.dropout > 0
    logits = jax.vmap(dropped)(batch["images"], keys) if drops else network.apply(params, batch["images"])
    value = losses.binary_cross_entropy(logits, batch["targets"]).mean()
    return value, {"classification": value}


def real_scores(network, params, batch, keys) -> dict[str, Array]:
    """Accuracies, (B,) each."""
    del keys
    return metrics.multi_label_scores(network.apply(params, batch["images"]), batch["targets"])


def initial_phases(network: models.KomplexNet, batch, keys) -> Array:
    """Phases before the first step, (B, H, W, C): uniform, or for a network with ideal phases set by the masks."""
    if network.phases == "ideal":
        return models.ground_truth_phases(keys, batch["masks"], batch["overlap"], network.channels)
    shape = (*batch["images"].shape[1:3], network.channels)
    return jax.vmap(lambda key: models.random_phases(key, shape))(keys)


def noisy_ground_truth(network: models.KomplexNet, batch, keys) -> Array:
    """Phases by the masks plus uniform noise of `batch["phase_noise"]` (B,) half cycles: at 1 they are random."""
    phases = models.ground_truth_phases(keys, batch["masks"], batch["overlap"], network.channels)
    noise = jax.vmap(lambda key: models.random_phases(jax.random.fold_in(key, 1), phases.shape[1:]))(keys)
    return phases + batch["phase_noise"][:, None, None, None] * noise


def complex_loss(
    network, weight: float, params, batch, keys, *, phases=initial_phases, last_steps: int | None = None
) -> Scored:
    """Equation 7: cross-entropy averaged over time plus the weighted synchrony loss at the last step.

    `phases` gives the phases before the first step, as `initial_phases` does. The average is over the last
    `last_steps` steps of the dynamics; None: over all of them, as in the equation.
    """
    run = network.apply(params, batch["images"], phases0=phases(network, batch, keys), method="synchronize")
    shared = (params, run.context)
    states = run.states if last_steps is None else run.states[-last_steps:]
    entropy = losses.mean_over_time(partial(step_entropy, network), shared, states, batch["targets"])
    synchrony = losses.cluster_synchrony(run.phases, batch["masks"], run.amplitude).mean()
    return entropy + weight * synchrony, {"classification": entropy, "synchrony": synchrony}


def curriculum_loss(network, train, params, batch, keys, progress) -> Scored:
    """`complex_loss` from `noisy_ground_truth`, by the share of the training that is done.

    In the first share `train.one_step` there is no noise and one step of the dynamics; in the share
    `train.phase_curriculum` after it noise rises to 1.
    """

    def loss(network, last_steps, noise, params):
        noisy = {**batch, "phase_noise": jnp.full(len(keys), noise, jnp.float32)}
        drawn = {"phases": noisy_ground_truth, "last_steps": last_steps}
        return complex_loss(network, train.synchrony_weight, params, noisy, keys, **drawn)

    since = progress - train.one_step
    noise = jnp.clip(since / train.phase_curriculum, 0, 1) if train.phase_curriculum else 1.0
    whole = partial(loss, network, train.loss_steps, noise)
    if not train.one_step:
        return whole(params)
    return jax.lax.cond(since < 0, partial(loss, network.clone(num_steps=1), None, 0.0), whole, params)


def step_entropy(network, shared, state, targets) -> Array:
    """Binary cross-entropy of one step of the dynamics."""
    params, context = shared
    logits = network.apply(params, state, context, method="classify_step")
    return losses.binary_cross_entropy(logits, targets).mean()


def complex_scores(
    network, num_steps: int | None, params, batch, keys, *, grouped: bool = False, overlapping: bool = False
) -> dict[str, Any]:
    """Accuracies, synchrony loss, order and separation of the digits, (B, T) each; (B,) without dynamics.

    If `overlapping` also `overlap_phases`. If `grouped` also `features` (B, H, W, 2 C) of the last phases, weighted by
    their drive, for `groups.on_host`.
    """
    phases0 = initial_phases(network, batch, keys)
    out = network.apply(params, batch["images"], phases0=phases0, num_steps=num_steps)
    scores = metrics.multi_label_scores(out.logits, batch["targets"])

    def of_step(phases):
        given = phases, batch["masks"], out.amplitude
        parts = metrics.phase_separation(*given) | {"synchrony": losses.cluster_synchrony(*given)}
        return parts | (overlap_phases(*given, batch["overlap"]) if overlapping else {})

    scores |= jax.lax.map(of_step, out.trajectory)
    moves = has_dynamics(network)
    scores = jax.tree.map(lambda value: value.T if moves else value[0], scores)
    if grouped:
        scores["features"] = grouping.phase_features(out.phases, jnp.tanh(out.amplitude))
    return scores


def overlap_phases(phases: Array, masks: Array, amplitude: Array, overlap: Array) -> dict[str, engine.Measured]:
    """Whether the pixels of several digits are a cluster of their own (appendix A.4 of the paper).

    Args:
        phases, amplitude: (B, H, W, C), radians and >= 0; units of amplitude 0 are left out.
        masks: (B, H, W, G) of the digits without the overlap.
        overlap: (B, H, W), pixels of several digits.

    Returns:
        (B,) each, of scenes with such pixels: `overlap_order`, their order parameter over pixels and channels, in
        [0, 1]; `overlap_distance`, the angle between their mean phase and that of the nearest digit, radians in
        [0, pi]: 0 where they join it, pi / 2 halfway between two digits in antiphase, as for ideal phases, 2 pi / 3 for
        three equidistant clusters.
    """
    groups = jnp.concatenate([masks > 0, overlap[..., None] > 0], axis=-1)
    units = (groups[..., None, :] & (amplitude > 0)[..., None]).astype(phases.dtype)  # (B, H, W, C, G + 1)
    means = phase.order_parameter(jnp.broadcast_to(phases[..., None], units.shape), units, axis=(-4, -3, -2))
    present = units.sum((-4, -3, -2)) > 0
    angles = jnp.abs(jnp.angle(means[..., :-1] * means[..., -1:].conj()))
    nearest = jnp.where(present[..., :-1], angles, jnp.inf).min(-1)
    where = present[..., -1] & present[..., :-1].any(-1)
    return {
        "overlap_order": engine.Measured(jnp.abs(means[..., -1]), where),
        "overlap_distance": engine.Measured(jnp.where(where, nearest, 0), where),
    }


def frame_scores(still, params, batch, keys) -> dict[str, Array]:
    """`still`'s scores, at its last step, of every frame of a video as a scene of its own: (B, F)."""
    frames = {name: jnp.moveaxis(batch[name], 1, 0) for name in ("images", "masks", "overlap")}
    keys = jax.vmap(partial(jax.random.split, num=len(frames["images"])), out_axes=1)(keys)

    def of_frame(frame):
        scores = still(params, {**frame[0], "targets": batch["targets"]}, frame[1])
        return {name: value.reshape(len(value), -1)[:, -1] for name, value in scores.items()}

    return {name: value.T for name, value in jax.lax.map(of_frame, (frames, keys)).items()}


def video_scores(network, params, batch, keys) -> dict[str, Array]:
    """Accuracies at every frame, (B, F): one step of the dynamics per frame, from the state after the frame before."""
    frames = jnp.moveaxis(batch["images"], 1, 0)
    see = partial(network.apply, params, num_steps=1)
    out = see(frames[0], phases0=initial_phases(network, {"images": frames[0]}, keys))

    def next_frame(state, frame):
        out = see(frame, phases0=state[0], layers0=state[1])
        return (out.phases, out.layers), out.logits[0]

    _, logits = jax.lax.scan(next_frame, (out.phases, out.layers), frames[1:])
    scores = metrics.multi_label_scores(jnp.concatenate([out.logits, logits]), batch["targets"])
    return {name: value.T for name, value in scores.items()}
