"""Notebooks: paired with their scripts, without outputs. That they run is for `pytest --nbmake` (`.ci/run`)."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "colabs").glob("*.py"))
NAMES = [path.stem for path in SCRIPTS]


def test_there_are_seven():
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06", "07"]
    assert sorted(path.stem for path in (ROOT / "colabs").glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pairs_agree(name):
    """Cell by cell; `jupytext --sync colabs/*.py` mends what differs."""
    jupytext = pytest.importorskip("jupytext", reason="pairs are compared by jupytext")
    script, notebook = (jupytext.read(ROOT / "colabs" / f"{name}{suffix}") for suffix in (".py", ".ipynb"))
    cells = [[(cell.cell_type, cell.source) for cell in pair.cells] for pair in (script, notebook)]
    assert cells[0] == cells[1]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stripped(name):
    cells = json.loads((ROOT / "colabs" / f"{name}.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_jax_is_left_as_it_is(script):
    """What installs on a hosted runtime pins the JAX that is there."""
    text = script.read_text()
    assert 'f"jax=={jax.__version__}"' in text
    assert not any(word in text for word in ("--upgrade", "-U ", "jax[", "--force-reinstall"))
