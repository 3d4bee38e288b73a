"""The picture of a contact sheet: tiles of samples and masks, captions and a legend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_gen.preview.sheets import Sample, Sheet

_OVERLAP, _UNCOVERED, _GAP = "#ffffff", "#1b1b22", 2
_INK = {"#e8d33f": "#b39b00", "#f3b9a4": "#d08468", "#63d3dc": "#21a3ad"}  # colours too light for text


def check_ending(path: Path) -> None:
    """ValueError unless the name of a file ends in a format for pictures, which it names."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    endings = [f".{name}" for name in FigureCanvasAgg.get_supported_filetypes()]
    if path.suffix.lower() not in endings:
        raise ValueError(f"{path} must end in one of {', '.join(endings)}")


def draw(sheet: Sheet, path: Path) -> None:
    """Write the sheet, in the format of the file's ending.

    Raises: ValueError if it has no samples, or for an unknown ending; OSError if the file cannot be written.
    """
    from matplotlib.figure import Figure

    check_ending(path)
    if not sheet.samples:
        raise ValueError("nothing to draw: num_examples must be at least 1")
    tiles = [tile_of(sample, sheet.colours) for sample in sheet.samples]
    height, width = tiles[0].shape[:2]
    columns = min(max(1, round(8 * height / width)), len(tiles))
    rows = -(-len(tiles) // columns)
    across = 9 if columns == 1 else max(4.5, columns * 1.3 * width / height + 0.2)
    inches = (across, rows * (across / columns * height / width + 0.25) + 0.8)
    figure = Figure(figsize=inches, layout="constrained", facecolor="white")
    figure.suptitle(sheet.title, fontsize=11, wrap=True)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, sample, tile in zip(axes, sheet.samples, tiles, strict=False):
        axis.imshow(tile, interpolation="nearest")
        _write_captions(axis, sample, sheet.colours, tile.shape)
    if sheet.names:
        _write_legend(figure, sheet)
    figure.savefig(path, dpi=150, format=path.suffix[1:].lower())


def tile_of(sample: Sample, colours: Sequence[str]) -> np.ndarray:
    """The picture, and beside it (below it, if it is wide) its masks, as one RGB image."""
    picture = sample.picture if sample.picture.ndim == 3 else np.repeat(sample.picture[..., None], 3, axis=-1)
    if sample.masks is None:
        return picture
    painted = np.broadcast_to(rgb(_UNCOVERED), picture.shape).copy()
    for k in range(sample.masks.shape[-1]):
        painted[sample.masks[..., k]] = rgb(colours[k])
    if sample.overlap is not None:
        painted[sample.overlap] = rgb(_OVERLAP)
    height, width = picture.shape[:2]
    if width > 2 * height:
        return np.concatenate([picture, np.ones((_GAP, width, 3)), painted], axis=0)
    return np.concatenate([picture, np.ones((height, _GAP, 3)), painted], axis=1)


def rgb(colour: str) -> np.ndarray:
    """#rrggbb as float64 (3,) in [0, 1]."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _write_captions(axis, sample: Sample, colours: Sequence[str], shape: tuple[int, ...]) -> None:
    """Captions below the sample: under masks beside the picture, each in the colour of its mask, others in black."""
    height, width = shape[:2]
    left = width - sample.picture.shape[1]
    for k, (text, mask) in enumerate(sample.captions):
        middle = left + (width - left) * (k + 0.5) / len(sample.captions) - 0.5
        colour = "black" if mask < 0 else _INK.get(colours[mask], colours[mask])
        axis.text(middle, height + 0.5, text, color=colour, ha="center", va="top", weight="bold", fontsize=9)


def _write_legend(figure, sheet: Sheet) -> None:
    from matplotlib.patches import Patch

    entries = [Patch(color=colour, label=name) for name, colour in zip(sheet.names, sheet.colours, strict=False)]
    if any(sample.overlap is not None and sample.overlap.any() for sample in sheet.samples):
        entries.append(Patch(facecolor=_OVERLAP, edgecolor="grey", label="overlap, in no mask"))
    figure.legend(handles=entries, loc="outside lower center", ncols=min(len(entries), 5), frameon=False, fontsize=9)
