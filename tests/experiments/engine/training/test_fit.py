"""Seeds and batches in parts that fit the memory, and memory that ends in a run."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from experiments.engine.process.errors import OutOfMemoryError, UsageError
from experiments.engine.training import evaluate, fit, seeds
from tests.experiments.engine import toy
from tests.experiments.engine.training.test_trainer import DATA, TASK, assert_close, finish


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("three"), seeds=3, devices=jax.devices()[:1])


def test_what_does_not_fit_is_done_in_parts_with_the_same_numbers(tmp_path, three, monkeypatch, capsys):
    """No program fits: one seed in one call, one example at a time, in training and in evaluation."""
    monkeypatch.setattr(fit.memory, "limit", lambda mesh: fit.memory.Limit(1))
    state, lines = finish(tmp_path, seeds=3, devices=jax.devices()[:1])
    assert capsys.readouterr().err.startswith("m: in 3 groups of 1 seeds, slices of 1 examples, one after the other")
    assert_close(state, three[0])
    np.testing.assert_allclose(*(np.hstack([e["value"] for e in each]) for each in (lines, three[1])), rtol=1e-4)
    plan = seeds.make_plan(0, 3, 8, "vmap", jax.devices()[:2])
    measured = []
    for may_slice in (True, False):
        measure = evaluate.Evaluator(TASK._replace(may_slice=may_slice), plan, 8, "m")
        measured.append(measure("noise", DATA["noise"], plan.split(three[0].params)))
        assert capsys.readouterr().err.startswith("m on noise: in slices of 1 examples") is may_slice
    assert_close(*measured)


@pytest.mark.parametrize(
    ("limit", "tried", "chosen"),
    [(None, [12], 12), (100, [12], 12), (50, [12, 6], 6), (7, [12, 1], 1), (1, [12, 1], 1)],
)
def test_the_first_plan_that_fits_is_chosen_and_few_are_tried(monkeypatch, limit, tried, chosen):
    """A program of 8 bytes a seed, of 12 seeds; one of a compiler that refuses what does not fit is halved."""
    plan, seen = seeds.make_plan(0, 12, 8, "vmap", jax.devices()[:1]), []
    compiled = lambda plan: seen.append(plan.group) or plan.group  # noqa: E731
    monkeypatch.setattr(fit, "size", lambda program, devices: 8 * program)
    limit = fit.memory.Limit(limit)
    task = TASK._replace(may_slice=False)
    assert fit.fitting(fit.plans(task, plan, 8), compiled, limit) == (plan._replace(group=chosen), chosen)
    assert seen == tried

    def refusing(plan):
        if 8 * plan.group > limit.bytes:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm")
        return plan.group

    if limit.bytes in (50, 100):
        assert fit.fitting(fit.plans(task, plan, 8), refusing, limit)[1] == chosen


def test_seeds_at_once_bound_the_groups():
    plan = lambda at_once, **options: seeds.make_plan(0, 12, 8, "vmap", at_once=at_once, **options)  # noqa: E731
    assert [plan(at_once, devices=jax.devices()[:1]).group for at_once in (None, 12, 11, 5, 1)] == [12, 12, 6, 4, 1]
    assert plan(4).group == 4
    with pytest.raises(UsageError, match=r"seeds_at_once=3: expected at least the 4 seeds of the mesh"):
        plan(3)


def test_memory_that_ends_in_a_run_loses_nothing_and_says_what_to_lower(tmp_path, three, monkeypatch):
    """The state before the steps that failed is checkpointed, and the same run continues from there."""
    with toy.trainer(tmp_path, TASK, DATA, seeds=3, devices=jax.devices()[:1]) as trainer:
        update, calls = trainer._update, iter(range(2))

        def exhausted(*args):
            if next(calls, None) is None:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.")
            return update(*args)

        monkeypatch.setattr(trainer, "_update", exhausted)
        named = r"model m: the memory .* 9 bytes\.\. Nothing is lost: lower --config\.seeds_at_once.*slice_size"
        with pytest.raises(OutOfMemoryError, match=named), fit.memory.named("m"):
            trainer.run()
    with toy.trainer(tmp_path, TASK, DATA, seeds=3, devices=jax.devices()[:1]) as trainer:
        assert trainer._restored.step > 0
        assert_close(trainer.run(), three[0])
    with pytest.raises(jax.errors.JaxRuntimeError), fit.memory.named("m"):
        raise jax.errors.JaxRuntimeError("INTERNAL: another one")


def test_the_limit_is_what_the_device_tells_and_of_a_cpu_half_of_the_machine():
    mesh = seeds.make_plan(0, 4, 8, "vmap").mesh
    one = seeds.make_plan(0, 1, 1, "loop", jax.devices()[:1]).mesh
    assert fit.memory.limit(mesh) == fit.memory.limit(one)._replace(devices=4)
    parts = {"argument": 100, "output": 1, "temp": 10, "generated_code": 2, "alias": 7}
    program = SimpleNamespace(**{f"{name}_size_in_bytes": value for name, value in parts.items()})
    program.memory_analysis = lambda: program
    assert [fit.size(program, devices) for devices in (1, 4)] == [113, 152]
    card = SimpleNamespace(platform="gpu", process_index=0, memory_stats=lambda: {"bytes_limit": 1000})
    silent = SimpleNamespace(platform="tpu", process_index=0, memory_stats=lambda: None)
    found = [fit.memory.limit(SimpleNamespace(devices=np.array([each]), size=1)) for each in (card, silent)]
    assert found == [(900, 1), (None, 1)]
