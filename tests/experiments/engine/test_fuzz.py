"""Anything may be typed: configs, grids, shards, coordinators and files of a run give a result or one clear error."""

import json

import jax
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import engine
from experiments.engine.process import devices, hosts
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.record import metrics_log as log
from experiments.engine.record import results
from experiments.engine.run import checkpoint, command_line, migrate, workdir
from experiments.engine.training import evaluate, steps
from experiments.engine.training.seeds import make_plan
from experiments.sweep import sweep
from tests.experiments.engine import toy, toy_config

FILE = "--config=tests/experiments/engine/toy_config.py"
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

names = st.text(st.characters(exclude_characters="."), max_size=8)  # a ConfigDict refuses others itself
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def complete():
    return engine.complete(toy_config.get_config(), toy.FAMILY)


entries = st.sampled_from(sorted(engine.leaves(complete())))


def refusal(function, *args):
    """What is said where a call is refused; None where it is not."""
    try:
        function(*args)
    except (UsageError, RunError) as error:
        return str(error)


@QUICK
@given(st.dictionaries(entries, json_values, min_size=1, max_size=3))
def test_any_value_of_a_config_is_right_or_named(changes):
    changed = complete()
    with changed.ignore_type():
        changed.update_from_flattened_dict(changes)
    said = refusal(engine.check, changed, toy.FAMILY)
    assert said is None or any(key in said for key in changes), said
    assert said is None or len(said.splitlines()) == 1


@QUICK
@given(st.lists(st.tuples(entries | st.text(max_size=6), st.text(max_size=12)), max_size=3))
def test_any_command_line_is_understood_or_refused(words):
    said = refusal(command_line.parse, [FILE, *(f"--config.{key}={value}" for key, value in words)], toy.FAMILY)
    assert said is None or words


@QUICK
@given(st.text(max_size=20) | st.from_regex(r"[0-9x/,=.\[\]()' -]{0,16}", fullmatch=True))
def test_any_text_is_a_mesh_a_shard_a_grid_an_address_or_an_error_that_quotes_it(text):
    for read in (devices.parse_sizes, sweep.parse_shard, lambda text: sweep.parse_grid([text])):
        said = refusal(read, text)
        assert said is None or text.partition("=")[0] in said or repr(text) in said
    assert refusal(hosts.check, text, 2, 0) in (None, f"--coordinator={text}: expected HOST:PORT or auto")


@QUICK
@given(st.integers(1, 60), st.integers(1, 200), st.integers(1, 4), st.sampled_from(["vmap", "loop"]))
def test_any_seeds_and_batches_find_a_mesh(count, batch, devices, strategy):
    plan = make_plan(0, count, batch, strategy, jax.devices()[:devices])
    seed, data = plan.mesh.devices.shape
    assert count % seed == 0 and batch % data == 0 and seed * data <= devices
    assert count % plan.group == 0 and plan.group % seed == 0
    assert devices % seed == 0 and (count % devices or seed == devices), "seeds fill the devices first"


shapes = st.lists(st.integers(0, 4), max_size=2).map(tuple)
dtypes = st.sampled_from([np.float32, np.int32, np.uint8, np.bool_, np.float16])


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.tuples(shapes, dtypes), min_size=1, max_size=3))
def test_leaves_of_any_shape_come_back_bit_for_bit(tmp_path_factory, kinds):
    rng = np.random.default_rng(0)
    leaves = {name: rng.integers(0, 2, (2, *shape)).astype(dtype) for name, (shape, dtype) in kinds.items()}
    if all(leaf.size == 0 for leaf in leaves.values()):
        leaves["last"] = np.ones((2, 1), np.float32)
    store = checkpoint.Store(tmp_path_factory.mktemp("any"))
    store.save(1, leaves)
    _, found, _ = store.restore(leaves)
    store.close()
    assert found.keys() == leaves.keys()
    for name, leaf in leaves.items():
        assert (found[name].dtype, found[name].shape, found[name].tobytes()) == (leaf.dtype, leaf.shape, leaf.tobytes())


def load_toy(place):
    return workdir.load(place, toy.FAMILY)


@QUICK
@given(st.binary(max_size=120) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_in_a_runs_files_are_read_or_named(tmp_path, content):
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes(content)
    for read in (
        workdir.load,
        load_toy,
        results.load_config,
        results.load_metrics,
        lambda p: log.read(p / "metrics.jsonl"),
    ):
        said = refusal(read, tmp_path)
        assert said is None or str(tmp_path) in said


@QUICK
@given(st.integers(1, 9), st.integers(1, 3), st.lists(st.booleans(), min_size=27, max_size=27))
def test_means_leave_out_any_mask_of_undefined_values(count, length, undefined):
    values = np.arange(2.0 * count * length).reshape(2, count, length)
    mask = np.resize(undefined, values.shape)
    found = evaluate.means({"x": engine.Measured(np.where(mask, np.nan, values), ~mask)})["x"]
    for seed in range(2):
        for time in range(length):
            kept = values[seed, ~mask[seed, :, time], time]
            expected = kept.mean() if kept.size else np.nan
            np.testing.assert_allclose(found[seed, time], expected)


@settings(deadline=None, max_examples=3)
@given(st.integers(1, 3), st.integers(1, 5).map(lambda n: 4 * n), st.integers(0, 30))
def test_orders_and_batches_of_any_size_take_every_example_once(count, batch, more):
    plan = make_plan(0, count, batch, "vmap")
    examples = batch + more
    orders = [np.asarray(steps.make_order(plan, examples)(seed, np.int32(3))) for seed in plan.split(plan.seeds)]
    assert all(sorted(order) == list(range(examples)) for order in np.concatenate(orders))


@QUICK
@given(st.dictionaries(names, json_values, max_size=3))
def test_any_stored_config_is_read_or_refused(stored):
    refusal(engine.from_json, stored, toy.FAMILY)
    refusal(lambda: migrate.migrate({"config": stored}, toy.FAMILY))
