"""Contact sheets: python -m data_gen.preview --set=NAME --out=FILE.png draws samples of a set beside their masks.

Sets: multi_mnist, and the base images (digits, mnist, fashion_mnist, cifar10). Other flags: --help.
"""

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_gen import multi_mnist, sources

# One colour a digit, told apart also by the colour-blind for the first few; overlap is white, background nearly black.
COLOURS = ("#3d9be9", "#f5872a", "#3dbb7d", "#d667b8", "#e8d33f", "#8f7be8", "#e0524d", "#63d3dc", "#a9824f")
_OVERLAP, _BACKGROUND, _GAP = "#ffffff", "#1b1b22", 2
_COLUMNS = 4


class Sample(NamedTuple):
    """picture: (H, W) or (H, W, 3) in [0, 1]; masks: bool (H, W, n) or None; overlap: bool (H, W) or None; labels."""

    picture: np.ndarray
    masks: np.ndarray | None
    overlap: np.ndarray | None
    labels: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the sheet that the command line asks for; returns 0, or 2 after one line that says what is wrong."""
    options = _parser().parse_args(arguments)
    try:
        samples, title = _set_named(options.set)(options)
        _draw(samples, title, Path(options.out))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"data_gen.preview: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data_gen.preview", description="Draw samples of a data set.")
    parser.add_argument("--set", required=True, metavar="NAME", help=f"one of {', '.join(SETS)}")
    parser.add_argument("--out", required=True, metavar="FILE", help="PNG file to write")
    parser.add_argument("--source", default="digits", help="base images of scenes: one of " + ", ".join(sources.NAMES))
    parser.add_argument("--split", default="test", help="one of " + ", ".join(sources.SPLITS))
    parser.add_argument("--data_dir", default=None, metavar="DIR", help="folder of prepared TFDS sets")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--num_examples", default=12, type=int, help="samples on the sheet")
    parser.add_argument("--num_digits", default=2, type=int, help="digits a scene, 2 to 9")
    parser.add_argument("--max_overlap", default=0.0, type=float, help="0: bounding boxes apart")
    parser.add_argument("--min_overlap", default=0.0, type=float, help="exclusive")
    parser.add_argument("--overlap_measure", default="pixels", help="one of " + ", ".join(multi_mnist.MEASURES))
    return parser


def _set_named(name: str) -> Callable[[argparse.Namespace], tuple[list[Sample], str]]:
    if name not in SETS:
        nearest = difflib.get_close_matches(name, SETS, n=1, cutoff=0.0)[0]
        raise ValueError(f"no set {name!r}: did you mean {nearest!r}? There are {', '.join(SETS)}")
    return SETS[name]


def _multi_mnist(options: argparse.Namespace) -> tuple[list[Sample], str]:
    scenes = multi_mnist.generate(
        sources.load(options.source, options.split, data_dir=options.data_dir),
        seed=options.seed,
        num_examples=options.num_examples,
        num_digits=options.num_digits,
        max_overlap=options.max_overlap,
        min_overlap=options.min_overlap,
        overlap_measure=options.overlap_measure,
    )
    samples = [
        Sample(image[..., 0], masks, overlap, tuple(labels.tolist()))
        for image, masks, overlap, labels in zip(
            scenes.images, scenes.masks, scenes.overlap, scenes.labels, strict=True
        )
    ]
    low, high, measure = options.min_overlap, options.max_overlap, options.overlap_measure
    overlap = f"{low:g} < overlap ({measure}) ≤ {high:g}" if high > 0 else "boxes apart"
    title = f"multi_mnist from {options.source} ({options.split}) · {options.num_digits} digits · {overlap}"
    return samples, f"{title} · seed {options.seed}"


def _base_images(options: argparse.Namespace) -> tuple[list[Sample], str]:
    base = sources.load(options.set, options.split, data_dir=options.data_dir)
    samples = [
        Sample(image / 255, None, None, (int(label),))
        for image, label in zip(base.images[: max(options.num_examples, 0)], base.labels, strict=False)
    ]
    return samples, f"{options.set} ({options.split}) · the first {len(samples)} of {len(base.labels)}"


SETS = {"multi_mnist": _multi_mnist, **dict.fromkeys(sources.NAMES, _base_images)}


def _draw(samples: list[Sample], title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    if not samples:
        raise ValueError("nothing to draw: num_examples must be at least 1")
    tiles = [_tile(sample) for sample in samples]
    height, width = tiles[0].shape[:2]
    columns = min(_COLUMNS * (1 if samples[0].masks is not None else 2), len(samples))
    rows = -(-len(samples) // columns)
    inches = (max(4.5, columns * 1.3 * width / height + 0.2), rows * 1.5 + 0.8)
    figure = Figure(figsize=inches, layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, sample, tile in zip(axes, samples, tiles, strict=False):
        axis.imshow(tile, interpolation="nearest")
        _write_labels(axis, sample)
    if samples[0].masks is not None:
        _write_legend(figure, samples)
    figure.savefig(path, dpi=150, format="png")


def _tile(sample: Sample) -> np.ndarray:
    """The picture, and beside it its masks, as one RGB image."""
    picture = sample.picture if sample.picture.ndim == 3 else np.repeat(sample.picture[..., None], 3, axis=-1)
    if sample.masks is None:
        return picture
    painted = np.broadcast_to(_rgb(_BACKGROUND), picture.shape).copy()
    for k in range(sample.masks.shape[-1]):
        painted[sample.masks[..., k]] = _rgb(COLOURS[k])
    painted[sample.overlap] = _rgb(_OVERLAP)
    return np.concatenate([picture, np.ones((len(picture), _GAP, 3)), painted], axis=1)


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _write_labels(axis, sample: Sample) -> None:
    """Labels below the sample: in the colours of their digits below the masks, or in black below a lone picture."""
    height, width = sample.picture.shape[:2]
    left, colours = (width + _GAP, COLOURS) if sample.masks is not None else (0, ("black",))
    for k, label in enumerate(sample.labels):
        middle = left + width * (k + 0.5) / len(sample.labels) - 0.5
        axis.text(middle, height + 0.5, str(label), color=colours[k], ha="center", va="top", weight="bold", fontsize=9)


def _write_legend(figure, samples: list[Sample]) -> None:
    from matplotlib.patches import Patch

    entries = [Patch(color=COLOURS[k], label=f"digit {k + 1}") for k in range(len(samples[0].labels))]
    if any(sample.overlap.any() for sample in samples):
        entries.append(Patch(facecolor=_OVERLAP, edgecolor="grey", label="overlap, in no mask"))
    figure.legend(handles=entries, loc="outside lower center", ncols=min(len(entries), 5), frameon=False, fontsize=9)


if __name__ == "__main__":
    sys.exit(main())
