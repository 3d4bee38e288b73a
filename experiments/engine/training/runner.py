"""A whole experiment: every model trained, tested and sampled, then the report."""

import contextlib
import io
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments.engine.process import hosts
from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.engine.process.signals import Stop
from experiments.engine.record import metrics_log as log
from experiments.engine.run import workdir as workdir_lib
from experiments.engine.run.checkpoint import Store
from experiments.engine.training import evaluate, seeds
from experiments.engine.training.progress import Progress
from experiments.engine.training.splits import TRAINING, Splits, loading, num_examples
from experiments.engine.training.task import PyTree, Task
from experiments.engine.training.trainer import Found, Recorder, Trainer, TrainState, restore


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
    config_of: Callable[[str], ConfigDict] | None = None,
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
        config_of: a model's name -> the config it is trained with, where its `train` is not that of all.
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
        configs = {name: config_of(name) if config_of else config for name in tasks}
        splits = {name: Splits(loading(data, name)) for name in tasks}
        try:
            _run_models(config, configs, workdir, tasks, splits, samples, train)
        except Interrupted as error:
            _report_interrupted(workdir, report_options, error)
            raise
    _report(workdir, report_options)


def _run_models(config, configs, workdir, tasks, data, samples, train):
    done = {name: Progress.read(workdir, name, config.seeds) for name in tasks}
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
    workdir_lib.note(workdir, models=list(tasks))
    if waiting:
        _run_waiting(config, configs, workdir, {name: tasks[name] for name in waiting}, data, samples, done)
    spent = [progress for name in tasks if (progress := Progress.read(workdir, name, config.seeds))]
    workdir_lib.note(workdir, wall_seconds=round(sum(progress.seconds for progress in spent), 1))


def _run_waiting(config, configs, workdir, tasks, data, samples, done):
    to_train = [name for name in tasks if done[name] is None]
    for name in to_train:
        _warn_of_forgotten(workdir, name, data[name].tests)
    images = _images(config.seeds, [configs[name] for name in to_train], data[to_train[0]]) if to_train else 0
    events = workdir / "tensorboard" if config.tensorboard else None
    metrics = log.MetricsLog(workdir / "metrics.jsonl", events)
    with Stop() as stop, log.progress_bar(images) as bar:
        recorder = Recorder(metrics, bar, stop)
        try:
            for name, task in tasks.items():
                task = task if isinstance(task, Task) else task()
                _run_one(_Model(name, task, data[name], configs[name], recorder, workdir), samples, done[name])
        finally:
            metrics.close()


def _warn_of_forgotten(workdir, name, tests):
    """With more seeds than before a model is measured anew, but only on the tests of this call."""
    before = Progress.read(workdir, name, seeds=0)
    forgotten = [split for split in before.lines if split not in tests] if before else []
    if forgotten:
        print(
            f"WARNING: model {name} was measured on {', '.join(forgotten)} with other seeds; these values go, and "
            f"--evaluate={','.join(forgotten)} measures all seeds when they are trained",
            file=sys.stderr,
        )


class _Model(NamedTuple):
    """A model and all that its training and measuring need."""

    name: str
    task: Task
    data: Splits
    config: ConfigDict
    recorder: Recorder
    workdir: Path

    def plan(self, first: int, count: int) -> seeds.Plan:
        """For some of the run's seeds."""
        config = self.config
        return seeds.make_plan(first, count, config.train.batch_size, config.seed_strategy, mesh=config.mesh)


def _run_one(model: _Model, samples: Samples | None, done: Progress | None) -> None:
    """Train unless that is done; measure what is missing, noting each split when its lines are safe."""
    plan = model.plan(model.config.seed, model.config.seeds)
    measure = evaluate.Evaluator(model.task, plan, model.config.train.batch_size)
    if done is None:
        _images(1, [model.config], model.data)
        state, initial, seconds, trainers = _train(model)
        if len(trainers) == 1:
            measure = trainers[0].measure
        done = Progress(trainers[0].step, seconds, {}, model.config.seeds)
        if samples is not None:
            model.recorder.stop.check()
            _sample(model, state, initial, samples)
        done.write(model.workdir, model.name)
    else:
        state, done = _restored(model), done._replace(seeds=model.config.seeds)
    metrics, bar, stop = model.recorder
    best, missing = plan.split(state.best_params), done.missing(model.data.tests)
    metrics.keep(lambda entry: entry["model"] != model.name or entry["split"] not in missing)
    for split in missing:
        bar.set_description(f"{model.name} on {split}")
        began = time.monotonic()
        found = measure(split, model.data[split], best, stop.wait)
        lines = evaluate.metric_lines(model.name, plan, state.best_step, split, found)
        metrics.write(lines)
        done = done.with_split(split, len(lines), time.monotonic() - began)
        done.write(model.workdir, model.name)


