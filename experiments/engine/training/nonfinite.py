"""The tensors of a training step that are not finite."""

from typing import Any

import jax
import numpy as np


def find(tree: Any, name: str) -> list[str]:
    """Names of the tensors of a pytree, below `name`, that hold a NaN or an infinity, in the tree's order."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [
        ".".join(filter(None, (name, jax.tree_util.keystr(path, simple=True, separator="."))))
        for path, leaf in paths
        if not np.all(np.isfinite(leaf))
    ]


def describe(tensors: dict[str, Any]) -> str:
    """The first tensor that is not finite, and some others, of pytrees in the order of the computation."""
    names = [each for name, tree in tensors.items() for each in find(tree, name)]
    if not names:
        return "none of them when the step was repeated"
    more = ", ".join(names[1:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"{names[0]} (then {more})" if more else names[0]


def describe_update(batch: Any, params: Any, update: Any, index: int) -> str:
    """`describe` of a training step that failed.

    Args:
        batch: of the seed.
        params: before the step, (S, ...) each.
        update: the step's result, a `steps.Update` with gradients, as numpy arrays with a leading seed axis.
        index: of the seed.
    """

    def of_seed(tree):
        return jax.tree.map(lambda leaf: leaf[index], tree)

    loss = update.scalars["loss"][index]
    scalars = {name: value for name, value in update.scalars.items() if name != "loss"}
    return describe({
        "batch": batch,
        "params": of_seed(params),
        "loss": loss,
        # With a finite loss, one that is not finite is merely undefined.
        "scalars": {} if np.isfinite(loss) else of_seed(scalars),
        "gradients": of_seed(update.gradients),
        "new params": of_seed(update.params),
    })  # fmt: skip
