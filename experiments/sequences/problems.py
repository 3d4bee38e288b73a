"""What is asked of a sequence: the class of a picture, a copy after a gap, the sum of two marked numbers.

A model without memory, which answers from the present input alone, has exactly known scores: those of the best constant
answer. Copying and adding are as in Arjovsky, Shah and Bengio (2016, section 5.1 and 5.2), in the layout of Keller et
al. (2024).
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

Batch = Mapping[str, Array]

SYMBOLS, COPIED = 8, 10  # that may be drawn, and that are to be copied
CLASSES = 2 + SYMBOLS  # of copying: 0 is a blank, the last one asks for the answer
SOLVED = 0.04  # largest error of a sum that counts as right


class Problem(NamedTuple):
    """What is asked.

    Attributes:
        inputs: values of a step.
        outputs: values of an answer.
        every_step: whether there is an answer at every step; else one at the end.
        draw: (key, length) -> one sequence; None: sequences are no draws.
        losses: (answers, batch) -> (B,), of which training takes the mean.
        scores: (answers, batch) -> (B,) by metric.
        constant: length -> scores of the best answer that does not depend on the inputs.
    """

    inputs: int
    outputs: int
    every_step: bool
    draw: Callable[[Array, int], dict[str, Array]] | None
    losses: Callable[[Array, Batch], Array]
    scores: Callable[[Array, Batch], dict[str, Array]]
    constant: Callable[[int], dict[str, float]]


def draw_copy(key: Array, length: int) -> dict[str, Array]:
    """Symbols to copy after a gap.

    Args:
        key: of the sequence.
        length: T, steps between the last symbol and the first answer.

    Returns:
        inputs (T + 20, 10), one-hot: ten symbols, T - 1 blanks, the sign that asks for the answer, ten blanks; labels
        (T + 20,): blanks, then the ten symbols.
    """
    symbols = jax.random.randint(key, (COPIED,), 1, SYMBOLS + 1)
    blanks = jnp.zeros(length + COPIED, symbols.dtype)
    inputs = jnp.concatenate([symbols, blanks.at[length - 1].set(CLASSES - 1)])
    return {"inputs": jax.nn.one_hot(inputs, CLASSES), "labels": jnp.concatenate([blanks, symbols])}


def draw_adding(key: Array, length: int) -> dict[str, Array]:
    """Numbers, two of which are to be added.

    Returns:
        inputs (length, 2): numbers in [0, 1), and marks, 1 at one place of either half and 0 elsewhere; target, their
        sum.
    """
    of_numbers, first, second = jax.random.split(key, 3)
    numbers, half = jax.random.uniform(of_numbers, (length,)), length // 2
    places = [jax.random.randint(first, (), 0, half), jax.random.randint(second, (), half, length)]
    marks = jnp.zeros(length).at[jnp.stack(places)].set(1)
    return {"inputs": jnp.stack([numbers, marks], -1), "target": numbers @ marks}


def entropies(logits: Array, batch: Batch) -> Array:
    """Cross-entropy (B,), the mean over steps where every step has an answer."""
    each = optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"])
    return each.reshape(len(each), -1).mean(1)


def class_scores(last: int, logits: Array, batch: Batch) -> dict[str, Array]:
    """Share of right answers in the last so many steps, or of the one answer, and the cross-entropy."""
    right = (logits.argmax(-1) == batch["labels"]).reshape(len(logits), -1)[:, -last:].mean(1)
    undefined = jnp.where(jnp.isnan(logits), logits, 0).reshape(len(logits), -1).sum(1)
    return {"accuracy": right + undefined, "loss": entropies(logits, batch)}


def squares(answers: Array, batch: Batch) -> Array:
    """Squared error (B,)."""
    return (answers.reshape(-1) - batch["target"]) ** 2


def sum_scores(answers: Array, batch: Batch) -> dict[str, Array]:
    """Whether the error is below `SOLVED`, and its square."""
    errors = squares(answers, batch)
    return {"solved": (errors < SOLVED**2) + jnp.where(jnp.isnan(errors), errors, 0), "loss": errors}


def _no_copy(length: int) -> dict[str, float]:
    return {"accuracy": 1 / SYMBOLS, "loss": COPIED * math.log(SYMBOLS) / (length + 2 * COPIED)}


# The sum is 1 on average, with twice the variance of a number; its density is a triangle of height 1 there.
_NO_SUM = {"solved": 2 * SOLVED - SOLVED**2, "loss": 1 / 6}
_GUESS = {"accuracy": 0.1, "loss": math.log(10)}

PICTURES = Problem(1, 10, False, None, entropies, partial(class_scores, 1), lambda length: _GUESS)
PROBLEMS = {
    "scans": PICTURES,
    "mnist": PICTURES,
    "fashion_mnist": PICTURES,
    "copy": Problem(CLASSES, CLASSES, True, draw_copy, entropies, partial(class_scores, COPIED), _no_copy),
    "adding": Problem(2, 1, False, draw_adding, squares, sum_scores, lambda length: _NO_SUM),
}


def problem_of(config: ConfigDict) -> Problem:
    """That of the set of a config."""
    return PROBLEMS[config.data.set]
