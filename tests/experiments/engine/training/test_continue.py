"""A run continued on other devices, another mesh, or with more or fewer seeds: the numbers are those of one run."""

import operator

import jax
import numpy as np
import pytest

from experiments import engine
from experiments.engine.process import devices
from experiments.engine.process.errors import UsageError
from experiments.engine.record import metrics_log as log
from experiments.engine.run import workdir
from experiments.engine.training import runner, seeds, steps
from tests.experiments.engine import toy, toy_config

CONFIG = ["--config=tests/experiments/engine/toy_config.py:tiny", "--models=deep"]


@pytest.fixture(scope="module", autouse=True)
def quick(request):
    """No report, which is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "report", lambda *_: None)
        patch.chdir(request.config.rootpath)
        yield


def train(place, *arguments):
    assert toy.main([*CONFIG, f"--workdir={place}", *arguments]) == 0
    return metrics(place)


def metrics(place):
    lines = log.read(place / "metrics.jsonl")
    found = {(e["seed"], e["step"], e["split"], e["name"]): np.array(e["value"]) for e in lines}
    assert len(found) == len(lines), "a line is there twice"
    return found


def close(found):
    """To compare metrics with."""
    return {key: pytest.approx(value, rel=1e-4, abs=1e-5) for key, value in found.items()}


def same(found, other):
    return found.keys() == other.keys() and all((found[key] == other[key]).all() for key in found)


def of_seeds(found, count):
    return {key: value for key, value in found.items() if key[0] < count}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Metrics of three seeds on one device."""
    return train(tmp_path_factory.mktemp("three"), "--config.seeds=3", "--config.mesh=1x1")


def broken_off(place, monkeypatch, after, *arguments):
    """A run that dies when it is about to write its lines for the n-th time."""
    calls, write = iter(range(after)), log.MetricsLog.write

    def write_or_die(self, lines):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        write(self, lines)

    with monkeypatch.context() as patch:
        patch.setattr(log.MetricsLog, "write", write_or_die)
        assert toy.main([*CONFIG, f"--workdir={place}", *arguments]) == 130


def test_other_meshes_give_the_same_numbers_and_continue_each_other(three, tmp_path, monkeypatch, capsys):
    broken_off(tmp_path, monkeypatch, 4, "--config.seeds=3", "--config.mesh=3x1")
    assert (tmp_path / "checkpoints/deep/6").exists()
    broken_off(tmp_path, monkeypatch, 5, "--config.seeds=3", "--config.mesh=1x4", "--config.seed_strategy=vmap")
    assert "config.mesh '3x1', now '1x4'" in capsys.readouterr().err
    assert workdir.load(tmp_path)["config"]["mesh"] == "1x4"
    assert train(tmp_path, "--config.seeds=3") == close(three)


def test_more_seeds_continue_and_the_new_ones_start_fresh(three, tmp_path, monkeypatch):
    broken_off(tmp_path, monkeypatch, 6, "--config.seeds=2")
    before = metrics(tmp_path)
    found = train(tmp_path, "--config.seeds=3")
    assert found == close(three)
    kept = [key for key in before if key[1] <= 9 and key[2] == "train"]
    assert len(kept) > 10 and all((found[key] == before[key]).all() for key in kept), "finished work was done again"
    assert (tmp_path / "checkpoints/deep/seed2/18").exists()
    with np.load(tmp_path / "samples/deep.npz", allow_pickle=False) as samples:
        assert samples["after"].shape[0] == samples["before"].shape[0] == 3
    # Nothing is left to be done, and with one seed more that alone is trained.
    monkeypatch.setattr(toy, "make_data", None)
    assert same(train(tmp_path, "--config.seeds=3"), found)


def test_fewer_seeds_keep_the_first(three, tmp_path, monkeypatch):
    broken_off(tmp_path, monkeypatch, 6, "--config.seeds=3")
    found = train(tmp_path, "--config.seeds=2")
    assert of_seeds(found, 2) == close(of_seeds(three, 2))
    assert max(step for seed, step, *_ in found if seed == 2) == 10
    # The third begins again, from the start.
    assert train(tmp_path, "--config.seeds=3") == close(three)


def test_a_model_trained_with_seeds_of_its_own(three, tmp_path):
    """The same numbers as with the seeds of the run; more of them continue, as those of the run do."""
    assert train(tmp_path, "--config.seeds=3", "--config.models.deep.seeds=1") == close(of_seeds(three, 1))
    assert train(tmp_path, "--config.seeds=1", "--config.models.deep.seeds=2") == close(of_seeds(three, 2))


