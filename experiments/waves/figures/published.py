"""Scores of the foreground in the paper's tables 1 and 2: mean and standard deviation over seeds."""

from collections.abc import Mapping
from typing import Any

Scores = tuple[tuple[float, float], ...]  # (mean, standard deviation) of accuracy, IoU and loss

# A network and its readout, depth or width -> accuracy, IoU, loss.
_MNIST = {
    ("cnn", 2): ((0.14, 0.06), (0.10, 0.04), (2.44, 0.67)),
    ("cnn", 4): ((0.19, 0.11), (0.13, 0.07), (2.49, 0.99)),
    ("cnn", 8): ((0.42, 0.15), (0.30, 0.11), (1.76, 0.90)),
    ("cnn", 16): ((0.57, 0.39), (0.50, 0.35), (1.73, 1.80)),
    ("cnn", 32): ((0.27, 0.43), (0.25, 0.41), (3.12, 1.91)),
    ("lstm", "max"): ((0.42, 0.05), (0.31, 0.04), (1.57, 0.13)),
    ("lstm", "mean"): ((0.42, 0.09), (0.31, 0.07), (1.57, 0.22)),
    ("lstm", "last"): ((0.32, 0.23), (0.24, 0.18), (2.34, 1.38)),
    ("lstm", "fft"): ((0.73, 0.27), (0.66, 0.25), (0.93, 1.23)),
    ("lstm", "linear"): ((0.79, 0.28), (0.73, 0.26), (0.78, 1.25)),
    ("nwm", "max"): ((0.48, 0.07), (0.37, 0.07), (1.39, 0.17)),
    ("nwm", "mean"): ((0.46, 0.08), (0.35, 0.07), (1.47, 0.21)),
    ("nwm", "last"): ((0.50, 0.08), (0.39, 0.07), (1.34, 0.19)),
    ("nwm", "fft"): ((0.76, 0.05), (0.65, 0.07), (0.72, 0.15)),
    ("nwm", "linear"): ((0.90, 0.02), (0.85, 0.04), (0.30, 0.07)),
}
_TETROMINOES = {
    ("cnn", 2): ((0.24, 0.08), (0.14, 0.05), (1.74, 0.62)),
    ("cnn", 4): ((0.31, 0.16), (0.20, 0.11), (1.76, 0.94)),
    ("cnn", 8): ((0.74, 0.26), (0.64, 0.22), (0.70, 1.00)),
    ("cnn", 16): ((0.40, 0.51), (0.40, 0.51), (2.14, 1.83)),
    ("cnn", 32): ((0.33, 0.47), (0.32, 0.47), (2.26, 1.67)),
    ("lstm", "max"): ((0.62, 0.30), (0.52, 0.31), (0.99, 0.95)),
    ("lstm", "mean"): ((0.64, 0.25), (0.53, 0.23), (0.95, 0.96)),
    ("lstm", "last"): ((0.59, 0.41), (0.52, 0.38), (1.37, 1.51)),
    ("lstm", "fft"): ((0.95, 0.04), (0.91, 0.07), (0.18, 0.11)),
    ("lstm", "linear"): ((0.97, 0.02), (0.94, 0.03), (0.13, 0.05)),
    ("nwm", "max"): ((0.88, 0.11), (0.81, 0.15), (0.35, 0.24)),
    ("nwm", "mean"): ((0.92, 0.07), (0.87, 0.11), (0.24, 0.14)),
    ("nwm", "last"): ((0.94, 0.06), (0.90, 0.09), (0.21, 0.14)),
    ("nwm", "fft"): ((0.98, 0.01), (0.97, 0.01), (0.07, 0.03)),
    ("nwm", "linear"): ((0.99, 0.00), (0.98, 0.01), (0.05, 0.02)),
}
_MULTI_MNIST = {
    ("unet", 2): ((0.66, 0.27), (0.60, 0.28), (1.19, 0.56)),
    ("unet", 3): ((0.90, 0.10), (0.87, 0.13), (0.56, 0.26)),
    ("nwm", "linear"): ((0.96, 0.01), (0.93, 0.01), (0.15, 0.02)),
    ("unet", 4): ((0.97, 0.00), (0.96, 0.01), (0.24, 0.04)),
    ("unet", 5): ((0.98, 0.00), (0.97, 0.00), (0.17, 0.05)),
}
FOREGROUND = {"mnist": _MNIST, "tetrominoes": _TETROMINOES, "multi_mnist": _MULTI_MNIST}
CORRELATION = 0.961  # of the share of wavelengths above 1.5 pixels with the negative loss: polygons, 5 seeds


def foreground(data_set: str, model: Mapping[str, Any]) -> Scores | None:
    """The published scores of a model, given its table, on a set of pictures; None where there are none."""
    choice = model["readout"] or model["depth"] or model["width"]
    return FOREGROUND.get(data_set, {}).get((model["network"], choice))
