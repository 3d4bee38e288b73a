"""Training of one model: every seed of it, on every device, from its newest checkpoint to its last epoch."""

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.engine.process import devices, hosts
from experiments.engine.process.errors import Interrupted, NonFiniteError, RunError
from experiments.engine.process.profile import Profile
from experiments.engine.process.signals import LONG, Stop
from experiments.engine.record import metrics_log
from experiments.engine.run import checkpoint
from experiments.engine.training import evaluate, fit, nonfinite, pace, steps
from experiments.engine.training.seeds import Plan
from experiments.engine.training.splits import TRAINING, num_examples
from experiments.engine.training.task import PyTree, Task


class TrainState(NamedTuple):
    """The content of a checkpoint of a model, as numpy arrays with a leading seed axis S; its step stands beside it."""

    params: PyTree
    opt_state: PyTree
    best_params: PyTree
    best_score: np.ndarray
    best_step: np.ndarray


class RestoredCheckpoint(NamedTuple):
    """A checkpoint as it was read."""

    step: int
    state: TrainState
    seconds: float

    def first(self, count: int) -> "RestoredCheckpoint":
        """With the first of its seeds only."""
        return self._replace(state=jax.tree.map(lambda leaf: leaf[:count], self.state))


def restore(store: checkpoint.Store, task: Task) -> RestoredCheckpoint | None:
    """The newest checkpoint of a task that can be read, with as many seeds as it has; None where there is none yet."""
    params, opt_state = steps.state_shapes(task)
    per_seed = (jax.ShapeDtypeStruct((1,), dtype) for dtype in (np.float32, np.int32))
    like = TrainState(params, opt_state, params, *per_seed)
    stored = store.restore(checkpoint.flatten(like))
    if stored is None:
        return None
    step, leaves, seconds = stored
    return RestoredCheckpoint(step, TrainState(*checkpoint.unflatten(leaves, like)), seconds)


class Recorder(NamedTuple):
    """Log, progress bar, stop signals and profile of a run, which the trainers of its models share."""

    log: metrics_log.MetricsLog
    bar: tqdm
    stop: Stop
    profile: Profile | None = None


class _Pending(NamedTuple):
    """Steps under way: when and from which state they started, and their results, one entry per group."""

    began: float  # `time.monotonic`
    step: int
    count: int
    before: list[Any]
    orders: list[jax.Array]
    updates: list[steps.Update]