def _cohorts(model: _Model) -> Iterator[tuple[int, int, Store, Found | None]]:
    """The seeds that are trained together, with their store and what it holds: first seed, number of them, ...

    They are one cohort, unless a run is continued with more seeds than it had: those that are new then begin from the
    start, in a store of their own (checkpoints/NAME/seedFIRST). With fewer the first ones are kept.
    """
    first, left = model.config.seed, model.config.seeds
    folder = model.workdir / "checkpoints" / model.name
    place = folder
    while left:
        with contextlib.closing(Store(place)) as store:
            found = restore(store, model.task)
            count = left if found is None else min(left, len(found.state.best_step))
            yield first, count, store, None if found is None else found.first(count)
        first, left = first + count, left - count
        place = folder / f"seed{first}"


def _train(model: _Model) -> tuple[TrainState, PyTree, float, list[Trainer]]:
    """Train every cohort; the state of all seeds, their initial parameters, the time spent, and who trained them."""
    parts = model.name, model.task, model.data, model.config
    states, initial, seconds, trainers = [], [], 0.0, []
    for first, count, store, found in _cohorts(model):
        trainer = Trainer(*parts, model.plan(first, count), store, model.recorder, found)
        states.append(trainer.run())
        seconds += trainer.seconds
        initial.append(trainer.initial_params())
        trainers.append(trainer)
    return _joined(states), _joined(initial), seconds, trainers


def _restored(model: _Model) -> TrainState:
    """The state of all seeds of a model whose training is finished."""
    states = []
    for _, _, store, found in _cohorts(model):
        if found is None:
            raise RunError(f"model {model.name}: its training was finished, but {store.directory} has no checkpoint")
        states.append(found.state)
    return _joined(states)


def _joined(trees: list[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)


def _sample(model: _Model, state: TrainState, initial: PyTree, samples: Samples) -> None:
    numbers = np.arange(model.config.seed, model.config.seed + model.config.seeds, dtype=np.int32)
    trained = Trained(model.name, model.task, state.best_params, initial, state.best_step, numbers)

    def keep():
        content = io.BytesIO()
        np.savez_compressed(content, **samples(trained, model.data))
        folder = model.workdir / "samples"
        folder.mkdir(exist_ok=True)
        workdir_lib.write_atomically(folder / f"{model.name}.npz", content.getvalue())

    hosts.on_first(keep)


def _images(seeds_of_each: int, configs: list[ConfigDict], data: Splits) -> int:
    """What models see in training, all seeds and epochs; UsageError where a batch is larger than the data."""
    count, _ = (num_examples(data[split]) for split in TRAINING)  # both, so that what is wrong is said at once
    total = 0
    for config in configs:
        batch_size = config.train.batch_size
        if batch_size > count:
            raise UsageError(f"config.train.batch_size={batch_size}: expected at most the {count} examples")
        total += count // batch_size * batch_size * config.train.epochs * seeds_of_each
    return total


def _report(workdir, options):
    from experiments.engine import report  # matplotlib is slow to import and only needed here

    def build():
        report.build(workdir, **options)

    hosts.on_first(build)


def _report_interrupted(workdir, options, error):
    """What there is to see of a run that was stopped by hand; a SIGTERM leaves no time for it."""
    if error.signum != signal.SIGINT:
        return
    try:
        _report(workdir, options)
    except Exception as failure:  # noqa: BLE001 - a half run may have nothing to draw, and the exit status stays 130
        print(f"no report of the unfinished run: {failure}", file=sys.stderr)
