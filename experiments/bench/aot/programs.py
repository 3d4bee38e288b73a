"""The programs that are compiled: training steps of every family, the notebooks' own, the dynamics by themselves."""

import difflib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from experiments import engine
from experiments.akorn import specs as akorn
from experiments.bench.aot import dynamics, notebooks
from experiments.configs import akorn as akorn_configs
from experiments.configs import gaspnet as gaspnet_configs
from experiments.configs import komplexnet as komplexnet_configs
from experiments.configs import sequences as sequences_configs
from experiments.configs import waves as waves_configs
from experiments.engine import fit, seeds, steps
from experiments.gaspnet import specs as gaspnet
from experiments.komplexnet import specs as komplexnet
from experiments.sequences import specs as sequences
from experiments.sequences.problems import problem_of
from experiments.waves import specs as waves

# The experiments that have every step of `paper` among them: the others train the same models on arrays of these sizes.
FAMILIES = {
    "komplexnet": (komplexnet.FAMILY, komplexnet_configs, ("all",)),
    "gaspnet": (gaspnet.FAMILY, gaspnet_configs, ("ablations", "cifar_mnist", "readings")),
    "waves": (waves.FAMILY, waves_configs, ("mnist", "tetrominoes", "multi_mnist", "polygons")),
    "akorn": (akorn.FAMILY, akorn_configs, ("sudoku", "discovery", "shapes")),
    "sequences": (
        sequences.FAMILY,
        sequences_configs,
        ("digits", "mnist", "permuted_mnist", "copy", "adding"),
    ),
}
# The main model of each family first: what `--only=main` stands for.
MAIN = (
    "komplexnet/all/komplexnet",
    "gaspnet/ablations/gaspnet",
    "waves/mnist/nwm_linear",
    "komplexnet/all/feedback",
    "waves/mnist/lstm_linear",
    "waves/multi_mnist/nwm_linear",
    "akorn/sudoku/akorn",
    "akorn/discovery/akorn",
    "akorn/shapes/rotating_features",
)
_FEW = 20  # examples that are made to learn the shapes of a training set