def test_other_seeds_are_evaluated_on_the_sets_of_earlier_calls_when_asked(tmp_path, capsys):
    train(tmp_path, "--config.seeds=2")
    evaluate = [f"--workdir={tmp_path}", "--evaluate=noise3"]
    assert toy.main(evaluate) == 0
    both = metrics(tmp_path)
    capsys.readouterr()
    train(tmp_path, "--config.seeds=3")
    message = capsys.readouterr().err
    assert "deep was evaluated on noise3 with other seeds" in message and "--evaluate=noise3" in message
    assert toy.main(evaluate) == 0
    three = metrics(tmp_path)
    assert of_seeds(three, 2) == close(both)
    assert {key[0] for key in three if key[2] == "noise3"} == {0, 1, 2}
    # Evaluated for fewer seeds, a model is evaluated for all again when there are more.
    assert toy.main([*CONFIG, f"--workdir={tmp_path}", "--config.seeds=1"]) == 0
    assert toy.main([f"--workdir={tmp_path}", "--evaluate=noise4"]) == 0
    assert {key[0] for key in metrics(tmp_path) if key[2] == "noise4"} == {0}
    train(tmp_path, "--config.seeds=3")
    assert toy.main([f"--workdir={tmp_path}", "--evaluate=noise4"]) == 0
    assert {key[0] for key in metrics(tmp_path) if key[2] == "noise4"} == {0, 1, 2}


def test_models_and_tests_may_be_added_and_those_left_out_are_kept(tmp_path, capsys):
    def lines(place, models, tests="test,noise"):
        words = [f"--workdir={tmp_path / place}", f"--models={models}", f"--tests={tests}"]
        assert toy.main([CONFIG[0], *words]) == 0
        return log.read(tmp_path / place / "metrics.jsonl")

    together = lines("together", "plain,deep")
    before = lines("apart", "deep", "test")
    assert {entry["model"] for entry in before} == {"deep"}
    after = lines("apart", "plain,deep")
    message = capsys.readouterr().err
    assert "config.models ['deep'], now ['plain', 'deep']" in message
    assert "config.tests ['test'], now ['test', 'noise']" in message
    assert after[: len(before)] == before, "finished work was done again"
    key = operator.itemgetter("model", "seed", "step", "split", "name")
    assert sorted(after, key=key) == sorted(together, key=key)
    assert lines("apart", "plain", "test") == after
    assert workdir.load(tmp_path / "apart")["models"] == ["plain"]
    assert toy.main([*CONFIG, f"--workdir={tmp_path / 'apart'}", "--config.models.deep.train.epochs=3"]) == 2
    assert "config.models.deep.train.epochs: None there, 3 here" in capsys.readouterr().err


def test_the_first_seed_may_not_change(tmp_path, capsys):
    config = engine.complete(toy_config.get_config("tiny"), toy.FAMILY)
    with workdir.claim(tmp_path, config, toy.FAMILY):
        pass
    assert toy.main([CONFIG[0], f"--workdir={tmp_path}", "--config.seed=1"]) == 2
    assert "config.seed: 0 there, 1 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", "expected 'auto', or SEEDxDATA such as '2x4'"),
        ("0x4", "expected 'auto'"),
        ("2x4x1", "expected 'auto'"),
        ("4x1", "4 does not divide the 2 seeds"),
        ("1x3", "3 does not divide the 8 examples of a batch"),
        ("2x8", "it takes 16 devices, and there are 4"),
    ],
)
def test_sizes_that_cannot_be_had(text, said):
    with pytest.raises(UsageError, match=said):
        devices.make_mesh(2, 8, jax.devices(), text)


def test_given_sizes_are_taken_and_seeds_come_first():
    assert devices.make_mesh(2, 8, jax.devices(), "1x2").devices.shape == (1, 2)
    grid = devices.make_mesh(2, 8, jax.devices(), "2x2").devices
    assert [device.id for device in grid[0]] == [device.id for device in jax.devices()[:2]]


def test_a_process_without_part_in_the_mesh_is_an_error():
    class Device:
        def __init__(self, process_index):
            self.process_index = process_index

    with pytest.raises(UsageError, match="processes 1 have no part in it"):
        devices.make_mesh(1, 3, [Device(0), Device(1)])


def test_steps_in_one_call_or_in_many_give_the_same_bits():
    """Of two seeds on two devices, two devices a seed; the numbers also are those of single steps."""
    task, plan = toy.make_task((4,), 0.05), seeds.make_plan(0, 2, 8, "vmap", jax.devices())
    data = toy.make_data(toy.trainer_config(num_examples=64))["train"]
    (seed,) = plan.split(plan.seeds)
    fixed = seed, steps.make_order(plan, 64)(seed, np.int32(0)), devices.replicate(plan.mesh, data)
    start = steps.make_initialize(task, plan)(seed)

    def run(update, counts, *more):
        state, done, losses = start, 0, []
        for count in counts:
            found = update(*state, *fixed, np.int32(done), np.int32(8 * done), *(each(count) for each in more))
            state, done = (found.params, found.opt_state), done + count
            losses.append(np.asarray(found.scalars["loss"]).reshape(2, -1)[:, :count])
            assert np.asarray(found.ok).reshape(2, -1)[:, :count].all()
        return *(np.asarray(leaf) for leaf in jax.tree.leaves(state)), np.concatenate(losses, axis=1)

    many = steps.make_steps(task, plan, 8, 7, 7)
    at_once, single = run(many, (7,), np.int32), run(steps.make_step(task, plan, 8, 7), (1,) * 7)
    assert all(np.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(at_once, single, strict=True))
    for counts in ((1,) * 7, (3, 4), (5, 1, 1)):
        assert all((a == b).all() for a, b in zip(at_once, run(many, counts, np.int32), strict=True)), counts
