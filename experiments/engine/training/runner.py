"""A whole experiment: every model trained, evaluated and sampled, then the report."""

import contextlib
import io
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.engine.process import files, hosts, memory
from experiments.engine.process.errors import Interrupted, RunError, UsageError
from experiments.engine.process.profile import Profile
from experiments.engine.process.signals import Stop
from experiments.engine.record import metrics_log
from experiments.engine.run import workdir as workdir_lib
from experiments.engine.run.checkpoint import Store
from experiments.engine.training import evaluate, seeds
from experiments.engine.training.experiment import Experiment, Model, Trained
from experiments.engine.training.progress import Progress
from experiments.engine.training.splits import TRAINING, Splits, num_examples
from experiments.engine.training.task import PyTree, Task
from experiments.engine.training.trainer import Recorder, RestoredCheckpoint, Trainer, TrainState, restore


def run(
    experiment: Experiment,
    workdir: Path,
    *,
    models: Iterable[str] | None = None,
    tests: Iterable[str] | None = None,
    train: bool = True,
    profile: Profile | None = None,
    stop: Stop | None = None,
) -> None:
    """Train the models in order, evaluate each with the parameters that were best on validation, and report.

    The same call on the same workdir continues where it was stopped; finished work is not done again, so that a call
    with more test sets evaluates on these only.

    Args:
        experiment: see `Experiment`.
        workdir: the run's folder, made where it is missing. A command line has claimed it (`workdir.claim`).
        models: labels of those to train; None: all.
        tests: labels of those to evaluate on; None: all.
        train: whether to train; else only trained models are evaluated, the others passed over.
        profile: traces some training; None: no trace.
        stop: the signals that stop the run, not entered; None: those of a process that may not be ended.

    Raises:
        RunError, UsageError, Interrupted: see `errors`; the state is checkpointed in the last case.
    """
    workdir = files.user_path(workdir)
    hosts.on_first(lambda: workdir.mkdir(parents=True, exist_ok=True))
    workdir_lib.begin(workdir, experiment.config)
    chosen = list(experiment.tests if tests is None else tests)
    jobs = {label: _Job(experiment, experiment.models[label], chosen, workdir) for label in models or experiment.models}
    try:
        _run_models(experiment, jobs, workdir, train, profile, stop or Stop())
    except Interrupted as error:
        _report_interrupted(experiment, workdir, error)
        raise
    report(experiment, workdir)


def report(experiment: Experiment, workdir: Path) -> None:
    """Write summary.json, summary.md and the figures of a workdir.

    Of results that are kept without metrics.jsonl, the experiment's own figures and tables alone, from the last values.

    Raises:
        UsageError: it has no metrics yet.
    """
    from experiments.engine.record import summary  # matplotlib is slow to import and only needed here

    workdir = files.user_path(workdir)

    def build():
        path = workdir / "metrics.jsonl"
        if metrics_log.read(path):
            summary.build(workdir, experiment.statistics, experiment.labels, experiment.figures)
        elif metrics_log.read_or_last(path) and experiment.figures is not None:
            print(f"no metrics.jsonl in {workdir}: summary and learning curves stay as they are", file=sys.stderr)
            experiment.figures(workdir)
        else:
            raise UsageError(f"workdir {workdir} has no metrics to report yet")

    hosts.on_first(build)


class _Job(NamedTuple):
    """A model of an experiment, and the test sets to evaluate it on."""

    experiment: Experiment
    model: Model
    chosen: list[str]
    workdir: Path

    @property
    def tests(self) -> list[str]:
        """Those of the chosen test sets that the model has data for."""
        return [label for label in self.chosen if label in self.model.data]

    def progress(self) -> Progress | None:
        """Its progress with the seeds of the config."""
        return Progress.read(self.workdir, self.model.label, self.model.config.seeds)

    def plan(self, first: int, count: int) -> seeds.Plan:
        """For some of the run's seeds."""
        config = self.model.config
        return seeds.make_plan(
            first,
            count,
            config.train.batch_size,
            config.seed_strategy,
            mesh=config.mesh,
            at_once=config.seeds_at_once,
            slice_size=config.slice_size,
            precision=config.precision,
        )


