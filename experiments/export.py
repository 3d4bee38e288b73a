"""Export of one trained network of a run, in the form that `oscnets.pretrained` loads.

python -m experiments.export --workdir=DIR --model=komplexnet [--seed=0] [--out=oscnets/weights]
"""

import argparse
import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax import traverse_util

from experiments import engine


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status: 0 done, 1 a damaged run, 2 an unusable one."""
    parser = engine.Parser(prog="python -m experiments.export", description=__doc__)
    parser.add_argument("--workdir", type=engine.user_path, required=True, help="of a run whose model is trained")
    parser.add_argument("--model", required=True, help="its label in the run")
    parser.add_argument("--seed", type=int, help="one of the run's (default: its first)")
    parser.add_argument("--out", type=engine.user_path, default=Path("oscnets/weights"), help="folder of the two files")
    parser.add_argument("--name", help="of the files (default: the model's label)")
    return parser.run(_run, argv)


def _run(options: argparse.Namespace) -> None:
    size = export(options.workdir, options.model, options.seed, options.out, options.name)
    print(f"{options.out / (options.name or options.model)}.npz: {size / 1e6:.2f} MB")


def export(workdir: Path, model: str, seed: int | None, out: Path, name: str | None = None) -> int:
    """Write NAME.npz and NAME.json of a model's best parameters on validation; the size of the first in bytes.

    Of a model that is evaluated with an average of its parameters that average is written.

    Raises:
        UsageError: no run, no such model or seed in it, its training is not finished, or `out` cannot be written.
        RunError: its checkpoints are damaged.
    """
    workdir, out = engine.user_path(workdir), engine.user_path(out)
    facts = _facts(workdir)
    specs, task = (_module(workdir, facts["experiment"], part) for part in ("specs", "task"))
    experiment = engine.experiment_of(specs.FAMILY, workdir)
    if model not in experiment.models:
        raise engine.UsageError(f"no model {model!r} in {workdir}: expected one of {', '.join(experiment.models)}")
    own = experiment.models[model].config
    first, count = own.seed, own.seeds
    chosen = first if seed is None else seed
    if not first <= chosen < first + count:
        raise engine.UsageError(f"no seed {chosen} in {workdir}: expected {first} to {first + count - 1}")
    trained = engine.load_trained(experiment, workdir, model)
    network = task.make_network(trained.model.config, trained.model.table)
    params = jax.tree.map(lambda leaf: leaf[chosen - first], engine.averaged_params(trained.params))
    described = {
        "module": type(network).__name__,
        "attributes": attributes(network),
        **{key: facts[key] for key in ("experiment", "command", "commit")},
        "model": model,
        "seed": chosen,
        "step": int(trained.best_step[chosen - first]),
        "score": scores(workdir, model, chosen),
    }
    path = out / f"{name or model}.npz"
    try:
        out.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **traverse_util.flatten_dict(params, sep="."))
        path.with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise engine.UsageError(f"--out={out} cannot be written: {error.strerror or error}") from error
    return path.stat().st_size


def _facts(workdir: Path) -> dict[str, Any]:
    """The content of config.json; UsageError where there is none, or it lacks entries that an export needs."""
    facts = engine.load_config(workdir)
    if not facts:
        raise engine.UsageError(f"no run in {workdir}")
    missing = [key for key in ("experiment", "command", "commit", "config") if key not in facts]
    missing += [f"config.{key}" for key in ("models", "seed", "seeds") if key not in facts.get("config", {})]
    if missing:
        raise engine.UsageError(f"config.json of {workdir} lacks {', '.join(missing)}")
    return facts


def _module(workdir: Path, experiment: str, part: str) -> ModuleType:
    """A module of the family of a run."""
    try:
        return importlib.import_module(f"experiments.{experiment}.{part}")
    except ModuleNotFoundError as error:
        raise engine.UsageError(f"workdir {workdir} belongs to no experiment with an export: {experiment}") from error


def attributes(module: nn.Module) -> dict[str, Any]:
    """The attributes that a module was made with."""
    fields = [field.name for field in dataclasses.fields(module) if field.init and field.name not in ("parent", "name")]
    return {name: getattr(module, name) for name in fields}


def scores(workdir: Path, model: str, seed: int) -> dict[str, dict[str, float]]:
    """{test set: {metric: value at the last step of the dynamics}} of a seed."""
    metrics = engine.load_metrics(workdir)
    by_test: dict[str, dict[str, float]] = {}
    for split, by_name in metrics[model].items():
        if split not in engine.TRAINING_SPLITS:
            for name in by_name:
                seeds, values = engine.last_values(metrics, model, split, name)
                if seed in seeds:
                    by_test.setdefault(split, {})[name] = round(float(values[seeds.index(seed)][-1]), 5)
    return by_test


if __name__ == "__main__":
    sys.exit(main())
