"""KomplexNet and its baselines on scenes of several digits (Muzellec, Alamia, Serre and VanRullen, 2025).

python -m experiments.komplexnet --config=experiments/configs/komplexnet.py:digits
"""

import math
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from data_gen import corruptions, multi_mnist, sources
from experiments import engine
from oscnets import losses, metrics, models
from oscnets.dynamics import sum_over

Scored = tuple[Array, dict[str, Array]]  # a loss, and scalars to log

MODELS = ("real", "real_large", "random", "ideal", "komplexnet")
SAMPLED = {"test": 4, "overlap": 2, "noise": 2}  # scenes of each split that the pictures show


def validate(config: ConfigDict) -> None:
    """Raise ValueError, with the entry, its value and what was expected, for a config out of range."""
    data, model, train = config.data, config.model, config.train
    unknown = [name for name in config.models if name not in MODELS]
    odd = model.kernel_size > 0 and model.kernel_size % 2
    for entry, value, good, expected in (
        ("models", config.models, config.models and not unknown, f"some of {', '.join(MODELS)}"),
        ("data.source", data.source, data.source in sources.NAMES[:3], f"one of {', '.join(sources.NAMES[:3])}"),
        ("data.num_digits", data.num_digits, 2 <= data.num_digits <= 9, "2 to 9"),
        ("data.size", data.size, data.size >= 2 and data.size % 2 == 0, "an even size, for a stride of 2"),
        ("data.max_overlap", data.max_overlap, 0 <= data.max_overlap <= 1, "a share within [0, 1]"),
        ("data.test_overlap", data.test_overlap, 0 < data.test_overlap <= 1, "a share within (0, 1]"),
        ("data.noise_variance", data.noise_variance, data.noise_variance >= 0, "a variance >= 0"),
        ("data.test_examples", data.test_examples, data.test_examples >= 1, "at least 1"),
        ("model.channels", model.channels, model.channels >= 1, "at least 1"),
        ("model.kernel_size", model.kernel_size, odd, "an odd size > 0, so that it has a centre"),
        ("model.rate", model.rate, 0 <= model.rate < math.inf, "a finite rate >= 0"),
        ("model.epsilon", model.epsilon, 0 <= model.epsilon < math.inf, "a finite strength >= 0"),
        ("model.num_steps", model.num_steps, model.num_steps >= 1, "at least 1"),
        ("train.synchrony_weight", train.synchrony_weight, train.synchrony_weight >= 0, "a weight >= 0"),
        ("train.clip_norm", train.clip_norm, train.clip_norm > 0, "a norm > 0"),
        ("train.num_examples", train.num_examples, train.num_examples >= 5, "at least 5: a fifth is for validation"),
        ("slice_size", config.slice_size, config.slice_size >= 0, "at least 0"),
    ):
        if not good:
            raise ValueError(f"config.{entry}={value!r}: expected {expected}")


# Data


def load_data(config: ConfigDict) -> dict[str, dict[str, np.ndarray]]:
    """Scenes by split. Validation takes a fifth, made of a fifth of the digits, which no training scene uses."""
    data = config.data
    digits, test = (sources.load(data.source, split, data_dir=data.dir or None) for split in sources.SPLITS)
    held_out = np.arange(len(digits.labels)) % 5 == 4
    count = config.train.num_examples // 5
    generate = partial(multi_mnist.generate, num_digits=data.num_digits, size=data.size)
    train = generate(
        _rows(digits, ~held_out), seed=0, num_examples=config.train.num_examples - count, max_overlap=data.max_overlap
    )
    validation = generate(_rows(digits, held_out), seed=1, num_examples=count, max_overlap=data.max_overlap)
    clean = _batchable(generate(test, seed=2, num_examples=data.test_examples, max_overlap=data.max_overlap))
    overlap = _batchable(generate(test, seed=3, num_examples=data.test_examples, max_overlap=data.test_overlap))
    noisy = corruptions.gaussian_noise(clean["images"], std=data.noise_variance**0.5, seed=4)
    return {
        "train": _batchable(train),
        "validation": _batchable(validation),
        "test": clean,
        "overlap": overlap,
        "noise": {**clean, "images": noisy},
    }


def _rows(base: sources.Base, chosen: np.ndarray) -> sources.Base:
    return sources.Base(base.images[chosen], base.labels[chosen])


def _batchable(scenes: multi_mnist.Scenes) -> dict[str, np.ndarray]:
    return {"images": scenes.images, "masks": scenes.masks, "overlap": scenes.overlap, "targets": scenes.multi_hot()}


# Models


def make_task(config: ConfigDict, name: str) -> engine.Task:
    """One of `MODELS` as the engine trains it."""
    example = jnp.zeros((1, config.data.size, config.data.size, 1))
    if name in ("real", "real_large"):
        network = models.RealNet() if name == "real" else models.larger_real_net()
        init = lambda key: network.init(key, example)  # noqa: E731
        loss, evaluate = partial(real_loss, network), partial(real_scores, network)
    else:
        network = complex_network(config, name)
        phases = models.random_phases(jax.random.key(0), (*example.shape[:3], network.channels))
        init = lambda key: network.init(key, example, phases0=phases, num_steps=1)  # noqa: E731
        start = ideal_start if network.phases == "ideal" else random_start
        weight = config.train.synchrony_weight if network.phases == "kuramoto" else 0.0
        loss = partial(complex_loss, network, start, weight)
        evaluate = partial(complex_scores, network, start)
    slice_size = config.slice_size or (32 if jax.default_backend() == "cpu" else config.train.batch_size)
    optimizer = optax.chain(optax.clip_by_global_norm(config.train.clip_norm), optax.adam(config.train.learning_rate))
    return engine.Task(init, partial(in_slices, loss, slice_size), evaluate, optimizer, score="accuracy")