def _run_models(experiment, jobs: Mapping[str, _Job], workdir, train, profile, stop):
    done = {label: job.progress() for label, job in jobs.items()}
    waiting = [label for label, job in jobs.items() if done[label] is None or done[label].missing(job.tests)]
    if not train:
        untrained = [label for label in waiting if done[label] is None]
        waiting = [label for label in waiting if label not in untrained]
        if len(untrained) == len(jobs):
            raise UsageError(
                f"workdir {workdir}: no model has finished its training yet, so there is nothing to evaluate"
            )
        if untrained:
            print(f"WARNING: not trained yet, passed over: {', '.join(untrained)}", file=sys.stderr)
    workdir_lib.record(workdir, models=list(jobs))
    if waiting:
        _run_waiting(experiment, [jobs[label] for label in waiting], workdir, done, profile, stop)
    spent = [progress for job in jobs.values() if (progress := job.progress())]
    workdir_lib.record(workdir, wall_seconds=round(sum(progress.seconds for progress in spent), 1))


def _run_waiting(experiment, jobs: list[_Job], workdir, done, profile, stop):
    data = {job.model.label: Splits(job.model.data) for job in jobs}
    to_train = [job for job in jobs if done[job.model.label] is None]
    for job in to_train:
        _warn_of_forgotten(job)
    images = sum(_images(job, data[to_train[0].model.label], job.model.config.seeds) for job in to_train)
    events = workdir / "tensorboard" if experiment.config.tensorboard else None
    log = metrics_log.MetricsLog(workdir / "metrics.jsonl", events)
    with stop, metrics_log.progress_bar(images) as bar:
        recorder = Recorder(log, bar, stop, profile)
        try:
            for job in jobs:
                with memory.named(job.model.label):
                    _run_one(job, job.model.task(), data[job.model.label], recorder, done[job.model.label])
        finally:
            log.close()


def _warn_of_forgotten(job: _Job) -> None:
    """With more seeds than before a model is trained anew, but evaluated on the test sets of this call only."""
    before = Progress.read(job.workdir, job.model.label, seeds=0)
    forgotten = [split for split in before.lines if split not in job.tests] if before else []
    if forgotten:
        print(
            f"WARNING: model {job.model.label} was evaluated on {', '.join(forgotten)} with other seeds; these values "
            f"go, and --evaluate={','.join(forgotten)} evaluates all seeds when they are trained",
            file=sys.stderr,
        )


def _run_one(job: _Job, task: Task, data: Splits, recorder: Recorder, done: Progress | None) -> None:
    """Train unless that is done; evaluate on the test sets that are missing, each finished when its lines are safe."""
    config, label = job.model.config, job.model.label
    plan = job.plan(config.seed, config.seeds)
    measure = evaluate.Evaluator(task, plan, config.train.batch_size, label)
    if done is None:
        _images(job, data, 1)
        state, initial, seconds, trainers = _train(job, task, data, recorder)
        if len(trainers) == 1:
            plan, measure = trainers[0].plan, trainers[0].measure
        done = Progress(trainers[0].step, seconds, {}, config.seeds)
        if job.experiment.samples is not None:
            recorder.stop.check()
            _sample(job, task, state, initial, data)
        done.write(job.workdir, label)
    else:
        state, done = _restored(job, task), done._replace(seeds=config.seeds)
    best, missing = plan.split(state.best_params), done.missing(job.tests)
    recorder.log.keep(lambda entry: entry["model"] != label or entry["split"] not in missing)
    for split in missing:
        recorder.bar.set_description(f"{label} on {split}")
        began = time.monotonic()
        values = measure(split, data[split], best, recorder.stop.wait)
        evaluate.warn(label, plan, split, values)
        lines = evaluate.metric_lines(label, plan, state.best_step, split, values)
        recorder.log.write(lines)
        done = done.with_split(split, len(lines), time.monotonic() - began)
        done.write(job.workdir, label)


