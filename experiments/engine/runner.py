"""A whole experiment: every model trained, tested and sampled, then the report."""

import contextlib
import io
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.engine import evaluate, log, seeds
from experiments.engine import workdir as workdir_lib
from experiments.engine.checkpoint import Store
from experiments.engine.errors import Interrupted, RunError, UsageError
from experiments.engine.stop import Stop
from experiments.engine.task import PyTree, Task
from experiments.engine.train import Recorder, Trainer, TrainState

_TRAINING = ("train", "validation")


class Trained(NamedTuple):
    """A trained model, as the samples hook sees it; parameters are numpy arrays with a leading seed axis S."""

    name: str
    task: Task
    params: PyTree  # the best on validation
    initial_params: PyTree
    best_step: np.ndarray  # (S,)
    seeds: np.ndarray  # (S,)


Samples = Callable[[Trained, dict[str, PyTree]], Mapping[str, np.ndarray]]


def run(
    config: ConfigDict,
    workdir: Path,
    tasks: Mapping[str, Task | Callable[[], Task]],
    data: Mapping[str, PyTree] | Callable[[], Mapping[str, PyTree]],
    *,
    samples: Samples | None = None,
    report_only: bool = False,
    **report_options: Any,
) -> None:
    """Train the models in order, evaluate each on the test splits, and build the report.

    The same call on the same workdir continues where it was stopped; what is finished is not done again.

    Args:
        config: checked (`config.check`).
        workdir: the run's folder, claimed (`workdir.claim`).
        tasks: by model name; or functions that make them, called when the model's turn comes.
        data: by split: a pytree of numpy arrays of equal leading length. "train" and "validation" are trained on; every
            other split is a test split, measured once with the parameters that were best on validation. Or a function
            that gives this, called when a model is not finished.
        samples: gives arrays to keep in samples/NAME.npz, for figures.
        report_only: build the report from what the workdir holds, and nothing else.
        report_options: passed on to `report.build` (`draw`, ...).

    Raises:
        RunError, UsageError, Interrupted: see `errors`; the state is checkpointed in the last case.
    """
    workdir = Path(workdir)
    if report_only:
        if not log.read(workdir / "metrics.jsonl"):
            raise UsageError(f"workdir {workdir} has no metrics to report yet")
    else:
        try:
            _train_all(config, workdir, tasks, data, samples)
        except Interrupted as error:
            _report_interrupted(workdir, report_options, error)
            raise
    _report(workdir, report_options)


def _train_all(config, workdir, tasks, data, samples):
    waiting = [name for name in tasks if not _is_finished(workdir, name)]
    if waiting:
        workdir_lib.note(workdir, models=list(tasks))
        _train_waiting(config, workdir, {name: tasks[name] for name in waiting}, data, samples)
        seconds = sum(_read_marker(workdir, name)["seconds"] for name in tasks)
        workdir_lib.note(workdir, wall_seconds=round(seconds, 1))


def _train_waiting(config, workdir, tasks, data, samples):
    splits = _load(data)
    _check_data(config, splits)
    plan = seeds.make_plan(config.seed, config.seeds, config.train.batch_size, config.seed_strategy)
    images = evaluate.num_examples(splits["train"]) // config.train.batch_size * config.train.batch_size
    events = workdir / "tensorboard" if config.tensorboard else None
    metrics = log.MetricsLog(workdir / "metrics.jsonl", events)
    total = images * config.train.epochs * config.seeds * len(tasks)
    with Stop() as stop, log.progress_bar(total) as bar:
        try:
            for name, task in tasks.items():
                task = task if isinstance(task, Task) else task()
                with contextlib.closing(Store(workdir / "checkpoints" / name)) as store:
                    recorder = Recorder(metrics, bar, stop)
                    _train_one(Trainer(name, task, splits, config, plan, store, recorder), samples, workdir)
        finally:
            metrics.close()


def _train_one(trainer: Trainer, samples: Samples | None, workdir: Path) -> None:
    state = trainer.run()
    plan, name = trainer.plan, trainer.name
    best = plan.split(state.best_params)
    for split in trainer.data:
        if split not in _TRAINING:
            found = trainer.measure(split, best, trainer.stop.check)
            trainer.log.write(evaluate.metric_lines(name, plan, state.best_step, split, found))
    if samples is not None:
        trainer.stop.check()
        _sample(trainer, state, samples, workdir)
    done = {"step": trainer.step, "test_lines": _count_test_lines(workdir, name), "seconds": trainer.seconds}
    workdir_lib.write_atomically(_marker(workdir, name), json.dumps(done).encode())


def _sample(trainer: Trainer, state: TrainState, samples: Samples, workdir: Path) -> None:
    trained = Trained(
        trainer.name, trainer.task, state.best_params, trainer.initial_params(), state.best_step, trainer.plan.seeds
    )
    content = io.BytesIO()
    np.savez_compressed(content, **samples(trained, trainer.data))
    folder = workdir / "samples"
    folder.mkdir(exist_ok=True)
    workdir_lib.write_atomically(folder / f"{trainer.name}.npz", content.getvalue())


def _is_finished(workdir, name):
    try:
        return _read_marker(workdir, name)["test_lines"] == _count_test_lines(workdir, name)
    except (OSError, ValueError, KeyError):
        return False


def _read_marker(workdir, name):
    return json.loads(_marker(workdir, name).read_text())


def _count_test_lines(workdir, name):
    lines = log.read(workdir / "metrics.jsonl")
    return sum(entry["model"] == name and entry["split"] not in _TRAINING for entry in lines)


def _marker(workdir, name):
    return workdir / "checkpoints" / name / "done.json"


def _load(data):
    if not callable(data):
        return dict(data)
    try:
        return dict(data())
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise RunError(f"cannot load the data: {type(error).__name__}: {error}") from error


def _check_data(config, splits):
    for name in _TRAINING:
        if name not in splits:
            raise RunError(f"the data has no split {name!r}; it has {', '.join(splits)}")
    for name, split in splits.items():
        lengths = evaluate.lengths(split)
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise RunError(f"split {name!r}: arrays must have one leading length of at least 1, got {lengths}")
    count = evaluate.num_examples(splits["train"])
    if config.train.batch_size > count:
        raise UsageError(f"config.train.batch_size={config.train.batch_size}: expected at most the {count} examples")


def _report(workdir, options):
    from experiments.engine import report  # matplotlib is slow to import and only needed here

    report.build(workdir, **options)


def _report_interrupted(workdir, options, error):
    """What there is to see of a run that was stopped by hand; a SIGTERM leaves no time for it."""
    if error.signum != signal.SIGINT:
        return
    try:
        _report(workdir, options)
    except Exception as failure:  # noqa: BLE001 - a half run may have nothing to draw, and the exit status stays 130
        print(f"no report of the unfinished run: {failure}", file=sys.stderr)