class Program(NamedTuple):
    """A compiled function and what it takes.

    Attributes:
        function: under `jax.jit`.
        arguments: `jax.ShapeDtypeStruct`s with shardings.
        num_steps: of the dynamics; None where there are none.
        sizes: facts to report.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    num_steps: int | None
    sizes: dict[str, Any]


def names() -> list[str]:
    """Every program: FAMILY/EXPERIMENT/MODEL, notebooks/NOTEBOOK/FUNCTION and dynamics/FUNCTION/DIRECTION."""
    found = []
    for family, (described, configs, experiments) in FAMILIES.items():
        for experiment in experiments:
            config = engine.complete(configs.get_config(f"{experiment},paper"), described)
            labels = engine.by_label(engine.tables(config, "models"))
            found += [f"{family}/{experiment}/{label}" for label in labels]
    found += [f"notebooks/{name}" for name in notebooks.names()]
    return found + [f"dynamics/{name}" for name in dynamics.names()]


def chosen(patterns: Sequence[str] | None) -> list[str]:
    """Programs by name, by a part of it from the left, or by a pattern with * and ?; "main" is `MAIN`.

    Raises:
        UsageError: nothing is called so.
    """
    if not patterns:
        return names()
    every, found = names(), []
    for pattern in patterns:
        if pattern == "main":
            found += MAIN
            continue
        matching = [n for n in every if fnmatch.fnmatchcase(n, pattern) or n.startswith(pattern + "/")]
        if not matching:
            near = difflib.get_close_matches(pattern, every, 1)
            offer = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(FAMILIES)}, dynamics"
            raise engine.UsageError(f"--only={pattern}: no program is called so{offer}")
        found += matching
    return list(dict.fromkeys(found))


def builds(
    name: str, devices: Sequence[jax.Device], scale: str = "paper", num_seeds: int = 1
) -> Iterator[tuple[Program, float]]:
    """A program for some devices, then, of a training step, the same in smaller and smaller slices of the batch.

    Each comes with its number of examples at a time, as `engine.fit.fitting` takes them. A training step is of so many
    seeds.
    """
    family, experiment, model = name.split("/")
    if family == "dynamics":
        yield _dynamics(experiment, model, devices), 1
    elif family == "notebooks":
        yield _notebook(experiment, model, devices), 1
    else:
        yield from _steps(family, experiment, model, devices, scale, num_seeds)


def _dynamics(name: str, direction: str, devices: Sequence[jax.Device]) -> Program:
    """On the first device."""
    function, arguments, num_steps = dynamics.program(name, direction)
    arguments = _placed(arguments, devices[0])
    return Program(jax.jit(function), arguments, num_steps, {"shapes": [list(x.shape) for x in arguments]})


def _notebook(name: str, function: str, devices: Sequence[jax.Device]) -> Program:
    """On the first device."""
    jitted, arguments = notebooks.program(name, function)
    return Program(jitted, _placed(arguments, devices[0]), None, {})


def _placed(arguments: Any, device: jax.Device) -> Any:
    """Their shapes, on a device."""
    placed = SingleDeviceSharding(device)
    shape = lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x), sharding=placed)  # noqa: E731
    return jax.tree.map(shape, arguments)


def _steps(
    family: str, experiment: str, label: str, devices: Sequence[jax.Device], scale: str, num_seeds: int
) -> Iterator[tuple[Program, float]]:
    """The engine's own training step, as a scale trains it; nothing is computed but shapes."""
    described, configs, _ = FAMILIES[family]
    config = engine.complete(configs.get_config(f"{experiment},{scale}"), described)
    total = config.train.num_examples
    pixels = _without_downloads(config)
    model = described.experiment(config, engine.tables(config, "tests")).models[label]
    batch_size = model.config.train.batch_size
    task, plan = model.task(), seeds.make_plan(0, num_seeds, batch_size, "loop", devices)
    few = model.data["train"]()
    if pixels is not None:
        few["inputs"] = np.resize(few["inputs"], (len(few["inputs"]), pixels, 1))
    num_steps = _num_steps(model, few)
    count = total * engine.num_examples(few) // _FEW
    shape = jax.ShapeDtypeStruct
    data = jax.tree.map(lambda x: shape((count, *x.shape[1:]), x.dtype), few)
    placed = steps.argument_shapes(task, plan, data)
    mesh = "x".join(map(str, plan.mesh.devices.shape))
    for each, examples in fit.plans(task, plan, batch_size):
        sizes = {"batch_size": batch_size, "slice_size": examples, "mesh": mesh}
        yield Program(steps.make_step(task, each, batch_size, 1), placed, num_steps, sizes), examples


def _without_downloads(config: Any) -> int | None:
    """Scenes of the same shapes from the digits that come with scikit-learn; the pixels of a picture read one by one.

    None where the config's pictures have as many as its own.
    """
    config.train.num_examples = _FEW
    if "source" in config.data:
        config.data.source = "digits"
    for key in ("background", "pictures"):
        if key in config.data:
            config.data[key] = "textures"
    if "permutation" in config.data and config.data.set == "mnist":
        config.data.update(set="scans", validation_examples=_FEW)
        return 28 * 28
    return None


def _num_steps(model: engine.Model, few: dict[str, Any]) -> int | None:
    network, config = model.table["network"], model.config
    if network == "lstm":
        return config.model.lstm_steps
    if network in ("cornn", "wrnn", "irnn", "gru"):
        draw = problem_of(config).draw
        one = few if draw is None else jax.eval_shape(partial(draw, length=config.data.length), jax.random.key(0))
        return one["inputs"].shape[-2]
    still = ("real", "real_large", "vit", "random", "ideal", "baseline", "cnn", "unet")
    still += ("rotating_features", "complex_autoencoder", "linoss", "dlinoss")
    return None if network in still else config.model.num_steps
