"""The main programs of notebooks are caught where they are called, and nothing is trained on the way there."""

import re

import jax
import jax.numpy as jnp
import pytest

from experiments.bench.aot import notebooks, programs

NOTEBOOK = """
import jax
import jax.numpy as jnp
from functools import partial

@partial(jax.jit, static_argnames="n")
def helper(x, n):
    return n * x

@jax.jit
def update(x, y):
    return x + 1, (x * y).sum()

x = helper(jnp.ones(3), n=2)
for _ in range(5):
    x, value = update(x, jnp.arange(3.0))
assert value == 0  # never computed

def solve(x):
    return x.sum()

print(jax.jit(solve)(x[:2]))
"""


def test_programs_are_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    monkeypatch.setattr(notebooks, "FUNCTIONS", {"toy": ("update", "solve"), "absent": ("update",)})
    (tmp_path / "toy.py").write_text(NOTEBOOK)
    assert notebooks.names() == ["toy/update", "toy/solve"]
    jit = jax.jit
    ((program, count),) = programs.builds("notebooks/toy/update", jax.devices())
    assert count == 1 and [x.shape for x in program.arguments] == [(3,), (3,)]
    assert program.function.lower(*program.arguments).compile()(jnp.ones(3), jnp.ones(3))[1] == 3
    ((program, _),) = programs.builds("notebooks/toy/solve", jax.devices())
    assert [x.shape for x in program.arguments] == [(2,)]
    assert jax.jit is jit
    monkeypatch.setattr(notebooks, "FUNCTIONS", {"toy": ("renamed", "update", "solve")})
    with pytest.raises(LookupError, match=r"toy\.py calls no renamed"):
        notebooks.program("toy", "renamed")


@pytest.mark.parametrize("name", notebooks.FUNCTIONS)
def test_every_notebook_has_its_functions(name):
    text = (notebooks.FOLDER / f"{name}.py").read_text()
    assert all(len(re.findall(rf"\bdef {each}\(", text)) == 1 for each in notebooks.FUNCTIONS[name])
    assert sorted(path.stem for path in notebooks.FOLDER.glob("*.ipynb")) == sorted(notebooks.FUNCTIONS)
