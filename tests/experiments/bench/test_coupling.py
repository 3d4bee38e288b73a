"""The table of the coupling's methods: what is measured, what is left out, how it reads."""

import json
import time

from experiments.bench import __main__ as bench
from experiments.bench import coupling


def test_every_method_is_measured(tmp_path, capsys):
    sizes = ["--sizes", "4", "8", "--kernel_sizes", "5", "--batch_sizes", "2"]
    assert bench.main(["coupling", *sizes, "--rounds=1", f"--workdir={tmp_path / 'new'}"]) == 0
    report = json.loads((tmp_path / "new" / "coupling.json").read_text())
    (row,) = report["rows"]  # a kernel of 5 is too large for an image of 4
    assert (row["size"], row["kernel_size"], row["batch_size"]) == (8, 5, 2)
    assert all(row[method] > 0 for method in ("direct", "fft", "transform"))
    assert set(report) >= {"jax", "device", "threads"}
    text = (tmp_path / "new" / "coupling.md").read_text()
    assert text == capsys.readouterr().out
    assert len(text.splitlines()) == 3


def test_a_method_too_slow_is_not_tried_on_larger_cases(monkeypatch):
    tried = []

    def build(method, size, kernel_size, batch_size, num_steps):
        tried.append((method, size, kernel_size, batch_size))
        slow = method == "direct" and (kernel_size, batch_size) == (5, 1)
        return lambda: time.sleep(0.02 if slow else 0.0)

    monkeypatch.setattr(coupling, "build", build)
    rows = list(coupling.measure([8, 16], [3, 5], [1, 2], rounds=2, limit=0.01))
    assert [row["direct"] is None for row in rows] == [False, False, False, True, False, False, True, True]
    assert [case for method, *case in tried if method == "direct"] == [
        [8, 3, 1],
        [8, 3, 2],
        [8, 5, 1],
        [16, 3, 1],
        [16, 3, 2],
    ]
    assert rows[2]["direct"] >= 1e3 * 0.02 / 3
    assert all(row["transform"] is not None for row in rows)


def test_the_table_marks_the_fastest():
    case = {"size": 32, "kernel_size": 13, "batch_size": 8, "auto": "transform"}
    text = coupling.table([case | {"direct": None, "fft": 12.345, "transform": 250.4}])
    assert text.splitlines() == [
        "| image | kernel | batch | direct | fft | transform | auto |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| 32 | 13 | 8 | - | **12.3** | 250 | transform |",
    ]


def test_kernels_larger_than_every_image(capsys):
    assert bench.main(["coupling", "--sizes", "4", "--kernel_sizes", "5"]) == 2
    assert "larger than every image" in capsys.readouterr().err
