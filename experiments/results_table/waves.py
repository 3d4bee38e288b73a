"""Claims about traveling waves (Jacobs et al., 2025)."""

import numpy as np

from experiments.results_table.claim import Claim, Run, gap, spreads
from experiments.waves.figures.published import CORRELATION, FOREGROUND

TETROMINOES, MNIST, MULTI_MNIST, POLYGONS = (
    f"waves/{name}" for name in ("tetrominoes", "mnist", "multi_mnist", "polygons")
)
_ACCURACY = "foreground_accuracy"
_TITLES = {TETROMINOES: "Tetrominoes", MNIST: "MNIST", MULTI_MNIST: "Multi-MNIST"}
_NAMES = {"nwm": "NWM", "lstm": "ConvLSTM", "unet": "U-Net"}


def _published(folder: str, label: str) -> tuple[tuple[float, float], ...]:
    """Mean and standard deviation of accuracy, IoU and loss of a model such as nwm_linear or cnn_8."""
    network, choice = label.split("_")
    return FOREGROUND[folder.removeprefix("waves/")][network, int(choice) if choice.isdigit() else choice]


def _name(label: str) -> str:
    network, choice = label.split("_")
    return f"a CNN of {choice} layers" if network == "cnn" else f"{_NAMES[network]} {choice}"


def _above(folder: str, first: str, second: str) -> Claim:
    ours, theirs = (_published(folder, label)[0][0] for label in (first, second))
    text = f"{_name(first)} above {_name(second)}, {_TITLES[folder]}"
    return Claim(_id(folder), text, folder, gap(first, second, "test", _ACCURACY), f"{ours - theirs:.2f}")


def _steadier(folder: str, first: str, second: str) -> Claim:
    ours, theirs = (_published(folder, label)[0][1] for label in (first, second))
    text = f"{_name(first)} varies less between seeds than {_name(second)} (ratio below 1), {_TITLES[folder]}"
    number = spreads(first, second, "test", _ACCURACY)
    return Claim(_id(folder), text, folder, number, f"{ours:.2f} / {theirs:.2f}", "below", 1.0)


def _id(folder: str) -> str:
    return "W3" if folder == MULTI_MNIST else "W2"


def _correlation(run: Run) -> dict[int, float]:
    """Of the seeds that have one: none where the share does not move."""
    found = run.waves("nwm_fft", "raw", "1.5")["correlation"]
    return {seed: value for seed, value in enumerate(found) if value is not None}


def _rise(run: Run) -> dict[int, float]:
    found = run.waves("nwm_fft", "raw", "1.5")
    return dict(enumerate(np.subtract(found["last"], found["first"]).tolist()))


_NWM = "nwm_linear"
CLAIMS = (
    _above(TETROMINOES, _NWM, "nwm_fft"),
    _above(TETROMINOES, "nwm_fft", "nwm_last"),
    _above(TETROMINOES, _NWM, "lstm_linear"),
    *(_above(TETROMINOES, _NWM, f"cnn_{depth}") for depth in (2, 8)),
    _steadier(TETROMINOES, _NWM, "lstm_linear"),
    _above(MNIST, _NWM, "nwm_fft"),
    *(_above(MNIST, "nwm_fft", f"nwm_{how}") for how in ("last", "mean", "max")),
    _above(MNIST, "lstm_linear", "lstm_fft"),
    _above(MNIST, _NWM, "lstm_linear"),
    *(_above(MNIST, _NWM, f"cnn_{depth}") for depth in (2, 4, 8, 16)),
    *(_steadier(MNIST, _NWM, other) for other in ("lstm_linear", "cnn_8", "cnn_16")),
    *(_above(MULTI_MNIST, _NWM, f"unet_{width}") for width in (2, 3)),
    Claim(
        *("W3", "NWM linear close to U-Net 4 (0.05), Multi-MNIST", MULTI_MNIST),
        *(gap(_NWM, "unet_4", "test", _ACCURACY), "-0.01", "within", 0.05),
    ),
    Claim(
        *("W3", "foreground loss of NWM linear below that of U-Net 4, Multi-MNIST", MULTI_MNIST),
        *(gap(_NWM, "unet_4", "test", "foreground_loss"), "-0.09", "below"),
    ),
    *(_steadier(MULTI_MNIST, _NWM, f"unet_{width}") for width in (2, 3)),
    Claim("W4", "share of wavelengths above 1.5 px, last less first", POLYGONS, _rise, "rises"),
    Claim(
        *("W4", "its correlation with the negative loss above 0.5", POLYGONS, _correlation),
        *(f"{CORRELATION} (of the means of 5 seeds)", "above", 0.5),
    ),
)
