"""Colours of models, digits and phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets.plotting.canvas import check_rank

# Okabe and Ito's palette, which the colour-blind can tell apart, without its yellow, which is hardly visible on white.
MODEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B5A2B")
# Dashes alone and dots alone have a meaning in some figures: no dynamics, single frames, chance.
_DASHES = ("-", "-.", "--", ":")
# Digits are drawn on white beside phase maps of every hue, hence a few strong colours.
GROUP_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000", "#8B5A2B")


def model_styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Line colour and dash of every model, by its place in `names`: pass the same list to every figure."""
    number = len(MODEL_COLOURS)
    return {
        name: {"color": MODEL_COLOURS[i % number], "linestyle": _DASHES[i // number % len(_DASHES)]}
        for i, name in enumerate(names)
    }


def phase_colours(phases: ArrayLike) -> NDArray[np.float64]:
    """Colour of a phase on a cyclic map: any shape (...) in radians -> (..., 3) sRGB in [0, 1], period 2 pi.

    The hue circle of the OKLab space (Ottosson 2020) at one chroma. Its lightness varies along red-green, so that
    phases whose hues a red-green blind reader would confuse differ in lightness.
    """
    hue = np.asarray(phases, dtype=np.float64) + np.deg2rad(20.0)  # phase 0 is red
    lightness, chroma = 0.73 + 0.09 * np.cos(hue - np.deg2rad(170.0)), 0.165
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = np.stack([
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ], axis=-1) ** 3  # fmt: skip
    to_linear = np.array([
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ])  # fmt: skip
    linear = np.clip(cones @ to_linear.T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def phase_image(phases: ArrayLike, amplitude: ArrayLike) -> NDArray[np.float64]:
    """Phases (...) and amplitude (...) >= 0 of the same shape -> (..., 3) sRGB: hue by phase, brightness by amplitude.

    Brightness is the square root of amplitude, full from the 95th percentile of the active units on; silent units are
    black, whatever their phases. Raises ValueError where the shapes differ or an amplitude is negative.
    """
    phases, amplitude = np.asarray(phases, dtype=np.float64), np.asarray(amplitude, dtype=np.float64)
    if phases.shape != amplitude.shape:
        raise ValueError(f"phases and amplitude must have one shape, got {phases.shape} and {amplitude.shape}")
    if amplitude.size and amplitude.min() < 0:
        raise ValueError(f"amplitude must be >= 0, got {amplitude.min()}")
    active = amplitude[amplitude > 0]
    top = np.percentile(active, 95) if active.size else 1.0
    brightness = np.sqrt(np.minimum(amplitude / top, 1.0))[..., None]
    return np.where(brightness == 0, 0.0, phase_colours(phases) * brightness)


def mask_image(masks: ArrayLike) -> NDArray[np.float64]:
    """Masks (H, W, G) -> (H, W, 3) sRGB, each group in its colour in the polar plots, the rest black."""
    from matplotlib.colors import to_rgb

    masks = check_rank("masks", masks, 3).astype(bool)
    picture = np.zeros((*masks.shape[:2], 3))
    for group in range(masks.shape[-1]):
        picture[masks[:, :, group]] = to_rgb(GROUP_COLOURS[group % len(GROUP_COLOURS)])
    return picture


def strongest_channel(phases: ArrayLike, amplitude: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Phase and amplitude (..., H, W) of each pixel's channel of largest amplitude, from (..., H, W, C)."""
    phases, amplitude = np.broadcast_arrays(np.asarray(phases), np.asarray(amplitude))
    best = amplitude.argmax(axis=-1)[..., None]
    return np.take_along_axis(phases, best, -1)[..., 0], np.take_along_axis(amplitude, best, -1)[..., 0]