def complex_network(config: ConfigDict, name: str) -> models.KomplexNet:
    """KomplexNet, or the baseline that differs from it in where its phases come from."""
    return models.KomplexNet(**config.model, phases="kuramoto" if name == "komplexnet" else name)


def in_slices(loss, slice_size: int, params, batch, keys) -> Scored:
    """The mean of `loss` over a batch, computed a slice at a time so that its intermediates stay in the cache."""
    size = len(keys)
    count = next(n for n in range(-(-size // slice_size), size + 1) if size % n == 0)
    sliced = jax.tree.map(lambda x: x.reshape(count, size // count, *x.shape[1:]), (batch, keys))
    total, scalars = sum_over(lambda params, _, data: loss(params, *data), params, (), sliced)
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
    return models.ideal_phases(keys, batch["masks"], batch["overlap"], channels)


def complex_loss(network, start, weight: float, params, batch, keys) -> Scored:
    """Equation 7: cross-entropy averaged over time plus the weighted synchrony loss at the last step."""
    mean_entropy = lambda logits, targets: losses.binary_cross_entropy(logits, targets).mean()  # noqa: E731
    out = network.apply(
        params,
        batch["images"],
        phases0=start(batch, keys, network.channels),
        step_loss=mean_entropy,
        targets=batch["targets"],
    )
    synchrony = losses.cluster_synchrony(out.phases, batch["masks"], out.amplitude).mean()
    return out.loss + weight * synchrony, {"classification": out.loss, "synchrony": synchrony}


def complex_scores(network, start, params, batch, keys) -> dict[str, Array]:
    """Accuracies and synchrony loss at every step, (B, T) each."""
    out = network.apply(params, batch["images"], phases0=start(batch, keys, network.channels))
    scores = metrics.multi_label_scores(out.logits, batch["targets"])
    of_step = lambda phases: losses.cluster_synchrony(phases, batch["masks"], out.amplitude)  # noqa: E731
    scores["synchrony"] = jax.lax.map(of_step, out.trajectory)
    if network.phases != "kuramoto":
        return {name: value[0] for name, value in scores.items()}
    return {name: value.T for name, value in scores.items()}


# Pictures


def sample(
    config: ConfigDict, trained: engine.Trained, data: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Arrays for the pictures: some test scenes with their phases over time (the first seed's), and the kernels."""
    if trained.name.startswith("real"):
        return {}
    network = complex_network(config, trained.name)
    start = ideal_start if network.phases == "ideal" else random_start
    first = lambda tree: jax.tree.map(lambda x: x[0], tree)  # noqa: E731
    params, initial = first(trained.params), first(trained.initial_params)
    parts = [{key: value[:count] for key, value in data[split].items()} for split, count in SAMPLED.items()]
    scenes = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    keys = jax.random.split(jax.random.key(config.seed), len(scenes["images"]))
    out = jax.jit(network.apply)(params, scenes["images"], phases0=start(scenes, keys, network.channels))
    kernels = {}
    if network.phases == "kuramoto":
        kernels = {
            "kernel_before": initial["params"]["coupling_kernel"],
            "kernel_after": params["params"]["coupling_kernel"],
        }
    phases = np.asarray(jnp.moveaxis(out.trajectory, 0, 1), np.float16)
    return {**scenes, **kernels, "phases": phases, "amplitude": np.asarray(out.amplitude)}


def draw(workdir: Path) -> None:
    """The pictures of this experiment, from the samples in the workdir."""
    from oscnets import plotting

    for name in ("random", "ideal", "komplexnet"):
        path = workdir / "samples" / f"{name}.npz"
        if not path.exists():
            continue
        with np.load(path) as stored:
            arrays = dict(stored)
        begin = 0
        for split, count in SAMPLED.items():
            shown = {k: arrays[k][begin : begin + count] for k in ("images", "masks", "phases", "amplitude")}
            begin += count
            sheet = plotting.scene_sheet(**shown, title=f"{name}: scenes of the split {split}")
            plotting.save(sheet, workdir / "figures" / f"phases_{name}_{split}.png")
        channels = plotting.phase_map(
            arrays["phases"][0, -1], arrays["amplitude"][0], title=f"{name}: phases of every channel, last step"
        )
        plotting.save(channels, workdir / "figures" / f"channels_{name}.png")
        if "kernel_after" in arrays:
            kernel = plotting.kernel_change(
                arrays["kernel_before"], arrays["kernel_after"], title="coupling kernel, first seed"
            )
            plotting.save(kernel, workdir / "figures" / f"kernel_{name}.png")


def run(config: ConfigDict, workdir: Path, *, report_only: bool = False) -> None:
    """Train the config's models, test them, report."""
    engine.run(
        config,
        workdir,
        {name: partial(make_task, config, name) for name in config.models},
        partial(load_data, config),
        samples=partial(sample, config),
        report_only=report_only,
        draw=draw,
        chance={"accuracy": config.data.num_digits / 10},
        time_metrics=("accuracy", "synchrony"),
        labels={"accuracy": "share of digits found", "synchrony": "synchrony loss (0: perfect)"},
    )


if __name__ == "__main__":
    sys.exit(engine.main(run, name="komplexnet", validate=validate))
