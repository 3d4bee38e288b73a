"""Oscillatory neural networks in JAX. Public modules are imported when they are first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oscnets import (
        analysis,
        dynamics,
        grouping,
        interop,
        losses,
        metrics,
        models,
        ops,
        phase,
        plotting,
        stats,
        weights,
    )
    from oscnets.weights import pretrained

__all__ = [
    "analysis",
    "dynamics",
    "grouping",
    "interop",
    "losses",
    "metrics",
    "models",
    "ops",
    "phase",
    "plotting",
    "pretrained",
    "stats",
    "weights",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public module, or `pretrained`, at its first use."""
    if name == "pretrained":
        return importlib.import_module("oscnets.weights").pretrained
    if name in __all__:
        return importlib.import_module(f"oscnets.{name}")
    raise AttributeError(f"module 'oscnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
