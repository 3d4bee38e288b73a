"""What is kept of a run."""

import json

import pytest

from experiments import engine, publish


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    line = {"model": "m", "seed": 0, "step": 1, "split": "train", "name": "loss", "value": 0.5}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    for name in ("config.json", "summary.json", "other.json"):
        (folder / name).write_text("{}")
    (folder / "figures" / "a.png").write_bytes(b"a")
    return folder


def test_what_is_kept_reads_as_the_run(run, tmp_path):
    kept = tmp_path / "results" / "kept"
    assert publish.main([str(run), str(kept), "--figures=a.png"]) == 0
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert names == {"config.json", "summary.json", "figures/a.png", "metrics.jsonl.gz"}
    assert engine.load_metrics(kept) == engine.load_metrics(run)


def test_a_run_that_cannot_be_kept(run, tmp_path, capsys):
    assert publish.main([str(run), str(tmp_path / "kept"), "--figures=a.png,b.png"]) == 2
    assert "no figures b.png" in capsys.readouterr().err
    (run / "summary.json").unlink()
    assert publish.main([str(run), str(tmp_path / "kept")]) == 2
    assert "no summary.json" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
