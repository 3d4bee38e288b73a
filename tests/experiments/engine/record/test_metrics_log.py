"""metrics.jsonl and its companions."""

import io
import json
import resource
import sys
import types

import numpy as np
import pytest

from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.record import metrics_log as log


def lines(count, model="m"):
    return [log.line(model, 0, step, "train", "loss", step / 3) for step in range(1, count + 1)]


def test_lines_come_back_exactly(tmp_path):
    written = [*lines(3), log.line("m", 0, 4, "test", "accuracy", np.array([0.25, np.nan, 0.5], np.float32))]
    metrics = log.MetricsLog(tmp_path / "metrics.jsonl")
    metrics.write(written)
    metrics.close()
    assert log.read(tmp_path / "metrics.jsonl") == written
    assert '"value": [0.25, null, 0.5]}' in (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float32(0.5), 0.5),
        (3, 3.0),
        ([1, 2], [1.0, 2.0]),
        ([np.nan, 2], [None, 2.0]),
        (np.nan, None),
        ([np.nan, np.nan], None),
    ],
)
def test_the_value_of_a_line(value, kept):
    line = log.line("m", np.int32(0), np.int32(4), "test", "accuracy", value)
    assert line is None if kept is None else line["value"] == kept and type(line["value"]) is type(kept)


def test_no_file_is_no_lines(tmp_path):
    assert log.read(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize("cut", [1, 10, 50])
def test_what_a_kill_left_of_the_last_line_is_removed(tmp_path, cut):
    path = tmp_path / "metrics.jsonl"
    whole = "".join(json.dumps(entry) + "\n" for entry in lines(3))
    path.write_text(whole[:-cut])
    assert log.read(path) == lines(2)
    metrics = log.MetricsLog(path)
    metrics.write(lines(3)[2:])
    metrics.close()
    assert path.read_text() == whole


def test_keep_drops_lines_in_one_replacement(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = log.MetricsLog(path)
    metrics.write(lines(4, "a") + lines(4, "b"))
    metrics.keep(lambda entry: entry["model"] == "a" or entry["step"] <= 2)
    metrics.write(lines(1, "c"))
    metrics.close()
    assert log.read(path) == lines(4, "a") + lines(2, "b") + lines(1, "c")
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_replacement_that_fails_leaves_the_log_as_it_was_and_open(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    metrics = log.MetricsLog(path)
    metrics.write(lines(2, "a"))

    def full(*_):
        assert metrics._file.closed  # Windows replaces no file that is open
        raise RunError("full")

    monkeypatch.setattr(log, "write_atomically", full)
    with pytest.raises(RunError, match="full"):
        metrics.keep(lambda entry: False)
    metrics.write(lines(1, "b"))
    metrics.close()
    assert log.read(path) == lines(2, "a") + lines(1, "b")


def test_a_compressed_log_reads_as_the_log(tmp_path):
    path, kept = tmp_path / "metrics.jsonl", tmp_path / "kept"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in lines(3)))
    kept.mkdir()
    log.compress(path, kept)
    packed = log.compressed(kept / path.name)
    content = packed.read_bytes()
    assert log.read(kept / path.name) == log.read(path) == lines(3)
    log.compress(path, kept)
    assert packed.read_bytes() == content
    for damaged in (content[:-9], b"no gzip", content[:12] + b"\xff" + content[13:]):
        packed.write_bytes(damaged)
        with pytest.raises(RunError, match=r"metrics\.jsonl\.gz is damaged"):
            log.read(kept / path.name)


@pytest.mark.parametrize("value", ['"high"', "[]", '[1, "a"]', "{}", "[[1]]"])
def test_a_value_of_another_kind_is_a_damaged_line(tmp_path, value):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(lines(1)[0]).replace(str(1 / 3), value) + "\n")
    with pytest.raises(RunError, match="line 1 is damaged"):
        log.read(path)


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(lines(1)[0]) + "\n{half\n" + json.dumps(lines(1)[0]) + "\n")
    with pytest.raises(RunError, match=r"line 2 is damaged: '\{half'"):
        log.read(path)


def test_a_full_disk_is_a_clear_error_and_the_next_run_mends_the_file(tmp_path):
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    path = tmp_path / "metrics.jsonl"
    metrics = log.MetricsLog(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250, hard))
    try:
        with pytest.raises(RunError, match=r"cannot write .*metrics\.jsonl: .*; the same command continues"):
            metrics.write(lines(9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    metrics.close()
    log.MetricsLog(path).close()
    assert path.read_text().endswith("}\n")
    assert log.read(path) == lines(len(log.read(path)))


def test_tensorboard_without_its_package_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UsageError, match="needs the package tensorboardX"):
        log.MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "events")


def test_tensorboard_gets_the_last_value_of_each_line(tmp_path, monkeypatch):
    seen = []

    class Writer:
        def __init__(self, directory):
            seen.append(directory)

        def add_scalar(self, tag, value, step):
            seen.append((tag, value, step))

        def close(self):
            seen.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=Writer))
    metrics = log.MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "events")
    timed = [log.line("m", 3, 7, "test", name, value) for name, value in (("a", [0.5, 0.75]), ("b", [0.5, np.nan]))]
    metrics.write([log.line("m", 3, 7, "train", "loss", 0.5), *timed])
    metrics.close()
    expected = [("m/train/loss/seed3", 0.5, 7), ("m/test/a/seed3", 0.75, 7)]
    assert seen == [str(tmp_path / "events"), *expected, "closed"]


def test_the_bar_counts_what_was_done_before_as_done_but_not_as_speed():
    with log.progress_bar(100, io.StringIO()) as bar:
        log.skip(bar, 60)
        bar.update(10)
        assert (bar.n, bar.initial) == (70, 60)
