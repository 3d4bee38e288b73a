"""Figures, and how they are written to files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Animation(NamedTuple):
    """A figure and its frames: `show(i)` draws frame i of `num_frames`, from 0."""

    figure: Figure
    show: Callable[[int], None]
    num_frames: int


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def show_picture(axes: Axes, picture: NDArray[Any], title: str) -> None:
    """Draw (H, W) or (H, W, 1) in grey or (H, W, 3) in colour, values in [0, 1], without ticks."""
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
    axes.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


def check_rank(name: str, array: ArrayLike, rank: int) -> NDArray[Any]:
    """`array` as a NumPy array; raises ValueError unless it has `rank` axes."""
    array = np.asarray(array)
    if array.ndim != rank:
        raise ValueError(f"{name} must have {rank} axes, got shape {array.shape}")
    return array


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> None:
    """Write a PNG; the file appears when it is complete."""
    with _whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})


def save_animation(
    animation: Animation, path: str | os.PathLike[str], *, fps: int = 3, hold: int = 6, dpi: int = 70
) -> None:
    """Write a GIF that repeats for ever; the file appears when it is complete.

    Args:
        animation: the figure and its frames. path: the file.
        fps: frames per second. hold: number of frames for which the last one stays.
        dpi: pixels per inch of the figure.
    """
    from matplotlib.animation import PillowWriter

    writer = PillowWriter(fps=fps)
    with _whole(path, suffix=".gif") as temporary:
        writer.setup(animation.figure, temporary, dpi=dpi)
        for frame in range(animation.num_frames):
            animation.show(frame)
            for _ in range(hold if frame == animation.num_frames - 1 else 1):
                writer.grab_frame(facecolor="white")
        writer.finish()


@contextmanager
def _whole(path: str | os.PathLike[str], suffix: str = "") -> Iterator[str]:
    """A temporary path beside `path`; it is renamed to `path` at the end, and removed after an error."""
    temporary = f"{os.fspath(path)}.tmp-{os.getpid()}{suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
