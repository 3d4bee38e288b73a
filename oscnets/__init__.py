"""Oscillatory neural networks in JAX."""

from oscnets.weights import pretrained

__all__ = ["pretrained"]

__version__ = "0.1.0"
