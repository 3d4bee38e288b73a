"""Training of one model: every seed of it, on every device, from its newest checkpoint to its last epoch."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.engine import checkpoint, evaluate, mesh, nonfinite, steps
from experiments.engine import log as log_lib
from experiments.engine.errors import NonFiniteError, RunError
from experiments.engine.seeds import Plan
from experiments.engine.splits import TRAINING, num_examples
from experiments.engine.stop import Stop
from experiments.engine.task import PyTree, Task


class TrainState(NamedTuple):
    """What a checkpoint holds of a model, as numpy arrays with a leading seed axis S; its step stands beside it."""

    params: PyTree
    opt_state: PyTree
    best_params: PyTree
    best_score: np.ndarray
    best_step: np.ndarray


def start_state(plan: Plan, live: list[tuple[PyTree, PyTree]]) -> TrainState:
    """The state before any training, from what `steps.make_initialize` gives a group."""
    params, opt_state = plan.join(live)
    count = len(plan.seeds)
    return TrainState(params, opt_state, params, np.full(count, -np.inf, np.float32), np.zeros(count, np.int32))


def restore(store: checkpoint.Store, start: TrainState) -> tuple[int, TrainState, float] | None:
    """Step, state and seconds of the newest checkpoint that can be read; None where there is none yet."""
    found = store.restore(checkpoint.flatten(start))
    if found is None:
        return None
    step, leaves, seconds = found
    return step, TrainState(*checkpoint.unflatten(leaves, start)), seconds


class Recorder(NamedTuple):
    """Where a run leaves its traces, and who may stop it."""

    log: log_lib.MetricsLog
    bar: tqdm
    stop: Stop


class _Pending(NamedTuple):
    """A step under way: what it started from and what it will give, a group an entry."""

    step: int
    before: list[Any]
    orders: list[jax.Array]
    updates: list[steps.Update]


class Trainer:
    """Trains one model and evaluates it.

    Args:
        name: the model's name in logs.
        task: what to train.
        data: splits of numpy arrays, "train" and "validation" among them.
        config: checked (`config.check`).
        plan: how the seeds share the devices.
        store: the model's checkpoints.
        recorder: log, bar and stop.
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
    ) -> None:
        self.name, self.task, self.data, self.config = name, task, data, config
        self.plan, self.store = plan, store
        self.log, self.bar, self.stop = recorder
        self.batch_size = config.train.batch_size
        count = num_examples(data["train"])
        self.steps_per_epoch = count // self.batch_size
        self.total_steps = self.steps_per_epoch * config.train.epochs
        self.images_per_step = self.batch_size * len(plan.seeds)
        self.step = 0
        self._seeds = plan.split(plan.seeds)
        self._train = mesh.replicate(plan.mesh, data["train"])
        self._initialize = steps.make_initialize(task, plan)
        self._order = steps.make_order(plan, count)
        self._update = steps.make_step(task, plan, self.batch_size)
        self.measure = evaluate.Evaluator(task, plan, self.batch_size)
        self._pending: _Pending | None = None
        self._began = time.monotonic()

    def run(self) -> TrainState:
        """Train; the state at the end.

        Raises:
            NonFiniteError: a loss, gradient or parameter stopped being finite; the state before is checkpointed.
            CheckpointError: a checkpoint cannot be written, or none can be read.
            Interrupted: a signal came; the state is checkpointed.
        """
        self._restore()
        while self.step < self.total_steps:
            self._epoch()
        return self._state()

    def initial_params(self) -> PyTree:
        """The parameters that the training starts from, (S, ...) each."""
        return self.plan.join([self._initialize(seed)[0] for seed in self._seeds])

    @property
    def seconds(self) -> float:
        """Time spent on this model, over all the runs that brought it here (what a kill undid is not counted)."""
        return time.monotonic() - self._began

    def _restore(self):
        self._live = [self._initialize(seed) for seed in self._seeds]
        state = start_state(self.plan, self._live)
        found = restore(self.store, state)
        if found is not None:
            self.step, state, seconds = found
            self._began -= seconds
            self._live = self.plan.split((state.params, state.opt_state))
        self._best = state[2:]
        self.log.keep(lambda entry: entry["model"] != self.name or self._is_past(entry))
        log_lib.skip(self.bar, self.step * self.images_per_step)

    def _is_past(self, entry):
        return entry["split"] in TRAINING and entry["step"] <= self.step

    def _state(self):
        return TrainState(*self.plan.join(self._live), *self._best)

    def _save(self):
        self.store.save(self.step, checkpoint.flatten(self._state()), self.seconds)

    def _epoch(self):
        """From the present step to the end of its epoch, validation and checkpoint included."""
        epoch = self.step // self.steps_per_epoch
        self.bar.set_description(f"{self.name} {epoch + 1}/{self.config.train.epochs}", refresh=False)
        orders = [self._order(seed, np.int32(epoch)) for seed in self._seeds]
        while self.step < (epoch + 1) * self.steps_per_epoch:
            self._dispatch(orders)
            last = self.step == (epoch + 1) * self.steps_per_epoch
            if last or self.stop.requested or self.step % self.config.checkpoint_every == 0:
                self._settle()
                if last:
                    self._validate()
                self._save()
                self.stop.check()

    def _dispatch(self, orders):
        """Start one step of every group, then read what the step before gave: the devices never wait for the host."""
        before = self._live
        updates = self._call(self._update, self.step, before, orders)
        self._live = [(update.params, update.opt_state) for update in updates]
        self._settle()
        self._pending = _Pending(self.step, before, orders, updates)
        self.step += 1

    def _call(self, update, step, live, orders):
        start = np.int32(step % self.steps_per_epoch * self.batch_size)
        return [
            update(*state, seed, order, self._train, np.int32(step), start)
            for state, seed, order in zip(live, self._seeds, orders, strict=True)
        ]

    def _settle(self):
        """Wait for the step under way, if there is one; is it finite, and what does it log?"""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        ok, scalars = self.plan.join([(update.ok, update.scalars) for update in pending.updates])
        if not ok.all():
            self._give_up(pending, int(np.argmin(ok)))
        done = pending.step + 1
        if done % self.config.log_every == 0:
            self._write(done, "train", scalars)
        shown = {name: f"{np.mean(value):.4g}" for name, value in scalars.items() if not np.isnan(value).all()}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(self.images_per_step)

    def _give_up(self, pending, index):
        """Save the state before the step that failed, and say which tensor of which seed it was."""
        self._live, self.step = pending.before, pending.step
        self._save()
        again = steps.make_step(self.task, self.plan, self.batch_size, keep_gradients=True)
        updates = self.plan.join(self._call(again, pending.step, pending.before, pending.orders))
        params = self.plan.join(pending.before)[0]
        order = self.plan.join(pending.orders)[index]
        start = pending.step % self.steps_per_epoch * self.batch_size
        rows = order[start : start + self.batch_size]
        loss = updates.scalars.pop("loss")
        tensors = {
            "batch": jax.tree.map(lambda leaf: np.asarray(leaf)[rows], self.data["train"]),
            "params": _of_seed(params, index),
            "loss": loss[index],
            # With a finite loss, one that is not finite is merely undefined.
            "scalars": {} if np.isfinite(loss[index]) else _of_seed(updates.scalars, index),
            "gradients": _of_seed(updates.gradients, index),
            "new params": _of_seed(updates.params, index),
        }
        raise NonFiniteError(
            f"model {self.name}, seed {self.plan.seeds[index]}, step {pending.step + 1}: not finite; first "
            f"tensor: {nonfinite.describe(tensors)}. The state before it is checkpoint {self.step} in "
            f"{self.store.directory}"
        )

    def _validate(self):
        found = self.measure("validation", self.data["validation"], [params for params, _ in self._live])
        self._write(self.step, "validation", found)
        score = self._score(found)
        params = self.plan.join([params for params, _ in self._live])
        best_params, best_score, best_step = self._best
        better = score > best_score

        def choose(new, old):
            return np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        self._best = (
            jax.tree.map(choose, params, best_params),
            np.where(better, score, best_score),
            np.where(better, np.int32(self.step), best_step),
        )

    def _write(self, step, split, found):
        self.log.write(evaluate.metric_lines(self.name, self.plan, np.full(len(self.plan.seeds), step), split, found))

    def _score(self, found):
        name = self.task.score.removeprefix("-")
        if name not in found:
            raise RunError(f"model {self.name}: score {name!r} is not among the metrics it gives: {', '.join(found)}")
        values = found[name].reshape(len(self.plan.seeds), -1)[:, -1].astype(np.float32)
        if np.isnan(values).any():
            raise RunError(f"model {self.name}, step {self.step}: score {name!r} is undefined on the validation split")
        return -values if self.task.score.startswith("-") else values


def _of_seed(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)
