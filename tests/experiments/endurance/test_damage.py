"""Checkpoints with flipped bits and cut files: the arrays that were written, an older checkpoint, or a clear error."""

import random
import shutil

import pytest

from experiments.engine.process.errors import CheckpointError
from tests.experiments.engine.run import test_checkpoint

pytestmark = pytest.mark.endurance

saved = test_checkpoint.saved
make_leaves, restore, same = test_checkpoint.make_leaves, test_checkpoint.restore, test_checkpoint.same


@pytest.fixture(autouse=True)
def the_same_damage_every_time():
    random.seed(0)


def files(directory):
    return [path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file()]


def hurt(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut" or not data:
        path.write_bytes(data[: random.randrange(len(data) or 1)])
        return
    for _ in range({"bit": 1, "bytes": 20}[how]):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def outcome(directory):
    """The step that is restored, with the arrays that were written, or "refused"."""
    try:
        step, leaves, _ = restore(directory)
    except CheckpointError:
        return "refused"
    assert same(leaves, make_leaves(step)), directory
    return step


@pytest.mark.parametrize("how", ["bit", "bytes", "cut"])
def test_no_damage_is_believed_even_before_the_digests_of_the_files_are_there(saved, tmp_path, how):
    """As after a kill between Orbax's commit and the manifest: every file of the newest checkpoint in turn."""
    outcomes = set()
    for number, name in enumerate(files(saved / "10")):
        directory = shutil.copytree(saved, tmp_path / str(number))
        (directory / "10/files.json").unlink()
        if (directory / "10" / name).exists():
            hurt(directory / "10" / name, how)
        outcomes.add(outcome(directory))
    assert 5 in outcomes, outcomes


def test_both_damaged_is_an_error(saved, tmp_path):
    for number, name in enumerate(random.sample([n for n in files(saved / "5") if n.name != "files.json"], 3)):
        directory = shutil.copytree(saved, tmp_path / str(number))
        for step in ("5", "10"):
            target = directory / step / name
            target = target if target.exists() and target.stat().st_size else directory / step / "files.json"
            hurt(target, "bit")
        with pytest.raises(CheckpointError, match=r"every checkpoint of .* is damaged"):
            restore(directory)
