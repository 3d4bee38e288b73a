"""The table of memory and time of gradients through waves: what is measured, how it reads."""

import json

from experiments.bench import __main__ as bench
from experiments.bench import memory


def test_a_case_is_measured_in_a_process_of_its_own(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, "WAYS", (("reverse", True),))
    bench.main(["memory", "--num_steps", "3", "--size=6", "--batch_size=2", "--rounds=1", f"--workdir={tmp_path}"])
    (row,) = json.loads((tmp_path / "memory.json").read_text())["rows"]
    assert (row["num_steps"], row["size"], row["batch_size"]) == (3, 6, 2)
    assert row["inverted"]
    assert row["seconds"] > 0
    assert 0 < row["temporary_mb"] < row["peak_rss_mb"]
    assert (tmp_path / "memory.md").read_text() == capsys.readouterr().out


def test_the_table_has_a_column_a_length():
    rows = [
        {"memory": way, "stream": stream, "num_steps": length, "seconds": length / 100, "inverted": way == "reverse"}
        | {"temporary_mb": 1234.4, "peak_rss_mb": 2000.0}
        for way, stream in memory.WAYS
        for length in (100, 2000)
    ]
    rows[-1]["inverted"] = False
    lines = memory.table(rows).splitlines()
    assert lines[0] == "| gradients | readout | T = 100 | T = 2,000 |"
    assert lines[2].startswith("| store | of all states | 1,234 MiB, peak 2,000, 1.00 s | 1,234 MiB")
    assert lines[-1].endswith("| 1,234 MiB, peak 2,000, 20.00 s, not inverted |")
    assert len(lines) == 2 + 6


def test_a_case_that_fails(monkeypatch, capsys):
    monkeypatch.setattr(memory, "WAYS", (("none", True),))
    assert bench.main(["memory", "--num_steps", "3", "--size=6", "--batch_size=1", "--rounds=1"]) == 1
    assert "ended with status 1" in capsys.readouterr().err
