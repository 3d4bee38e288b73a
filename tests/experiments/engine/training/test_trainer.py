"""Training, seeds, devices and evaluation, beside plain loops that do the same."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import engine
from experiments.engine.process import devices as devices_lib
from experiments.engine.process.errors import Interrupted, NonFiniteError, RunError
from experiments.engine.record import metrics_log as log
from experiments.engine.run import checkpoint
from experiments.engine.training import evaluate, pace, seeds, steps
from experiments.engine.training import trainer as trainer_lib
from tests.experiments.engine import toy

DATA = toy.make_data(toy.trainer_config(num_examples=44))
TASK = toy.make_task((4,), 0.05)


def finish(workdir, task=TASK, data=DATA, **options):
    with toy.trainer(workdir, task, data, **options) as trainer:
        return trainer.run(), log.read(workdir / "metrics.jsonl")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("three"), seeds=3, devices=jax.devices()[:1])


def assert_close(found, expected, index=slice(None)):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b[index], rtol=2e-5, atol=2e-6)


def plain_run(seed, data, task=TASK, batch_size=8, epochs=2):
    """One seed in a Python loop: what the engine promises, without vmap, shard_map, or indices on the device."""
    params = task.init(jax.random.fold_in(jax.random.key(seed), 0))
    opt_state, step, losses = task.optimizer.init(params), 0, []
    count, gradient = len(data["labels"]), jax.jit(jax.value_and_grad(task.loss, has_aux=True))
    for epoch in range(epochs):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), epoch)
        order = np.asarray(jax.random.permutation(key, count))
        for start in range(0, count - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), step)
            keys = jnp.stack([jax.random.fold_in(key, position) for position in range(batch_size)])
            batch = {name: array[rows] for name, array in data.items()}
            (loss, _), gradients = gradient(params, batch, keys)
            changes, opt_state = task.optimizer.update(gradients, opt_state, params)
            params, step = optax.apply_updates(params, changes), step + 1
            losses.append(float(loss))
    return params, losses


def test_a_seed_trains_as_a_plain_loop_of_it_alone(three):
    state, lines = three
    params, losses = plain_run(2, DATA["train"])
    assert_close(params, state.params, 2)
    logged = [e["value"] for e in lines if (e["seed"], e["split"], e["name"]) == (2, "train", "loss")]
    np.testing.assert_allclose(logged, losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("first", "count", "strategy", "devices"),
    [(2, 1, "vmap", 1), (0, 3, "loop", 2), (1, 2, "auto", 4)],
)
def test_a_seed_depends_on_no_other_seed_strategy_or_device(tmp_path, three, first, count, strategy, devices):
    options = {"seed": first, "seeds": count, "strategy": strategy, "devices": jax.devices()[:devices]}
    state, lines = finish(tmp_path, **options)
    assert_close(state, three[0], slice(first, first + count))
    expected = [e for e in three[1] if first <= e["seed"] < first + count]
    assert [{**e, "value": 0} for e in lines] == [{**e, "value": 0} for e in expected]
    np.testing.assert_allclose(*(np.hstack([e["value"] for e in each]) for each in (lines, expected)), rtol=1e-4)


def test_seeds_differ_in_parameters_batches_and_noise(three):
    kernels = three[0].params["layer0"]["kernel"]
    assert len({kernel.tobytes() for kernel in kernels}) == 3
    plan = seeds.make_plan(0, 3, 8, "vmap")
    (group,) = plan.split(plan.seeds)
    orders = np.asarray(steps.make_order(plan, 44)(group, np.int32(0)))
    again = np.asarray(steps.make_order(plan, 44)(group, np.int32(1)))
    assert all(sorted(order) == list(range(44)) for order in orders)
    assert len({order.tobytes() for order in (*orders, *again)}) == 6
    keys = [seeds.step_keys(s, k, jnp.arange(2)) for s in (0, 1) for k in (0, 1)]
    keys += [seeds.evaluation_keys(s, seeds.split_number(split), jnp.arange(2)) for s in (0, 1) for split in ("a", "b")]
    assert len({np.asarray(jax.random.key_data(key)).tobytes() for pair in keys for key in pair}) == 16


@pytest.mark.parametrize(
    ("count", "batch", "devices", "shape"),
    [(1, 8, 4, (1, 4)), (2, 8, 4, (2, 2)), (4, 8, 4, (4, 1)), (3, 8, 4, (1, 4)), (6, 9, 4, (2, 1)), (1, 6, 4, (1, 2))],
)
def test_seeds_take_devices_first_and_the_batch_the_rest(count, batch, devices, shape):
    assert devices_lib.make_mesh(count, batch, jax.devices()[:devices]).devices.shape == shape


def test_split_and_join_are_inverse():
    plan = seeds.make_plan(5, 6, 8, "loop")
    tree = {"a": np.arange(12, dtype=np.int32).reshape(6, 2), "b": np.arange(6) > 2}
    groups = plan.split(tree)
    assert len(groups) == 3
    joined = plan.join(groups)
    assert all(joined[name].dtype == tree[name].dtype and (joined[name] == tree[name]).all() for name in tree)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float32])
def test_data_keeps_its_dtype_on_every_device(dtype):
    array = np.arange(101).reshape(101, 1)[::2].astype(dtype)
    placed = devices_lib.replicate(devices_lib.make_mesh(1, 8), {"x": array})["x"]
    assert placed.dtype == dtype
    assert len(placed.addressable_shards) == 4
    assert all((np.asarray(shard.data) == array).all() for shard in placed.addressable_shards)


@pytest.mark.parametrize("batch_size", [4, 64])
def test_evaluation_does_not_depend_on_its_batches(three, batch_size):
    plan = seeds.make_plan(0, 3, batch_size, "vmap")
    compiled = steps.make_evaluate(TASK.evaluate, plan)
    groups = plan.split(three[0].params)
    found = evaluate.evaluate(compiled, plan, groups, DATA["noise"], "noise", batch_size)
    assert jax.tree.map(np.shape, found, is_leaf=lambda x: isinstance(x, np.ndarray)) == {
        "accuracy": (3, 23, 2), "loss": (3, 23), "without_class_0": engine.Measured((3, 23), (3, 23)),
    }  # fmt: skip
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 3), seeds.split_number("noise"))
    keys = jnp.stack([jax.random.fold_in(key, index) for index in range(23)])
    expected = TASK.evaluate(jax.tree.map(lambda leaf: leaf[1], three[0].params), DATA["noise"], keys)
    for value, alone in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(value[1], alone, rtol=1e-4, atol=1e-5)


def test_what_was_evaluated_on_a_test_set_may_be_changed_on_the_host(three):
    """Arrays of any shape go there, with the data of the test set; validation is as it was."""

    def evaluated(params, batch, keys):
        return {"loss": 0.5 * batch["labels"], "shifted": batch["inputs"] + params["layer0"]["bias"][0]}

    def on_host(split, data, values):
        assert split == "noise" and type(values["shifted"]) is np.ndarray
        left = values.pop("shifted") - data["inputs"]
        return values | {"shift": left.mean(2), "odd": engine.Measured(left[..., 0] * 0 + 3, left[..., 0] > 0)}

    plan = seeds.make_plan(0, 3, 4, "vmap")
    task = TASK._replace(on_host=on_host, evaluate_on=lambda split: evaluated)
    measure, groups = evaluate.Evaluator(task, plan, 4), plan.split(three[0].params)
    found, shift = measure("noise", DATA["noise"], groups), np.asarray(three[0].params["layer0"]["bias"])[:, 0]
    assert set(found) == {"loss", "shift", "odd"}
    np.testing.assert_allclose(found["loss"], [0.5 * DATA["noise"]["labels"].mean()] * 3, rtol=1e-5)
    np.testing.assert_allclose(found["shift"], shift, rtol=1e-3)
    np.testing.assert_array_equal(found["odd"], np.where(shift > 0, 3, np.nan))
    assert "accuracy" in measure("validation", DATA["validation"], groups)


def test_undefined_values_are_left_out_of_the_mean():
    values = np.array([[1.0, np.nan, 3.0], [np.inf] * 3], np.float32)
    where = np.array([[True, False, True], [False] * 3])
    found = evaluate.means({
        "x": engine.Measured(values, where),
        "t": engine.Measured(np.stack([values, values + 1], 2), where),
    })  # fmt: skip
    assert set(found) == {"x", "t"}
    np.testing.assert_array_equal(found["x"], [2.0, np.nan])
    np.testing.assert_array_equal(found["t"], [[2.0, 3.0], [np.nan, np.nan]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_make_the_mean_undefined_and_are_counted(bad, capsys):
    values = np.ones((2, 4, 2), np.float32)
    values[1, 1:3, 0] = bad
    found = evaluate.means({"t": values, "x": np.ones((2, 4)), "y": np.array([[1.0] * 4, [1, bad, 1, bad]])})
    np.testing.assert_array_equal(found["t"], [[1, 1], [np.nan, 1]])
    np.testing.assert_array_equal(found["x"], [1, 1])
    np.testing.assert_array_equal(found["y"], [1, np.nan])
    np.testing.assert_array_equal(found["not_finite"], [0, 3])
    plan = seeds.make_plan(4, 2, 8, "vmap")
    written = evaluate.metric_lines("m", plan, np.array([9, 9]), "test", found)
    assert {e["seed"]: e["value"] for e in written if e["name"] == "not_finite"} == {4: 0, 5: 3}
    assert [e["seed"] for e in written if e["name"] == "y"] == [4]
    evaluate.warn("m", plan, "test", found)
    assert capsys.readouterr().err.endswith("undefined: 3 of seed 5\n")
    evaluate.warn("m", plan, "test", {"x": found["x"]})
    assert not capsys.readouterr().err


def test_a_validation_that_is_not_finite_is_never_the_best(tmp_path):
    """Of seed 1 one example of the second validation is NaN: its best parameters stay those of the first."""
    unlucky = make_failing("nowhere")

    def evaluate_one(params, batch, keys):
        late = (params["marked"] > 0) & (params["a"] < 0.97)
        return {"s": jnp.where(late & (batch["x"] == 3), jnp.nan, -params["a"]) + 0 * batch["x"]}

    data = {name: {"x": np.arange(64.0, dtype=np.float32)} for name in ("train", "validation")}
    state, lines = finish(tmp_path, unlucky._replace(evaluate=evaluate_one), data)
    assert state.best_step.tolist() == [16, 8]
    seen = {(e["name"], e["seed"], e["step"]): e["value"] for e in lines if e["split"] == "validation"}
    assert ("s", 1, 16) not in seen and seen["not_finite", 1, 16] == 1 and seen["not_finite", 0, 16] == 0


@pytest.mark.parametrize("curriculum", [0.0, 0.4, 0.5, 1.0])
@pytest.mark.parametrize("score", ["drift", "-drift"])
def test_the_best_on_validation_is_kept_per_seed(tmp_path, score, curriculum):
    """A parameter that moves by a fixed amount per step, up for seed 0 and down for seed 1.

    Of the two validations, after 5 and 10 steps, the first does not count where the curriculum is not over.
    """

    def init(key):
        return {"at": jnp.zeros(()), "by": jnp.where(jax.random.key_data(key)[0] == first, 1.0, -1.0)}

    first = jax.random.key_data(seeds.init_key(0))[0]
    task = engine.Task(
        init,
        lambda params, batch, keys: (-params["at"] * jax.lax.stop_gradient(params["by"]), {}),
        lambda params, batch, keys: {"drift": jnp.stack([0 * batch["labels"], 0 * batch["labels"] + params["at"]], 1)},
        optax.sgd(1.0),
        score,
        curriculum=curriculum,
    )
    state, _ = finish(tmp_path, task)
    rising = 0 if score == "drift" else 1
    first_counts = curriculum < 0.5
    # The score's best comes last where it rises, and first where it falls.
    steps_of = {rising: 10, 1 - rising: 5 if first_counts else 10}
    assert state.best_step.tolist() == [steps_of[0], steps_of[1]]
    assert state.best_params["at"].tolist() == [steps_of[0], -steps_of[1]]
    assert state.params["at"].tolist() == [10, -10]


def make_failing(where):
    """A task whose numbers stop being finite in seed 1: in its parameters, loss, gradient or update."""
    unlucky = jax.random.key_data(seeds.init_key(1))[0]

    def init(key):
        bad = jax.random.key_data(key)[0] == unlucky
        return {
            "a": jnp.float32(1),
            "marked": bad.astype(jnp.float32),
            "w": jnp.where(bad & (where == "params"), jnp.nan, 2.0),
        }

    def loss(params, batch, keys):
        bad = jax.lax.stop_gradient(params["marked"])
        value = params["a"] * params["w"] + 0 * jnp.mean(batch["x"])
        if where == "loss":
            value = value / (1 - bad)
        if where == "gradient":
            value = value + jnp.sqrt(params["w"] - 1 - bad)
        if where == "update":
            value = value + 1e30 * bad * params["w"]
        return value, {"undefined": jnp.nan}

    rate = 1e30 if where == "update" else 1e-3
    return engine.Task(init, loss, lambda params, batch, keys: {"s": 0 * batch["x"]}, optax.sgd(rate), "s")


@pytest.mark.parametrize(
    ("where", "tensor"),
    [
        ("params", r"params\.w "),
        ("loss", r"loss \(then scalars\.undefined, gradients\.a, gradients\.w and 2 more"),
        ("gradient", r"gradients\.w \(then new params\.w\)"),
        ("update", r"new params\.w\."),
    ],
)
def test_numbers_that_are_not_finite_stop_the_run_and_are_named(tmp_path, where, tensor):
    data = {name: {"x": np.ones(16, np.float32)} for name in ("train", "validation")}
    with pytest.raises(NonFiniteError, match=rf"seed 1, step 1: not finite; first tensor: {tensor}"):
        finish(tmp_path, make_failing(where), data)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["0"]


def test_a_bad_example_is_named_and_the_state_before_it_is_kept(tmp_path, three):
    """The NaN of one example reaches seed 1 in another step than seed 0; whoever comes first is named."""
    data = {name: {**split, "weights": np.ones(len(split["labels"]), np.float32)} for name, split in DATA.items()}
    data["train"]["weights"][17] = np.nan
    quiet = toy.make_task((4,), 0.05, noise=0)
    task = quiet._replace(loss=lambda p, b, k: (quiet.loss(p, b, k)[0] * jnp.mean(b["weights"]), {}))
    with pytest.raises(NonFiniteError) as failure:
        finish(tmp_path, task, data, batch_size=4)
    plan = seeds.make_plan(0, 2, 4, "vmap")
    orders = np.asarray(steps.make_order(plan, 44)(*plan.split(plan.seeds), np.int32(0)))
    hit = [int(np.flatnonzero(order == 17)[0]) // 4 for order in orders]
    step, seed = min(hit), int(np.argmin(hit))
    assert f"seed {seed}, step {step + 1}: not finite; first tensor: batch.weights" in str(failure.value)
    store = toy.Store(tmp_path / "m")
    kept, leaves, _ = store.restore({name: leaf[:2] for name, leaf in checkpoint.flatten(three[0]).items()})
    store.close()
    assert kept == step
    assert all(np.isfinite(leaf).all() for name, leaf in leaves.items() if name != "best_score")


@pytest.mark.parametrize(
    ("score", "said"), [("absent", "score 'absent' is not among .*: s"), ("s", "score 's' is undefined")]
)
def test_a_score_that_says_nothing_is_an_error(tmp_path, score, said):
    task = make_failing("nowhere")._replace(score=score, evaluate=lambda p, batch, k: {"s": batch["x"] + jnp.nan})
    with pytest.raises(RunError, match=said):
        finish(tmp_path, task, {name: {"x": np.ones(16, np.float32)} for name in ("train", "validation")})


def test_a_stop_in_an_epoch_is_saved_at_once_and_continued(tmp_path, three):
    with toy.trainer(tmp_path, TASK, DATA, seeds=3, devices=jax.devices()[:1]) as trainer:
        write = trainer.log.write

        def stop_after_the_first_step(lines):
            write(lines)
            trainer.stop._signum = 2

        trainer.log.write = stop_after_the_first_step
        with pytest.raises(Interrupted):
            trainer.run()
        assert trainer.store.steps() == [1]
    state, lines = finish(tmp_path, seeds=3, devices=jax.devices()[:1])
    assert lines == three[1]
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(three[0]), strict=True))


@pytest.fixture
def clock(monkeypatch):
    """[seconds], which only the test moves."""
    now = [0.0]
    for module in (trainer_lib, pace):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.mark.parametrize(
    ("processes", "call", "validation", "kept"),
    [(2, 1, 1, [4, 5]), (2, 1, 9, [4, 5, 9]), (2, 9, 1, [7, 8, 9]), (1, 9, 9, [5])],
)
def test_several_processes_keep_what_long_work_starts_from(
    tmp_path, monkeypatch, clock, processes, call, validation, kept
):
    """Calls of one step, of so many seconds; the second validation never ends. The first one compiles."""
    monkeypatch.setattr(trainer_lib, "hosts", SimpleNamespace(count=lambda: processes, from_first=np.asarray))
    with toy.trainer(tmp_path, TASK, DATA, seeds=3, devices=jax.devices()[:1]) as trainer:
        monkeypatch.setattr(trainer._pace, "next", lambda at_most: 1)
        record, validate = trainer._record, trainer._validate

        def record_and_wait(*args):
            clock[0] += call
            record(*args)

        def validate_and_wait():
            if trainer.step == 10:
                raise KeyboardInterrupt
            validate()
            clock[0] += validation

        trainer._record, trainer._validate = record_and_wait, validate_and_wait
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
        assert sorted(trainer.store.steps()) == kept


def test_validations_beside_those_of_the_epochs(tmp_path, three):
    """They change nothing else: neither the training nor the parameters that are kept."""
    state, lines = finish(tmp_path, seeds=3, devices=jax.devices()[:1], validate_at=(0, 3, 5, 7, 99))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(three[0]), strict=True):
        np.testing.assert_array_equal(a, b)
    added = [e for e in lines if e["split"] == "validation" and e["step"] not in (5, 10)]
    assert [e for e in lines if e not in added] == three[1]
    assert {(e["step"], e["seed"]) for e in added} == {(step, seed) for step in (0, 3, 7) for seed in range(3)}
