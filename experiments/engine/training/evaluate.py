"""Evaluation of every seed on a split, and its lines in metrics.jsonl."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.engine.process import devices, hosts
from experiments.engine.record import metrics_log
from experiments.engine.record.metrics_log import NOT_FINITE
from experiments.engine.training import fit, seeds
from experiments.engine.training.seeds import Plan
from experiments.engine.training.splits import TRAINING, num_examples
from experiments.engine.training.task import Measured, PyTree, Scores, Task

Values = dict[str, np.ndarray]


class Evaluator:
    """Measures a task on splits; compiles each of its functions once for each of their shapes.

    Args:
        task: of the model.
        plan: how the seeds share the devices.
        batch_size: examples per call.
        name: of the model, for a line on stderr where only fewer examples at a time fit the memory.
    """

    def __init__(self, task: Task, plan: Plan, batch_size: int, name: str = "") -> None:
        self.task, self.plan, self.batch_size, self.name = task, plan, batch_size, name
        self._compiled: dict[Any, Callable] = {}

    def __call__(
        self, split: str, data: PyTree, groups: list[PyTree], wait: Callable[[Any], None] = lambda _: None
    ) -> Values:
        """Means over a split, (S,) or (S, T) by metric; arguments as for `evaluate`."""
        function = self._function(split)

        def compiled(*arguments):
            shapes = tuple((jax.tree_util.keystr(path), x.shape, x.dtype) for path, x in _leaves(arguments))
            if (key := (function, shapes)) not in self._compiled:
                name = f"{self.name} on {split}"
                self._compiled[key] = fit.evaluation(name, self.task, self.plan, function, arguments, self.batch_size)
            return self._compiled[key](*arguments)

        values = evaluate(compiled, self.plan, groups, data, split, self.batch_size, wait)
        if self.task.on_host is not None and split not in TRAINING:
            values = self.task.on_host(split, data, values)
        return means(values)

    def _function(self, split):
        special = self.task.evaluate_on is not None and split not in TRAINING
        return self.task.evaluate_on(split) if special else self.task.evaluate


def evaluate(
    compiled: Callable[..., Scores],
    plan: Plan,
    groups: list[PyTree],
    data: PyTree,
    split: str,
    batch_size: int,
    wait: Callable[[Any], None] = lambda _: None,
) -> dict[str, np.ndarray | Measured]:
    """Values per example of every seed on a split.

    Args:
        compiled: of `steps.make_evaluate`.
        plan: how the seeds share the devices.
        groups: parameters, one pytree per group.
        data: the split's arrays, on the host.
        split: its name, from which the examples' keys derive.
        batch_size: examples per call; a multiple of the mesh's data axis. The last batch is filled up with its last
            example, whose results are dropped.
        wait: called with the results of a batch before they are read; may raise.

    Returns:
        (S, N) or (S, N, T) by metric, as `Measured` where it is not defined for every example.
    """
    count = num_examples(data)
    number, seed_groups = seeds.split_number(split), plan.split(plan.seeds)
    over_data = NamedSharding(plan.mesh, P("data"))
    parts, running = [], []
    for start in range(0, count, batch_size):
        indices = np.minimum(np.arange(start, start + batch_size, dtype=np.int32), count - 1)
        batch = devices.place(jax.tree.map(lambda leaf, rows=indices: leaf[rows], data), over_data)
        places = devices.place(indices, over_data)
        dispatched = [compiled(*group, batch, number, places) for group in zip(groups, seed_groups, strict=True)]
        # Read the results of the batch before only now, so that the devices have work meanwhile.
        parts += [_read(plan, done, wait) for done in running]
        running = [dispatched]
    parts += [_read(plan, done, wait) for done in running]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1)[:, :count], *parts)


_leaves = jax.tree_util.tree_leaves_with_path


def _read(plan, results, wait):
    wait(results)
    return plan.join(results)


def means(values: dict[str, np.ndarray | Measured]) -> Values:
    """Mean over the examples for which a metric is defined, (S,) or (S, T) by metric.

    NaN where it is defined for none, and where a value is not finite, as of a model that diverged. In this case
    NOT_FINITE is the number of examples with such a value, (S,).
    """
    by_metric, wrong = {}, []
    for name, value in values.items():
        array, where = value if isinstance(value, Measured) else (value, np.ones(value.shape[:2], bool))
        array = array.astype(np.float64)
        defined = np.broadcast_to(where.reshape(*where.shape, *[1] * (array.ndim - where.ndim)), array.shape)
        bad = defined & ~np.isfinite(array)
        number = defined.sum(axis=1)
        mean = np.where(defined & ~bad, array, 0.0).sum(axis=1) / np.maximum(number, 1)
        by_metric[name] = np.where((number > 0) & ~bad.any(axis=1), mean, np.nan)
        wrong.append(bad.any(axis=tuple(range(2, array.ndim))))
    if np.any(wrong):
        by_metric[NOT_FINITE] = np.any(wrong, axis=0).sum(axis=1).astype(np.float64)
    return by_metric


def warn(model: str, plan: Plan, split: str, values: Values) -> None:
    """Say of which seeds some examples have values that are not finite, if any have."""
    counts = values.get(NOT_FINITE, np.zeros(len(plan.seeds)))
    found = ", ".join(f"{int(n)} of seed {seed}" for seed, n in zip(plan.seeds, counts, strict=True) if n)
    if found and hosts.is_first():
        print(
            f"WARNING: model {model}: examples of {split} with values that are not finite, so that their means are "
            f"undefined: {found}",
            file=sys.stderr,
        )


def metric_lines(model: str, plan: Plan, steps: np.ndarray, split: str, values: Values) -> list[metrics_log.Line]:
    """Lines of metrics.jsonl for means (S,) or (S, T); steps (S,) are the training steps of the parameters.

    Undefined values give none.
    """
    lines = (
        metrics_log.line(model, seed, step, split, name, value)
        for name, array in values.items()
        for seed, step, value in zip(plan.seeds, steps, array, strict=True)
    )
    return [line for line in lines if line is not None]
