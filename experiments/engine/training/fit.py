"""Programs that fit the memory: fewer seeds in one call, then fewer examples at a time, by the compiled sizes."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import jax

from experiments.engine.process import hosts, memory
from experiments.engine.training import steps
from experiments.engine.training.seeds import Plan
from experiments.engine.training.task import PyTree, Task

Choice = TypeVar("Choice")


def training(
    name: str, task: Task, plan: Plan, data: PyTree, batch_size: int, total: int, at_most: int
) -> tuple[Plan, Callable[..., steps.Update]]:
    """The plan by which many training steps in one call fit each device, and the compiled function.

    Args:
        name: of the model, for the line on stderr that says what was made smaller.
        task: of the model.
        plan: the largest that may be; the result may have smaller groups of seeds and smaller slices.
        data: the training set.
        batch_size, total: as for `steps.make_steps`.
        at_most: its `limit`.
    """

    def compiled(plan: Plan) -> Any:
        function: Any = steps.make_steps(task, plan, batch_size, total, at_most)
        (number,) = steps.placed(plan, steps.SHARED, (jax.ShapeDtypeStruct((), "int32"),))
        return function.lower(*steps.argument_shapes(task, plan, data), number).compile()

    return _tell(name, plan, *fitting(plans(task, plan, batch_size), compiled, memory.limit(plan.mesh)))


def evaluation(
    name: str, task: Task, plan: Plan, function: Callable[..., Any], arguments: tuple[PyTree, ...], batch_size: int
) -> Callable[..., Any]:
    """`steps.make_evaluate` of a function, compiled so that it fits each device: with smaller slices than the plan's.

    Args:
        name, task, plan: as for `training`.
        function: as for `steps.make_evaluate`.
        arguments: of one call.
        batch_size: examples in them.
    """

    def compiled(plan: Plan) -> Any:
        made: Any = steps.make_evaluate(function, plan)
        return made.lower(*arguments).compile()

    plan = plan if task.may_slice else plan._replace(slice_size=None)
    whole = min(plan.slice_size or batch_size, batch_size // plan.mesh.shape["data"])
    choices = _slices(task, plan, batch_size, whole)
    return _tell(name, plan, *fitting(choices, compiled, memory.limit(plan.mesh)))[1]


def fitting(
    choices: Iterable[tuple[Choice, float]], compiled: Callable[[Choice], Any], limit: memory.Limit
) -> tuple[Choice, Any]:
    """The first of some plans whose program fits, and the program; the last one where none does.

    After a program that is too large, plans are passed over whose share of its size would be too large as well.

    Args:
        choices: plans, with the number of examples that each computes at a time on a device, the largest first.
        compiled: plan -> program, as `jax.stages.Compiled`. May raise JAX's error of exhausted memory.
        limit: of the memory.
    """
    choices, wanted = list(choices), math.inf
    for plan, examples in choices[:-1]:
        if examples > wanted:
            continue
        try:
            program = compiled(plan)
        except jax.errors.JaxRuntimeError as error:  # a compiler that will not make a program that does not fit
            if not memory.is_exhausted(error):
                raise
            wanted = examples / 2
            continue
        if limit.bytes is None or (need := size(program, limit.devices)) <= limit.bytes:
            return plan, program
        wanted = examples * limit.bytes / need
    return choices[-1][0], compiled(choices[-1][0])


def _tell(name: str, first: Plan, plan: Plan, program: Any) -> tuple[Plan, Any]:
    """Say on stderr what was made smaller, if anything was."""
    if (first.group, first.slice_size) != (plan.group, plan.slice_size) and hosts.is_first():
        count, group = len(plan.seeds), plan.group
        by_seed = f"{count // group} groups of {group} seeds" if group < first.group else ""
        by_example = f"slices of {plan.slice_size} examples" if plan.slice_size != first.slice_size else ""
        said = ", ".join(filter(None, (by_seed, by_example)))
        print(f"{name}: in {said}, one after the other, to fit the memory of a device", file=sys.stderr)
    return plan, program


def size(program: Any, devices: int = 1) -> int:
    """Bytes that a compiled program takes of a memory: arguments, and results, temporaries and code of each device."""
    found = program.memory_analysis()
    if found is None:
        return 0
    own = sum(getattr(found, f"{part}_size_in_bytes") for part in ("output", "temp", "generated_code"))
    return found.argument_size_in_bytes + devices * own


def plans(task: Task, plan: Plan, batch_size: int) -> Iterator[tuple[Plan, float]]:
    """The plan, then with fewer seeds in one call, then in slices, with the examples that a device computes at a time.

    Seeds come first: fewer of them at a time cost the least.
    """
    whole = batch_size // plan.mesh.shape["data"] // steps.num_slices(task, plan, batch_size)
    along = plan.mesh.shape["seed"]
    groups = [group for group in plan.groups() if group <= plan.group]
    for group in groups[:-1]:
        yield plan._replace(group=group), group // along * whole
    yield from _slices(task, plan._replace(group=groups[-1]), batch_size, whole)


def _slices(task: Task, plan: Plan, batch_size: int, whole: int) -> Iterator[tuple[Plan, float]]:
    """The plan, which computes `whole` examples at a time, then with smaller slices where the task allows that."""
    local = batch_size // plan.mesh.shape["data"]
    yield plan, whole
    for examples in (each for each in range(whole - 1, 0, -1) if local % each == 0 and task.may_slice):
        yield plan._replace(slice_size=examples), examples
