"""Checkpoints: whole or skipped, never half believed."""

import random
import resource
import shutil

import numpy as np
import pytest

from experiments.engine.process.errors import CheckpointError
from experiments.engine.run import checkpoint
from experiments.engine.run.checkpoint import Store


def make_leaves(seed):
    rng = np.random.default_rng(seed)
    return {
        "params.layer.kernel": rng.normal(size=(3, 40, 4)).astype(np.float32),
        "opt_state.0.count": rng.integers(0, 9, 3).astype(np.int32),
        "flag": np.array([True, False, True]),
        "empty": np.zeros((3, 0), np.float32),
    }


def same(found, expected):
    return found.keys() == expected.keys() and all(
        found[name].dtype == leaf.dtype and found[name].tobytes() == leaf.tobytes() for name, leaf in expected.items()
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "model"
    store = Store(directory)
    for step in (5, 10):
        store.save(step, make_leaves(step), seconds=step / 2)
    store.close()
    return directory


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def restore(directory, like=None):
    store = Store(directory)
    try:
        return store.restore(like or make_leaves(0))
    finally:
        store.close()


def test_the_newest_comes_back_bit_for_bit(saved):
    step, leaves, seconds = restore(saved)
    assert (step, seconds) == (10, 5.0)
    assert same(leaves, make_leaves(10))


def test_no_checkpoint_is_none(tmp_path):
    assert restore(tmp_path / "new") is None


def test_a_few_are_kept_and_a_step_there_already_is_left(tmp_path):
    store = Store(tmp_path / "model")
    for step in (1, 2, 3, 4, 4):
        store.save(step, make_leaves(step))
    assert store.steps() == [4, 3, 2]
    store.close()


@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
def test_damage_to_any_file_is_found(copy, how, capsys):
    files = sorted(path.relative_to(copy) for path in (copy / "10").rglob("*") if path.is_file())
    hurt = [name for name in files if (copy / name).stat().st_size and name.name != "files.json"] + (
        [] if how == "remove" else ["10/files.json"]
    )
    assert len(hurt) > 5
    for number, name in enumerate(hurt):
        directory = shutil.copytree(copy, copy.parent / f"{how}{number}")
        victim = directory / name
        data = bytearray(victim.read_bytes())
        if how == "remove":
            victim.unlink()
        else:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            victim.write_bytes(data if how == "flip" else data[: len(data) // 2])
        step, leaves, _ = restore(directory)
        assert step == 5
        assert same(leaves, make_leaves(5))
        said = capsys.readouterr().err
        assert f"WARNING: checkpoint 10 of {directory} is damaged and is skipped" in said
        assert (directory / "damaged-10").exists()


def test_without_its_manifest_the_digest_of_the_arrays_decides(copy):
    """As after a kill between Orbax's commit and the manifest."""
    (copy / "10" / "files.json").unlink()
    assert restore(copy)[0] == 10
    shutil.rmtree(copy / "10" / "state")
    shutil.copytree(copy / "5" / "state", copy / "10" / "state")
    assert restore(copy)[0] == 5


def test_a_skipped_checkpoint_can_be_written_again(copy):
    (copy / "10" / "meta" / "metadata").unlink()
    store = Store(copy)
    assert store.restore(make_leaves(0))[0] == 5
    store.save(10, make_leaves(11))
    store.close()
    assert same(restore(copy)[1], make_leaves(11))


def test_only_damaged_ones_is_an_error_not_a_new_start(copy):
    for step in ("5", "10"):
        shutil.rmtree(copy / step / "state")
    with pytest.raises(CheckpointError, match=r"every checkpoint .* is damaged: damaged-10, damaged-5 there"):
        restore(copy)
    with pytest.raises(CheckpointError, match=r"every checkpoint .* is damaged"):
        restore(copy)


@pytest.mark.parametrize(
    ("name", "leaf", "said"),
    [
        ("params.layer.kernel", np.zeros((3, 40, 5), np.float32), r"is float32\[3, 40, 4\], not float32\[3, 40, 5\]"),
        ("params.layer.kernel", np.zeros((3, 40, 4), np.float16), r"is float32\[3, 40, 4\], not float16\[3, 40, 4\]"),
        ("params.more", np.zeros(3), r"params\.more is absent, not float64\[3\]"),
    ],
)
def test_other_shapes_and_dtypes_are_refused_and_nothing_is_moved(copy, name, leaf, said):
    with pytest.raises(CheckpointError, match=said):
        restore(copy, {**make_leaves(0), name: leaf})
    assert restore(copy)[0] == 10


def test_a_full_disk_is_a_clear_error_and_the_ones_before_stay(copy):
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    store = Store(copy)
    big = {**make_leaves(0), "noise": np.random.default_rng(0).normal(size=(3, 50_000))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot write checkpoint 15 .*checkpoint 10 is intact; make room"):
            store.save(15, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in copy.iterdir()) == ["10", "5"]
    store.save(15, make_leaves(15))
    store.close()
    assert restore(copy)[0] == 15


def test_what_a_failed_save_writes_late_is_removed_too(copy, monkeypatch):
    """As storage's own threads may: what is removed is there again."""
    store, late = Store(copy), copy / "15.orbax-checkpoint-tmp/state"
    rmtree, writes = shutil.rmtree, iter(range(3))

    def write(*_, **__):
        late.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    def remove(path, **options):
        rmtree(path, **options)
        if next(writes, None) is not None:
            late.mkdir(parents=True)

    store._manager.save = write
    monkeypatch.setattr(checkpoint.shutil, "rmtree", remove)
    with pytest.raises(CheckpointError, match=r"cannot write checkpoint 15 .*No space left"):
        store.save(15, make_leaves(15))
    assert sorted(path.name for path in copy.iterdir()) == ["10", "5"]


def test_an_unwritable_place_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot use .* for checkpoints"):
        Store(tmp_path / "file" / "model")


def test_flatten_names_and_unflatten_restores():
    tree = {"a": [np.arange(2), (np.ones(1),)], "b": {"c": np.zeros(3)}}
    leaves = checkpoint.flatten(tree)
    assert list(leaves) == ["a.0", "a.1.0", "b.c"]
    again = checkpoint.unflatten(leaves, tree)
    assert isinstance(again["a"][1], tuple)
    assert again["b"]["c"].shape == (3,)


def test_the_digest_sees_dtype_shape_name_and_every_byte():
    one = {"x": np.zeros(4, np.float32)}
    others = [
        {"x": np.zeros(4, np.int32)},
        {"x": np.zeros((2, 2), np.float32)},
        {"y": np.zeros(4, np.float32)},
        {"x": np.array([0, 0, 0, -0.0], np.float32)},
    ]
    assert len({checkpoint.digest(leaves) for leaves in [one, *others]}) == 5
    assert checkpoint.digest(one) == checkpoint.digest({"x": np.zeros(4, np.float32)})
