"""Training of several trials of a hyper-parameter search that have one shape: at once, and compiled once.

A member is one seed of one trial. Its traced hyper-parameters are among the parameters of the compiled functions of
`steps`, so that the program compiled for the first values serves all others, alone or under vmap.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from experiments import engine

Values = Mapping[str, Any]  # a hyper-parameter's value by name: a Python number, or a traced scalar
MakeTask = Callable[[Values], engine.Task]


class Member(NamedTuple):
    """The parameters of a task whose hyper-parameters are traced."""

    params: engine.PyTree
    values: dict[str, Array]  # scalars


def with_traced_hyperparameters(make_task: MakeTask, names: Sequence[str]) -> engine.Task:
    """A task whose parameters include the named hyper-parameters, constant in training; `init` sets them to 1.

    Args:
        make_task: values -> task; the parameters of its `init` must not depend on them.
        names: of the values.
    """

    def init(key):
        values = {name: jnp.ones(()) for name in names}
        return Member(make_task(values).init(key), values)

    def loss(member, batch, keys, progress=0.0):
        task = make_task(jax.lax.stop_gradient(member.values))
        return task.loss_at(progress, member.params, batch, keys)

    def score(member, batch, keys):
        return make_task(member.values).evaluate(member.params, batch, keys)

    def update(gradients, state, member, *, progress):
        optimizer = make_task(member.values).optimizer
        changes, state = engine.optimizer.update(optimizer, progress, gradients.params, state, member.params)
        return Member(changes, jax.tree.map(jnp.zeros_like, member.values)), state

    def start(member):
        return make_task(member.values).optimizer.init(member.params)

    return engine.Task(init, loss, score, optax.GradientTransformationExtraArgs(start, update), "", takes_progress=True)


class _Compiled(NamedTuple):
    """The functions of one shape."""

    initialize: Callable
    order: Callable
    update: Callable
    evaluate: Callable


class Trials:
    """Trains trials, every seed of each, and scores them on the validation split after the last step.

    The members of `together` trials are grouped as the seeds of a run are (`engine.seeds.make_plan`): "vmap" trains
    all of them in one call, "loop" as many as there are devices, one group after the other; either way a shape is
    compiled once. A trial's numbers are those of a run of the engine with its values, to float tolerance.

    Args:
        config: checked (`config.check`).
        make_task: values -> task; called with traced scalars for `traced`, with numbers for the other values.
        traced: names of the traced hyper-parameters.
        data: splits, "train" and "validation" among them.
        together: number of trials.
        check: called after every step and every batch that is evaluated; may raise.
        advance: called with the number of images that were trained on.
    """

    def __init__(
        self,
        config: ConfigDict,
        make_task: MakeTask,
        traced: Sequence[str],
        data: Mapping[str, engine.PyTree],
        together: int,
        *,
        check: Callable[[], None] = lambda: None,
        advance: Callable[[int], Any] = lambda _: None,
    ) -> None:
        self.config, self.make_task, self.traced, self.data = config, make_task, tuple(traced), data
        self.check, self.advance = check, advance
        batch_size, count = config.train.batch_size, engine.num_examples(data["train"])
        if batch_size > count:
            raise engine.UsageError(f"config.train.batch_size={batch_size}: expected at most the {count} examples")
        self.steps_per_epoch = count // batch_size
        self.total_steps = self.steps_per_epoch * config.train.epochs
        plan = engine.seeds.make_plan(
            config.seed,
            together * config.seeds,
            batch_size,
            config.seed_strategy,
            mesh=config.mesh,
            at_once=config.seeds_at_once,
            slice_size=config.slice_size,
            precision=config.precision,
        )
        self._plan = plan._replace(seeds=np.tile(plan.seeds[: config.seeds], together))
        self._train = engine.devices.replicate(plan.mesh, data["train"])
        self._by_shape: dict[tuple, _Compiled] = {}

    @property
    def images(self) -> int:
        """Images that the training of one trial takes."""
        return self.total_steps * self.config.train.batch_size * self.config.seeds

    def run(self, trials: Sequence[Values], wanted: range) -> Iterator[tuple[int, np.ndarray]]:
        """Train trials of one shape.

        Args:
            trials: `together` of them, alike in all values that are not traced.
            wanted: those whose scores are returned. Others are trained only where they share a group with these: at no
                cost, and the numbers do not depend on the trials that were trained before.

        Yields:
            The index of each wanted trial, in order, and its score by seed, (S,); NaN where loss, gradients or
            parameters did not stay finite, or the score is undefined.

        Raises:
            RunError: the task has no metric of the score's name.
        """
        count, size = self.config.seeds, self._plan.group
        shape = {name: value for name, value in trials[0].items() if name not in self.traced}
        task = self.make_task(trials[0])
        score = task.score.removeprefix("-")
        scores, yielded = np.zeros(len(self._plan.seeds)), wanted.start
        for start in range(wanted.start * count // size * size, wanted.stop * count, size):
            members = slice(start, start + size)
            values = {
                name: np.repeat(np.array([trial[name] for trial in trials], np.float32), count)[members]
                for name in self.traced
            }
            plan = self._plan._replace(seeds=self._plan.seeds[members])
            requested = range(max(start, wanted.start * count), min(start + size, wanted.stop * count))
            scores[members] = self._train_group(self._compiled(shape, task), plan, values, score, len(requested))
            while yielded < wanted.stop and (yielded + 1) * count <= start + size:
                yield yielded, scores[yielded * count : (yielded + 1) * count].copy()
                yielded += 1

    def _compiled(self, shape: Values, example: engine.Task) -> _Compiled:
        key = tuple(sorted(shape.items()))
        if key not in self._by_shape:
            plan = self._plan
            task = with_traced_hyperparameters(lambda values: self.make_task({**shape, **values}), self.traced)
            task = task._replace(slice_size=example.slice_size, may_slice=example.may_slice)
            self._by_shape[key] = _Compiled(
                engine.steps.make_initialize(task, plan),
                engine.steps.make_order(plan, engine.num_examples(self.data["train"])),
                engine.steps.make_step(task, plan, self.config.train.batch_size, self.total_steps),
                engine.steps.make_evaluate(task.evaluate, plan),
            )
        return self._by_shape[key]

    def _train_group(
        self, compiled, plan: engine.seeds.Plan, values: dict[str, np.ndarray], score: str, num_requested: int
    ) -> np.ndarray:
        """Scores of a group's members (G,); `num_requested` of them count as progress."""
        (seed,), (values,) = plan.split(plan.seeds), plan.split(values)
        member, opt_state = compiled.initialize(seed)
        state = member._replace(values=values), opt_state
        finite, before = np.ones(plan.group, bool), True
        for step in range(self.total_steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if place == 0:
                order = compiled.order(seed, np.int32(epoch))
            start = np.int32(place * self.config.train.batch_size)
            update = compiled.update(*state, seed, order, self._train, np.int32(step), start)
            state = update.params, update.opt_state
            # Read the result of the step before only now, while the devices are busy with this one.
            finite &= np.asarray(before)
            before = update.ok
            self.advance(self.config.train.batch_size * num_requested)
            self.check()
            if not finite.any():
                return np.full(plan.group, np.nan)
        return np.where(finite & np.asarray(before), self._score(compiled, plan, state[0], score), np.nan)

    def _score(self, compiled, plan, member, name):
        size = self.config.train.batch_size
        split = self.data["validation"], "validation"
        means = engine.evaluate.means(
            engine.evaluate.evaluate(compiled.evaluate, plan, [member], *split, size, lambda _: self.check())
        )
        if name not in means:
            raise engine.RunError(f"score {name!r} is not among the metrics of the task: {', '.join(means)}")
        return means[name].reshape(plan.group, -1)[:, -1]
