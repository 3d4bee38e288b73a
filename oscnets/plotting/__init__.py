"""Pictures of phases, kernels and curves. Matplotlib is imported when one is drawn; no global state, no display.

Functions take arrays and return a `matplotlib.figure.Figure`, or an `Animation` of one; `save` and `save_animation`
write them. Phases are in radians.
"""

from oscnets.plotting.animation import phase_animation
from oscnets.plotting.boards import board_animation
from oscnets.plotting.canvas import Animation, save, save_animation
from oscnets.plotting.colours import (
    GROUP_COLOURS,
    MODEL_COLOURS,
    mask_image,
    model_styles,
    phase_colours,
    phase_image,
    strongest_channel,
)
from oscnets.plotting.kernels import kernel_change, weight_change
from oscnets.plotting.labels import CLASS_COLOURS, label_image, label_sheet
from oscnets.plotting.layers import layer_sheet, polar_layer
from oscnets.plotting.lines import curve_grid, curve_row, curves
from oscnets.plotting.phases import colour_strip, colour_wheel, phase_map, polar_phases, scene_sheet
from oscnets.plotting.states import feature_sheet, state_animation, state_sheet
from oscnets.plotting.tables import score_tables

__all__ = [
    "CLASS_COLOURS",
    "GROUP_COLOURS",
    "MODEL_COLOURS",
    "Animation",
    "board_animation",
    "colour_strip",
    "colour_wheel",
    "curve_grid",
    "curve_row",
    "curves",
    "feature_sheet",
    "kernel_change",
    "label_image",
    "label_sheet",
    "layer_sheet",
    "mask_image",
    "model_styles",
    "phase_animation",
    "phase_colours",
    "phase_image",
    "phase_map",
    "polar_layer",
    "polar_phases",
    "save",
    "save_animation",
    "scene_sheet",
    "score_tables",
    "state_animation",
    "state_sheet",
    "strongest_channel",
    "weight_change",
]


def __dir__() -> list[str]:
    return __all__
