"""Takes one trained network out of a run, as `oscnets.pretrained` loads it.

python -m experiments.export --workdir=DIR --model=komplexnet [--seed=0] [--out=oscnets/weights]
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax import traverse_util
from ml_collections import ConfigDict

from experiments.engine import RunError, UsageError
from experiments.engine.record.results import TRAINING_SPLITS, last_values, load_metrics
from experiments.engine.run import config as config_lib
from experiments.engine.run import workdir as workdir_lib
from experiments.engine.run.checkpoint import Store
from experiments.engine.training.progress import Progress
from experiments.engine.training.task import Task
from experiments.engine.training.trainer import restore


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status: 0 done, 1 a damaged run, 2 an unusable one."""
    parser = argparse.ArgumentParser(prog="python -m experiments.export", description=__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", type=Path, required=True, help="of a run whose model is trained")
    parser.add_argument("--model", required=True, help="as the run calls it")
    parser.add_argument("--seed", type=int, help="one of the run's (default: its first)")
    parser.add_argument("--out", type=Path, default=Path("oscnets/weights"), help="folder of the two files")
    parser.add_argument("--name", help="of the files (default: the model's)")
    arguments = parser.parse_args(argv)
    try:
        size = export(arguments.workdir, arguments.model, arguments.seed, arguments.out, arguments.name)
    except (RunError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, RunError) else 2
    print(f"{arguments.out / (arguments.name or arguments.model)}.npz: {size / 1e6:.2f} MB")
    return 0


def export(workdir: Path, model: str, seed: int | None, out: Path, name: str | None = None) -> int:
    """Write NAME.npz and NAME.json of a model's best parameters on validation; the size of the first in bytes.

    Raises:
        UsageError: no run, no such model or seed in it, its training is not finished, or `out` cannot be written.
        RunError: its checkpoints are damaged.
    """
    facts, config = _facts(workdir)
    if model not in config.models:
        raise UsageError(f"no model {model!r} in {workdir}: expected one of {', '.join(config.models)}")
    if Progress.read(workdir, model, config.seeds) is None:
        raise UsageError(f"model {model!r} of {workdir} is still in training")
    known = range(config.seed, config.seed + config.seeds)
    chosen = config.seed if seed is None else seed
    if chosen not in known:
        raise UsageError(f"no seed {chosen} in {workdir}: expected {known.start} to {known.stop - 1}")
    tasks = importlib.import_module(f"experiments.{facts['experiment']}.tasks")
    params, step = _best(workdir / "checkpoints" / model, tasks.make_task(config, model), config.seed, chosen)
    module = tasks.make_network(config, model)
    told = {"module": type(module).__name__, "attributes": attributes(module), "experiment": facts["experiment"]}
    told |= {"model": model, "seed": chosen, "step": step, "command": facts["command"], "commit": facts["commit"]}
    told["score"] = scores(workdir, model, chosen)
    path = out / f"{name or model}.npz"
    try:
        out.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **traverse_util.flatten_dict(params, sep="."))
        path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"--out={out} cannot be written: {error.strerror or error}") from error
    return path.stat().st_size


def _facts(workdir: Path) -> tuple[dict[str, Any], ConfigDict]:
    """config.json, and the config in it; UsageError where there is none, or it lacks what an export needs."""
    if not (workdir / "config.json").is_file():
        raise UsageError(f"no run in {workdir}")
    facts = workdir_lib.load(workdir)
    missing = [key for key in ("experiment", "command", "commit", "config") if key not in facts]
    missing += [f"config.{key}" for key in ("models", "seed", "seeds") if key not in facts.get("config", {})]
    if missing:
        raise UsageError(f"config.json of {workdir} lacks {', '.join(missing)}")
    return facts, config_lib.from_json(facts["config"])


def _best(folder: Path, task: Task, first: int, seed: int) -> tuple[Any, int]:
    """Best parameters of a seed, numpy, and the step of training they are of.

    Seeds that a run was given later have a store of their own below the first ones', named by the first of them.
    """
    place = folder
    while True:
        with contextlib.closing(Store(place)) as store:
            found = restore(store, task)
        if found is None:
            raise RunError(f"{place} holds no checkpoint of seed {seed}")
        row = seed - first
        if row < len(found.state.best_step):
            best = jax.tree.map(itemgetter(row), found.state.best_params)
            return best, int(found.state.best_step[row])
        first += len(found.state.best_step)
        place = folder / f"seed{first}"


def attributes(module: nn.Module) -> dict[str, Any]:
    """What a module was made with."""
    fields = [field.name for field in dataclasses.fields(module) if field.init and field.name not in ("parent", "name")]
    return {name: getattr(module, name) for name in fields}


def scores(workdir: Path, model: str, seed: int) -> dict[str, dict[str, float]]:
    """{test set: {metric: value at the last step of the dynamics}} of a seed."""
    metrics = load_metrics(workdir)
    found: dict[str, dict[str, float]] = {}
    for split, by_name in metrics[model].items():
        if split not in TRAINING_SPLITS:
            for name in by_name:
                known, values = last_values(metrics, model, split, name)
                if seed in known:
                    found.setdefault(split, {})[name] = round(float(values[known.index(seed)][-1]), 5)
    return found


if __name__ == "__main__":
    sys.exit(main())