def _cohorts(job: _Job, task: Task) -> Iterator[tuple[int, int, Store, RestoredCheckpoint | None]]:
    """The seeds that are trained together, with their store and its checkpoint: first seed, number of them, ...

    They are one cohort, unless a run is continued with more seeds than it had: those that are new then begin from the
    start, in a store of their own (checkpoints/LABEL/seedFIRST). With fewer the first ones are kept.
    """
    first, left = job.model.config.seed, job.model.config.seeds
    folder = job.workdir / "checkpoints" / job.model.label
    place = folder
    while left:
        with contextlib.closing(Store(place)) as store:
            restored = restore(store, task)
            count = left if restored is None else min(left, len(restored.state.best_step))
            yield first, count, store, None if restored is None else restored.first(count)
        first, left = first + count, left - count
        place = folder / f"seed{first}"


def _train(job: _Job, task: Task, data: Splits, recorder: Recorder) -> tuple[TrainState, PyTree, float, list[Trainer]]:
    """Train every cohort; the state of all seeds, their initial parameters, the time spent, and the trainers."""
    states, initial, seconds, trainers = [], [], 0.0, []
    for first, count, store, restored in _cohorts(job, task):
        plan = job.plan(first, count)
        trainer = Trainer(job.model.label, task, data, job.model.config, plan, store, recorder, restored)
        states.append(trainer.run())
        seconds += trainer.seconds
        initial.append(trainer.initial_params())
        trainers.append(trainer)
    return _joined(states), _joined(initial), seconds, trainers


def _restored(job: _Job, task: Task) -> TrainState:
    """The state of all seeds of a model whose training is finished."""
    states = []
    for _, _, store, restored in _cohorts(job, task):
        if restored is None:
            raise RunError(
                f"model {job.model.label}: its training was finished, but {store.directory} has no checkpoint"
            )
        states.append(restored.state)
    return _joined(states)


def _joined(trees: list[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)


def _trained(job: _Job, task: Task, state: TrainState, initial: PyTree) -> Trained:
    first, count = job.model.config.seed, job.model.config.seeds
    numbers = np.arange(first, first + count, dtype=np.int32)
    return Trained(job.model, task, state.best_params, initial, state.best_step, numbers)


def load_trained(experiment: Experiment, workdir: Path, label: str) -> Trained:
    """A model of a workdir whose training is finished, from its checkpoints; `initial_params` is None.

    Raises:
        UsageError: its training is not finished.
        RunError: no checkpoint can be read.
    """
    job = _Job(experiment, experiment.models[label], [], files.user_path(workdir))
    if job.progress() is None:
        raise UsageError(f"workdir {workdir}: the training of model {label} is not finished")
    task = job.model.task()
    return _trained(job, task, _restored(job, task), None)


def _sample(job: _Job, task: Task, state: TrainState, initial: PyTree, data: Splits) -> None:
    def keep():
        arrays = job.experiment.samples(_trained(job, task, state, initial), data)
        if not arrays:
            return
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        folder = job.workdir / "samples"
        folder.mkdir(exist_ok=True)
        workdir_lib.write_atomically(folder / f"{job.model.label}.npz", content.getvalue())

    hosts.on_first(keep)


def _images(job: _Job, data: Splits, num_seeds: int) -> int:
    """Images that a model sees in training, all seeds and epochs; UsageError where a batch is larger than the data."""
    count, _ = (num_examples(data[split]) for split in TRAINING)  # both, so that an error in either is reported at once
    train = job.model.config.train
    if train.batch_size > count:
        raise UsageError(f"config.train.batch_size={train.batch_size}: expected at most the {count} examples")
    return count // train.batch_size * train.batch_size * train.epochs * num_seeds


def _report_interrupted(experiment, workdir, error):
    """Report the unfinished run that a person stopped; a SIGTERM leaves no time for it."""
    if error.signum != signal.SIGINT:
        return
    try:
        report(experiment, workdir)
    except Exception as failure:  # noqa: BLE001 - a half run may have nothing to draw, and the exit status stays 130
        print(f"no report of the unfinished run: {failure}", file=sys.stderr)
