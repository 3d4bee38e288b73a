"""Figures, and how they are written to files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
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
    """Write a figure in the format that the file's ending names: .png, .pdf, .svg, or another one of Matplotlib's.

    The file appears when it is complete. ~ at the start of the path is the home folder.

    Raises:
        ValueError: another ending; names those that are accepted.
    """
    path = _checked(path, [f".{name}" for name in figure.canvas.get_supported_filetypes()])
    name = path.suffix[1:].lower()
    with _whole(path) as temporary:
        figure.savefig(temporary, format=name, dpi=dpi, facecolor="white", metadata=_METADATA.get(name))


# Without what would make two files of one figure differ.
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def save_animation(
    animation: Animation, path: str | os.PathLike[str], *, fps: int = 3, hold: int = 6, dpi: int = 70
) -> None:
    """Write an animation in the format that the file's ending names; the file appears when it is complete.

    Args:
        animation: the figure and its frames.
        path: the file: .gif, which repeats for ever, or .mp4, which needs the program ffmpeg. ~ is the home folder.
        fps: frames per second. hold: number of frames for which the last one stays.
        dpi: pixels per inch of the figure.

    Raises:
        ValueError: another ending, or .mp4 where there is no ffmpeg.
    """
    from matplotlib.animation import FFMpegWriter, PillowWriter

    writers = {".gif": PillowWriter, ".mp4": FFMpegWriter}
    path = _checked(path, writers)
    kind = writers[path.suffix.lower()]
    if not kind.isAvailable():
        raise ValueError(f"{path}: {path.suffix} needs the program ffmpeg, which is not on the PATH; .gif does not")
    writer = kind(fps=fps)
    with _whole(path) as temporary:
        writer.setup(animation.figure, temporary, dpi=dpi)
        try:
            for frame in range(animation.num_frames):
                animation.show(frame)
                for _ in range(hold if frame == animation.num_frames - 1 else 1):
                    writer.grab_frame(facecolor="white")
        except BaseException:
            with suppress(Exception):
                writer.finish()  # or ffmpeg would wait for more
            raise
        writer.finish()


def _checked(path: str | os.PathLike[str], endings: Iterable[str]) -> Path:
    """The path, of which the ending must be one of these."""
    path, endings = Path(path).expanduser(), tuple(endings)
    if path.suffix.lower() not in endings:
        raise ValueError(f"{path} must end in one of {', '.join(endings)}")
    return path


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its ending; renamed to `path` at the end, and removed after an error."""
    temporary = path.with_name(f"{path.stem}.tmp-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
