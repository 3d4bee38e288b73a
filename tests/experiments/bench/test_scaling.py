"""Seeds at once, and throughput over sizes: the smallest cases, and the tables."""

import json

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import scaling, seeds


def test_seeds_of_a_small_model(tmp_path, capsys):
    words = ["seeds", "--model=real", "--counts", "2", "--ways", "loop", "sharded", "--batch_size=2", "--size=16"]
    bench.main([*words, "--rounds=1", f"--workdir={tmp_path}"])
    rows = json.loads((tmp_path / "seeds.json").read_text())["rows"]
    assert [(row["seeds"], row["way"], row["mesh"]) for row in rows] == [
        (2, "loop", "1x1"),
        (2, "sharded", "2x2"),
    ]
    for row in rows:
        assert row["seeds_per_second"] == pytest.approx(row["seeds"] / row["seconds"])
        assert row["peak_rss_mb"] > 50 and row["compile_seconds"] > 0 and row["state_mb_per_seed"] > 0.1
    assert "| seeds | loop: seeds/s | loop: peak MiB | loop: MiB per further seed |" in capsys.readouterr().out


def test_throughput_of_a_small_model(tmp_path, capsys):
    words = ["scaling", "--models", "wave_machine", "--sizes", "--num_steps", "2", "--batch_size=2", "--rounds=1"]
    bench.main([*words, f"--workdir={tmp_path}"])
    rows = json.loads((tmp_path / "scaling.json").read_text())["rows"]
    assert [(row["over"], row["size"], row["num_steps"]) for row in rows] == [("num_steps", 56, 2)]
    assert all(row["images_per_second"] == pytest.approx(2 / row["seconds"]) for row in rows)
    assert "| wave_machine | 56 | 2 |" in capsys.readouterr().out


def test_a_case_that_dies_has_no_figures(monkeypatch):
    monkeypatch.setattr(scaling, "SIDE", "tests.experiments.bench.toy:dying")
    rows = list(scaling.measure(["komplexnet"], [40], [5], batch_size=2, rounds=1))
    assert [(row["over"], row["size"], row["num_steps"]) for row in rows] == [("size", 40, 15), ("num_steps", 32, 5)]
    assert [row["images_per_second"] for row in rows] == [None, None]
    assert "| komplexnet | 40 | 15 | - | - | - |" in scaling.table(rows)


@pytest.mark.parametrize("size", [16, 32, 50, 64])
def test_scenes_of_any_size(size):
    found = scaling.arrays(3, size)
    assert found["images"].shape == (3, size, size, 1) and found["masks"].shape == (3, size, size, 2)
    assert found["images"].dtype == np.float32 and found["targets"].sum() == 6
    assert ((found["images"][..., 0] > 0) == found["masks"].any(-1)).all()


def test_memory_a_seed_is_what_more_seeds_take():
    row = {"way": "vmap", "seeds_per_second": 2.0}
    rows = [{**row, "seeds": 1, "peak_rss_mb": 100.0}, {**row, "seeds": 5, "peak_rss_mb": 140.0}]
    assert seeds.table(rows).splitlines()[2:] == ["| 1 | 2 | 100 |  |", "| 5 | 2 | 140 | 10 |"]
