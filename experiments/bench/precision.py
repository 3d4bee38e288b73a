"""Errors of the dynamics by the precision of their products, emulated where an accelerator computes them.

A CPU computes products of float32 in float32, whatever their precision. A TPU computes those of precision `default`
from operands rounded to bfloat16, and those of `high` in three passes of them; a GPU with TensorFloat-32 rounds the
operands of both to 10 bits of mantissa (the documentation of `jax.lax.Precision`). All sum up in float32. Here the
operands of every product of a program are rounded so, and all else is computed as a CPU does: Fourier transforms, sums
and functions in float32. `highest` is float32 itself; a TPU's six passes are not emulated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from experiments import engine
from experiments.bench.aot import dynamics

Product = Callable[[Any, Any], Any]
BATCH = 2  # examples: errors do not depend on their number


def _rounded(x: Any, bits: int) -> Any:
    """Of complex numbers both parts: devices multiply them as real numbers."""
    if jnp.iscomplexobj(x):
        return lax.complex(_rounded(x.real, bits), _rounded(x.imag, bits))
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)


def one_pass(bits: int, product: Product, a: Any, b: Any) -> Any:
    """The product of operands that are rounded to so many bits of mantissa: 7 for bfloat16, 10 for TensorFloat-32."""
    return product(_rounded(a, bits), _rounded(b, bits))


def three_passes(product: Product, a: Any, b: Any) -> Any:
    """Each operand as the sum of two numbers of bfloat16; the product of the two smaller ones is left out."""
    (a, a_rest), (b, b_rest) = ((high := _rounded(x, 7), _rounded(x - high, 7)) for x in (a, b))
    return product(a, b) + product(a, b_rest) + product(a_rest, b)


# What a device makes of each precision below `highest`.
DEVICES: dict[str, dict[lax.Precision, Callable[..., Any]]] = {
    "tpu": {lax.Precision.HIGH: three_passes, lax.Precision.DEFAULT: partial(one_pass, 7)},
    "gpu": {lax.Precision.HIGH: partial(one_pass, 10), lax.Precision.DEFAULT: partial(one_pass, 10)},
}
# Columns of the table: precision and device.
WAYS = {
    "highest": ("highest", "tpu"),
    "high, TPU": ("high", "tpu"),
    "high and default, GPU": ("default", "gpu"),
    "default, TPU": ("default", "tpu"),
}


def emulated(function: Callable[..., Any], precision: str, device: str) -> Callable[..., list[Any]]:
    """A function whose products have a precision, as a device computes them; it returns the leaves of the result.

    Args:
        function: of arrays.
        precision: "highest", "high" or "default".
        device: "tpu" or "gpu".

    Raises:
        NotImplementedError: on a call, products stand inside an operation that is not known here.
    """

    def run(*arrays: Any) -> list[Any]:
        with jax.default_matmul_precision(precision):
            closed = jax.make_jaxpr(function)(*arrays)
            return _evaluate(DEVICES[device], closed, *jax.tree.leaves(arrays))

    return run


_PRODUCTS = ("dot_general", "conv_general_dilated")
_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "checkpoint": "jaxpr", "remat2": "jaxpr", "closed_call": "call_jaxpr"}
_CALLS |= {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}


def _evaluate(rules: Mapping[Any, Any], closed: Any, *arrays: Any) -> list[Any]:
    """The results of a program, operation by operation, with the products by the rules."""
    if isinstance(closed, Jaxpr):
        closed = ClosedJaxpr(closed, ())
    jaxpr = closed.jaxpr
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *arrays), strict=True))
    read = lambda x: x.val if isinstance(x, Literal) else known[x]  # noqa: E731
    for each in jaxpr.eqns:
        known |= zip(each.outvars, _operation(rules, each, [read(x) for x in each.invars]), strict=True)
    return [read(x) for x in jaxpr.outvars]


def _operation(rules: Mapping[Any, Any], eqn: Any, args: list[Any]) -> Sequence[Any]:
    name, params, inside = eqn.primitive.name, eqn.params, partial(_evaluate, rules)
    if name in _PRODUCTS:
        return [_product(rules, eqn, *args)]
    if name in _CALLS:
        return inside(params[_CALLS[name]], *args)
    if name == "linear_map":  # of the library: a program that is written out where it is lowered
        return inside(jax.make_jaxpr(partial(eqn.primitive.impl, **params))(*args), *args)
    if name in _LOOPS:
        return _LOOPS[name](inside, args, **params)
    if any(map(_multiplies, _programs(params))):
        raise NotImplementedError(f"there are products inside the operation {name}")
    found = eqn.primitive.bind(*args, **params)
    return found if eqn.primitive.multiple_results else [found]


def _product(rules: Mapping[Any, Any], eqn: Any, *args: Any) -> Any:
    product, precision = partial(eqn.primitive.bind, **eqn.params), eqn.params["precision"]
    rule = rules.get(lax.Precision.DEFAULT if precision is None else precision[0])
    if rule is None or args[0].dtype not in (jnp.float32, jnp.complex64):
        return product(*args)
    return rule(product, *args)


def _scan(inside, args, *, jaxpr, num_consts, num_carry, length, reverse, **_):
    consts, carry, xs = args[:num_consts], args[num_consts : num_consts + num_carry], args[num_consts + num_carry :]

    def body(carry, x):
        out = inside(jaxpr, *consts, *carry, *x)
        return out[:num_carry], out[num_carry:]

    carry, stacked = lax.scan(body, carry, xs, length=length, reverse=reverse)
    return [*carry, *stacked]


def _while(inside, args, *, cond_jaxpr, cond_nconsts, body_jaxpr, body_nconsts):
    of_cond, rest = args[:cond_nconsts], args[cond_nconsts:]
    of_body, start = rest[:body_nconsts], rest[body_nconsts:]
    goes_on = lambda state: inside(cond_jaxpr, *of_cond, *state)[0]  # noqa: E731
    return lax.while_loop(goes_on, lambda state: inside(body_jaxpr, *of_body, *state), start)


def _cond(inside, args, *, branches, **_):
    index, *rest = args
    return lax.switch(index, [partial(inside, branch) for branch in branches], *rest)


_LOOPS = {"scan": _scan, "while": _while, "cond": _cond}


def _programs(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, ClosedJaxpr | Jaxpr):
                yield getattr(each, "jaxpr", each)


def _multiplies(jaxpr: Jaxpr) -> bool:
    """Whether there are products in a program."""
    names = {each.primitive.name for each in jaxpr.eqns}
    inner = (each for eqn in jaxpr.eqns for each in _programs(eqn.params))
    return not names.isdisjoint((*_PRODUCTS, "linear_map")) or any(map(_multiplies, inner))


def example(name: str, direction: str) -> tuple[Callable[..., Any], list[np.ndarray], list[np.ndarray]]:
    """A dynamics of `aot.dynamics`, arrays of float32 for it, and its results in float64 on the CPU."""
    function, shapes, _ = dynamics.program(name, direction)
    whole, rng = shapes[0].shape[0], np.random.default_rng(0)
    sizes = [(BATCH if x.shape[0] == whole else x.shape[0], *x.shape[1:]) for x in shapes]
    largest = dynamics.DYNAMICS[name]().largest or (1,) * len(sizes)
    arrays = [rng.uniform(0, high, size).astype(np.float32) for high, size in zip(largest, sizes, strict=True)]
    with float64(), jax.default_device(jax.devices("cpu")[0]):
        found = jax.jit(function)(*(x.astype(np.float64) for x in arrays))
        return function, arrays, [np.asarray(x) for x in jax.tree.leaves(found)]


def float64() -> Any:
    """A context in which JAX computes in float64."""
    enable = getattr(jax, "enable_x64", None)
    if enable is None:
        from jax.experimental import enable_x64 as enable
    return enable(True)


def largest_error(found: Any, expected: Sequence[np.ndarray]) -> float:
    """Of all leaves of a result, each over its largest number."""
    pairs = zip(map(np.asarray, jax.tree.leaves(found)), expected, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in pairs)


def measure(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one row for each dynamics and direction: the error of each of `WAYS` against float64."""
    for name in names:
        for direction in dynamics.DIRECTIONS:
            function, arrays, expected = example(name, direction)
            found = {way: jax.jit(emulated(function, *pair))(*arrays) for way, pair in WAYS.items()}
            errors = {way: largest_error(leaves, expected) for way, leaves in found.items()}
            yield {"dynamics": name, "direction": direction, **errors}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [[row["dynamics"], row["direction"], *(f"{row[way]:.1e}" for way in WAYS)] for row in rows]
    return engine.markdown.table(["dynamics", "direction", *WAYS], lines)