class Trainer:
    """Trains one model and evaluates it.

    Args:
        name: the model's name in logs.
        task: of the model.
        data: splits of numpy arrays, "train" and "validation" among them.
        config: checked (`config.check`).
        plan: how the seeds share the devices; `self.plan` may have smaller groups and slices, to fit their memory.
        store: the checkpoints of these seeds.
        recorder: log, bar, stop signals and profile.
        restored: from `restore` of the store, for as many seeds as the plan has; None: train from the start.
    """

    def __init__(
        self,
        name: str,
        task: Task,
        data: Mapping[str, PyTree],
        config: ConfigDict,
        plan: Plan,
        store: checkpoint.Store,
        recorder: Recorder,
        restored: RestoredCheckpoint | None = None,
    ) -> None:
        self._began = time.monotonic()
        self.name, self.task, self.data, self.config = name, task, data, config
        self.store = store
        self.log, self.bar, self.stop, self.profile = recorder
        self.batch_size = config.train.batch_size
        count = num_examples(data["train"])
        self.steps_per_epoch = count // self.batch_size
        self.total_steps = self.steps_per_epoch * config.train.epochs
        self.images_per_step = self.batch_size * len(plan.seeds)
        self.step, self._restored = 0, restored
        self._pace = pace.Pace(min(self.steps_per_epoch, pace.LIMIT))
        sizes = (self.batch_size, self.total_steps, self._pace.limit)
        self.plan, self._update = plan, None
        if restored is None or restored.step < self.total_steps:
            self.plan, self._update = fit.training(name, task, plan, data["train"], *sizes)
        plan = self.plan
        self._seeds = plan.split(plan.seeds)
        self._train = devices.replicate(plan.mesh, data["train"])
        self._initialize = steps.make_initialize(task, plan)
        self._order = steps.make_order(plan, count)
        self.measure = evaluate.Evaluator(task, plan, self.batch_size, name)
        self._pending: _Pending | None = None
        self._validation_seconds = math.inf  # of the last one; the first one compiles
        self._saved: int | None = None  # the step of the newest checkpoint

    def run(self) -> TrainState:
        """Train; the state at the end.

        Raises:
            NonFiniteError: a loss, gradient or parameter stopped being finite; the state before is checkpointed.
            CheckpointError: a checkpoint cannot be written.
            RunError: the score of a seed has been finite at no validation, or there is none of its name.
            Interrupted: a signal came; the newest state that is known to be finite is checkpointed.
        """
        self._start()
        self.stop.rescue = self._save
        try:
            while self.step < self.total_steps:
                self._epoch()
        except (Interrupted, jax.errors.JaxRuntimeError):
            self._save()
            raise
        finally:
            self.stop.rescue = None
        self._check_best()
        return self._state()

    def initial_params(self) -> PyTree:
        """The parameters that the training starts from, (S, ...) each."""
        return self.plan.join([self._initialize(seed)[0] for seed in self._seeds])

    @property
    def seconds(self) -> float:
        """Time spent on these seeds in all calls of the run, without work that a kill undid."""
        return time.monotonic() - self._began

    def _start(self):
        if self._restored is None:
            self._live = [self._initialize(seed) for seed in self._seeds]
            params = self.plan.join([params for params, _ in self._live])
            count = len(self.plan.seeds)
            self._best = params, np.full(count, -np.inf, np.float32), np.zeros(count, np.int32)
        else:
            self.step, state, seconds = self._restored
            self._saved = self.step
            self._began -= seconds
            self._live = self.plan.split((state.params, state.opt_state))
            self._best = state[2:]
        self._safe = self.step, self._live
        self.log.keep(lambda entry: not self._is_mine(entry) or self._is_past(entry))
        if self._restored is None and 0 in self.config.validate_at:
            self._measure_validation()
        metrics_log.skip(self.bar, self.step * self.images_per_step)

    def _is_mine(self, entry):
        return entry["model"] == self.name and entry["seed"] in self.plan.seeds

    def _is_past(self, entry):
        return entry["split"] in TRAINING and self._restored is not None and entry["step"] <= self.step

    def _state(self):
        return TrainState(*self.plan.join(self._safe[1]), *self._best)

    def _save(self):
        """Save the newest state that is known to be good; another thread may do so as well."""
        step = self._safe[0]
        if self._saved != step:
            leaves = checkpoint.flatten(self._state())
            with self.stop.saving:
                self.store.save(step, leaves, self.seconds)
            self._saved = step

    def _epoch(self):
        """From the present step to the end of its epoch, validation and checkpoint included."""
        epoch = self.step // self.steps_per_epoch
        end, every = (epoch + 1) * self.steps_per_epoch, self.config.checkpoint_every
        stops = sorted({step for step in self.config.validate_at if step < end} | {end})
        self.bar.set_description(f"{self.name} {epoch + 1}/{self.config.train.epochs}", refresh=False)
        orders = [self._order(seed, np.int32(epoch)) for seed in self._seeds]
        while self.step < end:
            self.stop.check()
            stop = next(step for step in stops if step > self.step)
            self._dispatch(orders, min(stop, (self.step // every + 1) * every) - self.step)
            if self.step == end:
                self._finish_epoch()
            elif self.step == stop:
                self._settle(safe=False)
                self._measure_validation()
                self._safe = self.step, self._live
            elif self.step % every == 0:
                self._settle()
            if self.step % every == 0 and self.step != end:
                self._save()

    def _dispatch(self, orders, at_most):
        """Start some steps of every group, then read the results of those before, so that devices do not idle."""
        before, count, began = self._live, self._pace.next(at_most), time.monotonic()
        updates = self._call(self._update, self.step, before, orders, np.int32(count))
        self._live = [(update.params, update.opt_state) for update in updates]
        self._settle()
        self._pending = _Pending(began, self.step, count, before, orders, updates)
        self.step += count

    def _call(self, update, step, live, orders, *count):
        start = np.int32(step % self.steps_per_epoch * self.batch_size)
        return [
            update(*state, seed, order, self._train, np.int32(step), start, *count)
            for state, seed, order in zip(live, self._seeds, orders, strict=True)
        ]

    def _settle(self, *, safe: bool = True):
        """Wait for the steps under way, if there are any; log their scalars, and check that they are finite.

        Args:
            safe: whether training may go on from the resulting state.
        """
        if self._pending is None:
            return
        pending = self._pending
        self.stop.wait([update.ok for update in pending.updates])
        self._pending = None
        ok, scalars = self.plan.join([(update.ok, update.scalars) for update in pending.updates])
        good = ok[:, : pending.count].all(0)
        self._record(pending.step, int(good.argmin()) if not good.all() else pending.count, scalars)
        if not good.all():
            self._give_up(pending, int(good.argmin()), ok)
        seconds = self._pace.settled(pending.count, pending.began)
        if self.profile is not None:
            self.profile.settled()
        if safe:
            self._safe = pending.step + pending.count, [update[:2] for update in pending.updates]
            if _is_long(seconds):
                self._save()

    def _record(self, step, count, scalars):
        """Log the first `count` of some steps, from `step` on; scalars (S, steps)."""
        for index in range(count):
            if (step + index + 1) % self.config.log_every == 0:
                self._write(step + index + 1, "train", {name: array[:, index] for name, array in scalars.items()})
        if count:
            last = {name: array[:, count - 1] for name, array in scalars.items()}
            shown = {name: f"{np.mean(value):.4g}" for name, value in last.items() if not np.isnan(value).all()}
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(count * self.images_per_step)

    def _give_up(self, pending, number, ok):
        """Save the state before the step that failed, the `number`-th of these, and name the tensor."""
        step, before = pending.step + number, pending.before
        if number:
            again = self._call(self._update, pending.step, before, pending.orders, np.int32(number))
            before = [update[:2] for update in again]
        self._safe = step, before
        self._save()
        single = steps.make_step(self.task, self.plan, self.batch_size, self.total_steps, keep_gradients=True)
        update = self.plan.join(self._call(single, step, before, pending.orders))
        index = int(np.argmin(ok[:, number]))
        order = self.plan.join(pending.orders)[index]
        start = step % self.steps_per_epoch * self.batch_size
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[order[start : start + self.batch_size]], self.data["train"])
        named = nonfinite.describe_update(batch, self.plan.join(before)[0], update, index)
        raise NonFiniteError(
            f"model {self.name}, seed {self.plan.seeds[index]}, step {step + 1}: not finite; first tensor: {named}. "
            f"The state before it is checkpoint {step} in {self.store.directory}"
        )

    def _finish_epoch(self):
        """Validate and save. Until then the steps just done do not count: a run stopped here does them again."""
        self._settle(safe=False)
        if self.profile is not None:
            self.profile.stop()
        if self._safe[0] and _is_long(self._validation_seconds):
            self._save()
        began = time.monotonic()
        self._validate()
        self._validation_seconds = time.monotonic() - began
        self._safe = self.step, self._live
        self._save()

    def _measure_validation(self):
        """Measure and log the present parameters on the validation split; the values."""
        params = [params for params, _ in self._live]
        values = self.measure("validation", self.data["validation"], params, self.stop.wait)
        evaluate.warn(self.name, self.plan, f"validation at step {self.step}", values)
        self._write(self.step, "validation", values)
        return values

    def _validate(self):
        """Measure, and keep the parameters of each seed that are the best of the ends of epochs so far.

        Those of the last epoch count whatever the curriculum.
        """
        score = self._score(self._measure_validation())
        params = self.plan.join([params for params, _ in self._live])
        best_params, best_score, best_step = self._best
        early = self.step <= self.task.curriculum * self.total_steps and self.step < self.total_steps
        better = (score > best_score) & (not early)

        def choose(new, old):
            return np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        self._best = (
            jax.tree.map(choose, params, best_params),
            np.where(better, score, best_score),
            np.where(better, np.int32(self.step), best_step),
        )

    def _write(self, step, split, values):
        self.log.write(evaluate.metric_lines(self.name, self.plan, np.full(len(self.plan.seeds), step), split, values))

    def _score(self, values):
        name = self.task.score.removeprefix("-")
        if name not in values:
            raise RunError(f"model {self.name}: score {name!r} is not among the metrics it gives: {', '.join(values)}")
        last = values[name].reshape(len(self.plan.seeds), -1)[:, -1].astype(np.float32)
        diverged = values.get(metrics_log.NOT_FINITE, np.zeros(len(last))) > 0
        if (np.isnan(last) & ~diverged).any():
            raise RunError(f"model {self.name}, step {self.step}: score {name!r} is undefined on the validation split")
        return np.where(np.isnan(last), -np.inf, -last if self.task.score.startswith("-") else last)

    def _check_best(self):
        """Without a validation that was finite, the best parameters are those of the start."""
        never = [seed for seed, score in zip(self.plan.seeds, self._best[1], strict=True) if np.isneginf(score)]
        if never:
            score, seeds = self.task.score.removeprefix("-"), ", ".join(map(str, never))
            raise RunError(
                f"model {self.name}: score {score!r} is undefined, of seeds {seeds} it was finite at no validation"
            )


def _is_long(seconds):
    """Whether several processes save the state before such work; a single process could still do so in the midst."""
    return hosts.count() > 1 and bool(hosts.from_first(seconds > LONG))
