"""The precision of products: one setting, JAX's own, for every product of the library, whenever a program is traced."""

import ast
import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from oscnets._inputs import precision
from oscnets._products.linear import bilinear
from oscnets.dynamics import kuramoto, waves

ROOT = Path(__file__).parents[2] / "oscnets"
# Calls, by their last name, that multiply in the precision they are given.
PRODUCTS = {"matmul", "dot", "vdot", "inner", "tensordot", "einsum", "dot_general", "batch_matmul", "resize"}
PRODUCTS |= {"conv", "conv_general_dilated", "conv_with_general_padding", "conv_transpose"}
PRODUCTS |= {"Dense", "DenseGeneral", "Einsum", "Conv", "ConvTranspose", "MultiHeadDotProductAttention"}
OF_JAX = {"jnp", "lax", "nn", "jax.lax", "jax.image"}


def products(source: str) -> list[tuple[str, bool]]:
    """Every call of a product in a source, and whether it takes the precision that is set."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    found = [(ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}) for node in calls]
    names = [(name.rpartition("."), given) for name, given in found]
    named = [(f"{at}.{name}", given) for (at, _, name), given in names if at in OF_JAX and name in PRODUCTS]
    return [(name, given.get("precision") == "precision()") for name, given in named]


def test_every_product_of_the_library_takes_the_precision_that_is_set():
    found = {path.relative_to(ROOT): products(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
    assert {path: calls for path, calls in found.items() if not all(given for _, given in calls)} == {}
    assert sum(map(len, found.values())) > 50


@pytest.mark.parametrize("call", ["jnp.matmul(a, b)", "lax.dot_general(a, b, c, precision='high')", "nn.Dense(3)(a)"])
def test_a_product_without_it_is_found(call):
    assert [given for _, given in products(f"x = {call}")] == [False]


def precisions(text: str) -> set[str]:
    """Those of the products of a lowered program."""
    lines = re.findall(r"stablehlo\.(?:dot_general|convolution).*", text)
    assert lines
    return {name for line in lines for name in re.findall(r"\b(HIGHEST|HIGH|DEFAULT)\b", line) or ["DEFAULT"]}


def phases_of(phases, kernel):
    return kuramoto.conv_step(phases, jnp.ones((5, 4, 2)), kernel, rate=0.1, epsilon=0.2, method="transform").sum()


def waves_of(position, kernel):
    run = waves.oscillator_trajectory(position, position, kernel, 1.0, 0.1, dt=0.1, num_steps=2)
    return jnp.square(run.positions).sum()


SHAPES = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((5, 4, 2), (3, 3, 2, 2)))


@pytest.mark.parametrize("function", [phases_of, waves_of])
def test_a_change_of_the_setting_is_a_new_program(function):
    """Of gradients, whose transposes are traced again: where they are taken, and where the program is lowered."""
    gradient = jax.jit(jax.grad(function, (0, 1)))
    for name in ("high", None, "default", "high"):
        with jax.default_matmul_precision(name):
            traced = gradient.trace(*SHAPES)
        assert precisions(traced.lower().as_text()) == {(name or "highest").upper()}


def test_gradients_have_the_precision_of_their_function():
    """Also those that are taken where another one is set, under a vmap and of second order."""
    product = partial(bilinear(lambda _, a, b: jnp.matmul(a, b, precision=precision()), transpose), None)
    with jax.default_matmul_precision("high"):
        pull = jax.vjp(lambda a: jax.vmap(product)(a, a), jnp.ones((2, 3, 3)))[1]
    assert precisions(jax.jit(pull).lower(jnp.ones((2, 3, 3))).as_text()) == {"HIGH"}
    twice = jax.jacfwd(jax.grad(lambda a: product(a, a).sum()))
    assert precisions(jax.jit(twice).lower(jnp.ones((3, 3))).as_text()) == {"HIGHEST"}


def transpose(_, factors, ct_out):
    a, b = factors
    multiply = partial(jnp.matmul, precision=precision())
    return multiply(ct_out, b.T), multiply(a.T, ct_out)


def test_a_config_names_it_too():
    before = jax.config.jax_default_matmul_precision
    assert precision() == "highest"
    jax.config.update("jax_default_matmul_precision", "tensorfloat32")
    try:
        assert precision() == "tensorfloat32"
        traced = jax.jit(lambda x: lax.dot_general(x, x, (((0,), (0,)), ((), ())), precision=precision()))
        assert precisions(traced.lower(jnp.ones(3)).as_text()) == {"HIGH"}
    finally:
        jax.config.update("jax_default_matmul_precision", before)
