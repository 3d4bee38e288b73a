"""The programs that are compiled: training steps of every family, and the dynamics by themselves."""

import difflib
import fnmatch
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from experiments import engine
from experiments.akorn import specs as akorn
from experiments.bench.aot import dynamics
from experiments.configs import akorn as akorn_configs
from experiments.configs import gaspnet as gaspnet_configs
from experiments.configs import komplexnet as komplexnet_configs
from experiments.configs import waves as waves_configs
from experiments.engine import seeds, steps
from experiments.gaspnet import specs as gaspnet
from experiments.komplexnet import specs as komplexnet
from experiments.waves import specs as waves

FAMILIES = {
    "komplexnet": (komplexnet.FAMILY, komplexnet_configs, ("all",)),
    "gaspnet": (gaspnet.FAMILY, gaspnet_configs, ("ablations", "cifar_mnist")),
    "waves": (waves.FAMILY, waves_configs, ("mnist", "tetrominoes", "multi_mnist", "polygons")),
    "akorn": (akorn.FAMILY, akorn_configs, ("sudoku", "discovery", "shapes")),
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
    """Every program, FAMILY/EXPERIMENT/MODEL and dynamics/FUNCTION/DIRECTION."""
    found = []
    for family, (described, configs, experiments) in FAMILIES.items():
        for experiment in experiments:
            config = engine.complete(configs.get_config(f"{experiment},paper"), described)
            tables = engine.tables(config, "models")
            found += [f"{family}/{experiment}/{engine.label(*pair)}" for pair in tables.items()]
    return found + [f"dynamics/{name}/{direction}" for name in dynamics.DYNAMICS for direction in dynamics.DIRECTIONS]


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


def build(name: str, devices: Sequence[jax.Device], num_seeds: int = 1) -> Program:
    """A program for some devices; a training step is of so many seeds."""
    family, experiment, model = name.split("/")
    if family == "dynamics":
        return _dynamics(experiment, model, devices)
    return _step(family, experiment, model, devices, num_seeds)


def _dynamics(name: str, direction: str, devices: Sequence[jax.Device]) -> Program:
    """On the first device."""
    function, arguments, num_steps = dynamics.program(name, direction)
    placed = SingleDeviceSharding(devices[0])
    arguments = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed) for x in arguments)
    return Program(jax.jit(function), arguments, num_steps, {"shapes": [list(x.shape) for x in arguments]})


def _step(family: str, experiment: str, label: str, devices: Sequence[jax.Device], num_seeds: int) -> Program:
    """The engine's own training step, as `paper` trains it; nothing is computed but shapes."""
    described, configs, _ = FAMILIES[family]
    config = engine.complete(configs.get_config(f"{experiment},paper"), described)
    total = config.train.num_examples
    _without_downloads(config)
    model = described.experiment(config, engine.tables(config, "tests")).models[label]
    batch_size = model.config.train.batch_size
    task, plan = model.task(), seeds.make_plan(0, num_seeds, batch_size, "loop", devices)
    few = model.data["train"]()
    count = total * engine.num_examples(few) // _FEW
    shape = jax.ShapeDtypeStruct
    data = jax.tree.map(lambda x: shape((count, *x.shape[1:]), x.dtype), few)
    state = jax.tree.map(lambda x: shape((num_seeds, *x.shape[1:]), x.dtype), steps.state_shapes(task))
    per_seed = (*state, shape((num_seeds,), np.int32), shape((num_seeds, count), np.int32))
    shared = (data, shape((), np.int32), shape((), np.int32))
    placed = (*_on(plan.mesh, P("seed"), per_seed), *_on(plan.mesh, P(), shared))
    sizes = {"batch_size": batch_size, "mesh": "x".join(map(str, plan.mesh.devices.shape))}
    return Program(steps.make_step(task, plan, batch_size, 1), placed, _num_steps(model, label), sizes)


def _without_downloads(config: Any) -> None:
    """Scenes of the same shapes from the digits that come with scikit-learn."""
    config.train.num_examples = _FEW
    if "source" in config.data:
        config.data.source = "digits"
    for key in ("background", "pictures"):
        if key in config.data:
            config.data[key] = "textures"


def _num_steps(model: engine.Model, label: str) -> int | None:
    network = model.table["network"]
    if network == "lstm":
        return model.config.model.lstm_steps
    still = ("real", "real_large", "vit", "random", "ideal", "baseline", "cnn", "unet")
    still += ("rotating_features", "complex_autoencoder")
    return None if network in still else model.config.model.num_steps


def _on(mesh: jax.sharding.Mesh, spec: P, tree: Any) -> Any:
    placed = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed), tree)
