"""Runs that die in every way there is: whatever happens, the rerun ends with the numbers of an undisturbed run."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiments.engine.training import test_resume

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.endurance

fates = test_resume.fates
uninterrupted = test_resume.uninterrupted
outcome = test_resume.outcome

# A model's phases in the order in which a run comes to them, and the call of it to die in. One that is passed comes no
# more, so that every process dies.
PHASES = [
    ("_start", 1), ("_dispatch", 2), ("write", 3), ("save", 1), ("rename", 1), ("_file_digests", 1), ("_validate", 1),
    ("_sample", 1), ("__call__", 1), ("with_split", 1),
]  # fmt: skip


def deaths(seed):
    """Twenty-one: in every phase of both models' training and testing, at a random moment of it or at a torn write."""
    rng = random.Random(seed)
    for number, (point, n) in enumerate([("_claim", 1), *PHASES, *PHASES]):
        torn = point == "write" or rng.random() < 0.3
        # The first model validates, samples and tests while there is nothing of the second, whose calls count from 1.
        yield [point, n, "SIGKILL"] if torn else ["within", point, n, rng.uniform(0, 0.05)], number


def test_killed_twenty_times_it_ends_with_the_same_numbers(fates, uninterrupted, tmp_path):
    seed = random.randrange(10**6)  # other moments every time; printed where the test fails
    chosen = [fate for fate, _ in deaths(seed)]
    ended, errors = fates(tmp_path, [*chosen, ["none"]])
    assert [entry["status"] for entry in ended] == [-9] * len(chosen) + [0], (seed, ended, errors)
    assert len(chosen) >= 20 and len({entry["lines"] for entry in ended}) > 8, (seed, ended)
    assert outcome(tmp_path) == outcome(uninterrupted), seed
    assert "damaged" not in errors
    assert not [*tmp_path.glob("*tmp*"), *tmp_path.glob("checkpoints/*/*tmp*"), *tmp_path.glob("samples/*tmp*")]


@pytest.fixture(scope="module")
def broken_off(fates, tmp_path_factory):
    """A run that died in its second model's last epoch."""
    workdir = tmp_path_factory.mktemp("broken")
    ended, _ = fates(workdir, [["none"]], "--models=deep", "--config.checkpoint_every=2")
    assert ended[0]["status"] == 0
    (workdir / "checkpoints/deep/done.json").unlink()
    return workdir


def steps(folder):
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def damage(path, how, rng):
    data = bytearray(path.read_bytes())
    if how == "truncate":
        path.write_bytes(data[: rng.randrange(len(data))])
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["flip", "truncate"])
def test_a_run_with_damaged_checkpoints_ends_with_the_same_numbers(fates, uninterrupted, tmp_path, how):
    """A random file of the newest checkpoint of each model, while it is in training."""
    rng = random.Random()
    stops = [[["_validate", 2, "SIGKILL"]], [["_sample", 1, "SIGKILL"]], [["_validate", 2, "SIGKILL"]]]
    for fate in stops:
        assert fates(tmp_path, fate)[0][0]["status"] == -9
        model = "deep" if (tmp_path / "checkpoints/deep").exists() else "plain"
        newest = max(
            (p for p in (tmp_path / f"checkpoints/{model}").iterdir() if p.name.isdigit()), key=lambda p: int(p.name)
        )
        damage(rng.choice([p for p in newest.rglob("*") if p.is_file() and p.stat().st_size]), how, rng)
    ended, errors = fates(tmp_path, [["none"]])
    assert ended[0]["status"] == 0, errors
    assert "is damaged and is skipped" in errors
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_with_every_checkpoint_damaged_it_says_so_and_stops(fates, broken_off, tmp_path):
    workdir = shutil.copytree(broken_off, tmp_path / "copy")
    for path in (workdir / "checkpoints/deep").glob("*/files.json"):
        path.write_text("{}")
    ended, errors = fates(workdir, [["none"]], "--models=deep", "--config.checkpoint_every=2")
    assert ended[0]["status"] == 1
    assert "error: every checkpoint of" in errors and "run/command_line.py" not in errors


def test_a_full_disk_is_a_clear_error_and_the_rerun_continues(fates, uninterrupted, tmp_path):
    """Files that may not grow beyond so many bytes: config.json, then metrics.jsonl or a checkpoint fails."""
    limits = [300, 2500, 4000, 9000]
    ended, errors = fates(tmp_path, [*(["limit", limit] for limit in limits), ["none"]])
    statuses = [entry["status"] for entry in ended]
    assert statuses[-1] == 0 and set(statuses[:-1]) <= {1, 2}, (ended, errors)
    assert errors.count("error: cannot write") == len(limits), errors
    assert "run/command_line.py" not in errors  # a traceback of ours; Orbax prints its own
    assert outcome(tmp_path) == outcome(uninterrupted)


def test_a_second_run_in_the_workdir_is_refused_and_harms_nothing(fates, uninterrupted, tmp_path):
    ended, errors = fates(tmp_path, [["beside"]])
    assert [entry["status"] for entry in ended] == [2, 0], errors
    assert f"error: workdir {tmp_path}: another run is using it" in errors
    assert outcome(tmp_path) == outcome(uninterrupted)


# Where a run is stuck -> the newest checkpoints that it may leave, and how far it must have come for that. No regular
# one is due but that of the first epoch, 4.
MOMENTS = {
    "compilation": ({None}, "checkpoints/slow"),  # of the first step: there is no state yet that could be lost
    "step": ({1, 2}, "metrics.jsonl"),
    "validation": ({4, 5, 6, 7}, "checkpoints/slow/4/files.json"),
}


@pytest.fixture(scope="module")
def never_stuck(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("never"))


def slow(what, workdir):
    command = [sys.executable, "-m", "tests.experiments.endurance.slow", what, str(workdir)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE)


def finish(workdir):
    """The lines of a run that nothing holds up."""
    with slow("nothing", workdir) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return (workdir / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_ends_within_ten_seconds_and_the_rerun_ends_alike(tmp_path, moment, never_stuck):
    newest, come = MOMENTS[moment]
    process = slow(moment, tmp_path)
    try:
        await_that(lambda: (tmp_path / come).exists() and (tmp_path / come).stat().st_size, process)
        time.sleep(4)  # for what takes long to begin
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        seconds = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143, said
    assert f"stopped by signal 15; the same command with --workdir={tmp_path} continues" in said
    assert seconds < 10
    assert max(steps(tmp_path / "checkpoints/slow"), default=None) in newest
    assert finish(tmp_path) == never_stuck


def await_that(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
