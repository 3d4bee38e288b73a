"""A whole experiment: every model trained, tested and sampled, then the report."""

import contextlib
import io
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.engine import evaluate, log, seeds, steps
from experiments.engine import workdir as workdir_lib
from experiments.engine.checkpoint import Store
from experiments.engine.errors import Interrupted, RunError, UsageError
from experiments.engine.progress import Progress
from experiments.engine.splits import TRAINING, Splits, loading, num_examples
from experiments.engine.stop import Stop
from experiments.engine.task import PyTree, Task
from experiments.engine.train import Recorder, Trainer, TrainState, restore, start_state


class Trained(NamedTuple):
    """A trained model, as the samples hook sees it; parameters are numpy arrays with a leading seed axis S."""

    name: str
    task: Task
    params: PyTree  # the best on validation
    initial_params: PyTree
    best_step: np.ndarray  # (S,)
    seeds: np.ndarray  # (S,)


Samples = Callable[[Trained, Splits], Mapping[str, np.ndarray]]


def run(
    config: ConfigDict,
    workdir: Path,
    tasks: Mapping[str, Task | Callable[[], Task]],
    data: Callable[[str], Mapping[str, PyTree | Callable[[], PyTree]]],
    *,
    samples: Samples | None = None,
    report_only: bool = False,
    train: bool = True,
    **report_options: Any,
) -> None:
    """Train the models in order, evaluate each on the test splits, and build the report.

    The same call on the same workdir continues where it was stopped; what is finished is not done again, so that a call
    with more test splits measures only these.

    Args:
        config: checked (`config.check`).
        workdir: the run's folder, claimed (`workdir.claim`).
        tasks: by model name; or functions that make them, called when the model's turn comes.
        data: a model's name -> its data by split: a pytree of numpy arrays of equal leading length, or a function that
            gives one, called when the split is needed. "train" and "validation" are trained on; every other split is a
            test split, measured once with the parameters that were best on validation.
        samples: gives arrays to keep in samples/NAME.npz, for figures.
        report_only: build the report from what the workdir holds, and nothing else.
        train: whether to train; else only models whose training is finished are measured, the others passed over.
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
            _run_models(config, workdir, tasks, {name: Splits(loading(data, name)) for name in tasks}, samples, train)
        except Interrupted as error:
            _report_interrupted(workdir, report_options, error)
            raise
    _report(workdir, report_options)


def _run_models(config, workdir, tasks, data, samples, train):
    done = {name: Progress.read(workdir, name) for name in tasks}
    waiting = [name for name in tasks if done[name] is None or done[name].missing(data[name].tests)]
    if not train:
        untrained = [name for name in waiting if done[name] is None]
        waiting = [name for name in waiting if name not in untrained]
        if len(untrained) == len(tasks):
            raise UsageError(
                f"workdir {workdir}: no model has finished its training yet, so there is nothing to evaluate"
            )
        if untrained:
            print(f"WARNING: not trained yet, passed over: {', '.join(untrained)}", file=sys.stderr)
    if waiting:
        workdir_lib.note(workdir, models=list(tasks))
        _run_waiting(config, workdir, {name: tasks[name] for name in waiting}, data, samples, done)
        spent = [progress for name in tasks if (progress := Progress.read(workdir, name))]
        workdir_lib.note(workdir, wall_seconds=round(sum(progress.seconds for progress in spent), 1))


def _run_waiting(config, workdir, tasks, data, samples, done):
    plan = seeds.make_plan(config.seed, config.seeds, config.train.batch_size, config.seed_strategy)
    to_train = [name for name in tasks if done[name] is None]
    images = _images_an_epoch(config, data[to_train[0]]) if to_train else 0
    events = workdir / "tensorboard" if config.tensorboard else None
    metrics = log.MetricsLog(workdir / "metrics.jsonl", events)
    with Stop() as stop, log.progress_bar(images * config.train.epochs * config.seeds * len(to_train)) as bar:
        try:
            for name, task in tasks.items():
                task = task if isinstance(task, Task) else task()
                with contextlib.closing(Store(workdir / "checkpoints" / name)) as store:
                    recorder = Recorder(metrics, bar, stop)
                    _run_one(
                        _Model(name, task, data[name], config, plan, store, recorder, workdir), samples, done[name]
                    )
        finally:
            metrics.close()


class _Model(NamedTuple):
    """A model and all that its training and measuring need."""

    name: str
    task: Task
    data: Splits
    config: ConfigDict
    plan: seeds.Plan
    store: Store
    recorder: Recorder
    workdir: Path


def _run_one(model: _Model, samples: Samples | None, done: Progress | None) -> None:
    """Train unless that is done; measure what is missing, noting each split when its lines are safe."""
    if done is None:
        _images_an_epoch(model.config, model.data)
        trainer = Trainer(*model[:-1])
        state, measure, seconds = trainer.run(), trainer.measure, trainer.seconds
        done = Progress(trainer.step, seconds, {})
        if samples is not None:
            model.recorder.stop.check()
            _sample(model, state, trainer.initial_params(), samples)
        done.write(model.workdir, model.name)
    else:
        state, measure = _restored(model), evaluate.Evaluator(model.task, model.plan, model.config.train.batch_size)
    metrics, bar, stop = model.recorder
    best, missing = model.plan.split(state.best_params), done.missing(model.data.tests)
    metrics.keep(lambda entry: entry["model"] != model.name or entry["split"] not in missing)
    for split in missing:
        bar.set_description(f"{model.name} on {split}")
        began = time.monotonic()
        found = measure(split, model.data[split], best, stop.check)
        lines = evaluate.metric_lines(model.name, model.plan, state.best_step, split, found)
        metrics.write(lines)
        done = done.with_split(split, len(lines), time.monotonic() - began)
        done.write(model.workdir, model.name)


def _restored(model: _Model) -> TrainState:
    initialize = steps.make_initialize(model.task, model.plan)
    live = [initialize(seed) for seed in model.plan.split(model.plan.seeds)]
    found = restore(model.store, start_state(model.plan, live))
    if found is None:
        raise RunError(f"model {model.name}: its training was finished, but {model.store.directory} has no checkpoint")
    return found[1]


def _sample(model: _Model, state: TrainState, initial: PyTree, samples: Samples) -> None:
    trained = Trained(model.name, model.task, state.best_params, initial, state.best_step, model.plan.seeds)
    content = io.BytesIO()
    np.savez_compressed(content, **samples(trained, model.data))
    folder = model.workdir / "samples"
    folder.mkdir(exist_ok=True)
    workdir_lib.write_atomically(folder / f"{model.name}.npz", content.getvalue())


def _images_an_epoch(config: ConfigDict, data: Splits) -> int:
    count, _ = (num_examples(data[split]) for split in TRAINING)  # both, so that what is wrong is said at once
    batch_size = config.train.batch_size
    if batch_size > count:
        raise UsageError(f"config.train.batch_size={batch_size}: expected at most the {count} examples")
    return count // batch_size * batch_size


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
