"""The table of the coupling's methods: what is measured, what is left out, how it reads."""

import json
from pathlib import Path

import jax
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import coupling
from oscnets import dynamics

COMPILED = Path(bench.__file__).parents[1] / "results" / "bench" / "coupling_compiled.json"


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

    def tune(image, kernel, *, batch_size, methods, rounds, num_steps):
        tried.extend((method, image[0], kernel[0], batch_size // 2) for method in methods)
        slow = (kernel[0], batch_size) == (5, 2)
        return {method: 0.02 / num_steps if slow and method == "direct" else 0.001 for method in methods}

    monkeypatch.setattr(coupling.coupling, "tune", tune)
    rows = list(coupling.measure([8, 16], [3, 5], [1, 2], rounds=2, limit=0.01))
    assert [row["direct"] is None for row in rows] == [False, False, False, True, False, False, True, True]
    assert [case for method, *case in tried if method == "direct"] == [
        [8, 3, 1],
        [8, 3, 2],
        [8, 5, 1],
        [16, 3, 1],
        [16, 3, 2],
    ]
    assert rows[2]["direct"] == 1e3 * 0.02 / 3
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


def test_the_table_of_what_was_compiled(tmp_path, capsys):
    entry = {"num_steps": 15, "kernels": 60, "least_seconds": {"launches": None, "memory": 3e-3, "arithmetic": 1e-3}}
    names = [f"dynamics/coupling_{method}_32_13/gradient/v5e" for method in ("direct", "fft", "transform")]
    slower = entry | {"least_seconds": {"launches": 6e-3, "memory": 3e-3, "arithmetic": 1e-3}}
    entries = dict(zip(names, (entry, slower, {"error": "took more than 3 s"}), strict=True))
    path = tmp_path / "compiled.json"
    path.write_text(json.dumps(entries | {"dynamics/wave_step/forward/v5e": entry}))
    assert bench.main(["coupling", f"--compiled={path}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| image | kernel | device | direct | fft | transform |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 32 | 13 | v5e | **0.2** (memory; 4 kernels) | 0.4 (launches; 4 kernels) | - |",
    ]
    path.write_text("{}")
    assert bench.main(["coupling", f"--compiled={path}"]) == 2


@pytest.mark.parametrize(("device", "platform"), [("h100", "gpu"), ("v5e-O1", "tpu")])
def test_auto_is_about_the_best_of_what_was_compiled(device, platform, monkeypatch):
    """In every case its least time is within half of the least of all methods."""
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    cases = coupling.compiled_cases(json.loads(COMPILED.read_text()))
    of_device = {case: times for case, times in cases.items() if case[2] == device}
    assert len(of_device) > 2
    for (size, kernel_size, _), by_method in of_device.items():
        chosen = dynamics.coupling.choose_method((size, size), (kernel_size, kernel_size, 8, 8))
        assert by_method[chosen][0] <= 1.5 * min(by_method.values())[0], (size, kernel_size)
