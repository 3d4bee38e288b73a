"""The samples on the contact sheet of each data set, with their masks and the colours of the masks."""

import argparse
import difflib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from data_gen import (
    backgrounds,
    moving_digits,
    multi_mnist,
    overlay,
    polygons,
    segmentation,
    shapes,
    sources,
    sudoku,
    tetrominoes,
)

# The first few differ also for the colour-blind; overlap is white, pixels without a mask are nearly black.
COLOURS = (
    *("#3d9be9", "#f5872a", "#3dbb7d", "#d667b8", "#e8d33f"),
    *("#8f7be8", "#e0524d", "#63d3dc", "#a9824f", "#f3b9a4"),
)
BACKGROUND = "#6b7080"  # where it has a mask
_DIGITS_SHORTHAND = tuple("0123456789")
_STRIP = 10  # frames of a video on its sheet


class Sample(NamedTuple):
    """One picture, its masks and its captions.

    picture: (H, W) or (H, W, 3) in [0, 1]. masks: bool (H, W, n), or None. overlap: bool (H, W), in no mask, or None.
    captions: texts, each with the number of the mask that it names, or -1.
    """

    picture: np.ndarray
    masks: np.ndarray | None
    overlap: np.ndarray | None
    captions: tuple[tuple[str, int], ...]


class Sheet(NamedTuple):
    """Samples of one form; title; names and colours of the masks, in order, the same for all samples."""

    samples: list[Sample]
    title: str
    names: tuple[str, ...] = ()
    colours: tuple[str, ...] = COLOURS


def of(options: argparse.Namespace) -> Sheet:
    """The sheet that the command line asks for; ValueError, naming the nearest, if there is no such set."""
    if options.set not in SETS:
        nearest = difflib.get_close_matches(options.set, SETS, n=1, cutoff=0.0)[0]
        raise ValueError(f"no set {options.set!r}: did you mean {nearest!r}? There are {', '.join(SETS)}")
    return SETS[options.set](options)


def _base(options: argparse.Namespace, name: str) -> sources.Base:
    return sources.load(name, options.split, data_dir=options.data_dir)


def _title(options: argparse.Namespace, *parts: str) -> str:
    first = f"{options.set} from {options.source} ({options.split})"
    return " · ".join([first, *parts, f"seed {options.seed}"])


def _digit_names(count: int) -> tuple[str, ...]:
    return tuple(f"digit {k + 1}" for k in range(count))


def _numbered(labels: Sequence[int], first: int = 0) -> tuple[tuple[str, int], ...]:
    return tuple((str(label), first + k) for k, label in enumerate(labels))


def _scenes(options: argparse.Namespace, generate: Callable[..., multi_mnist.Scenes]) -> multi_mnist.Scenes:
    return generate(
        _base(options, options.source),
        seed=options.seed,
        num_examples=options.num_examples,
        num_digits=options.num_digits,
        max_overlap=options.max_overlap,
        min_overlap=options.min_overlap,
        overlap_measure=options.overlap_measure,
    )


def _scene_parts(options: argparse.Namespace) -> tuple[str, str]:
    low, high, measure = options.min_overlap, options.max_overlap, options.overlap_measure
    overlap = f"{low:g} < overlap ({measure}) ≤ {high:g}" if high > 0 else "boxes apart"
    return f"{options.num_digits} digits", overlap


def _multi_mnist(options: argparse.Namespace) -> Sheet:
    scenes = _scenes(options, multi_mnist.generate)
    columns = zip(scenes.images, scenes.masks, scenes.overlap, scenes.labels.tolist(), strict=True)
    samples = [Sample(image[..., 0], masks, overlap, _numbered(labels)) for image, masks, overlap, labels in columns]
    return Sheet(samples, _title(options, *_scene_parts(options)), _digit_names(options.num_digits))


def _groups(options: argparse.Namespace) -> Sheet:
    scenes = _scenes(options, multi_mnist.generate)
    columns = zip(scenes.images, scenes.groups(), scenes.overlap, scenes.labels.tolist(), strict=True)
    samples = [Sample(image[..., 0], masks, overlap, _numbered(labels, 1)) for image, masks, overlap, labels in columns]
    names = ("background", *_digit_names(options.num_digits))
    return Sheet(samples, _title(options, *_scene_parts(options)), names, (BACKGROUND, *COLOURS))


def _backgrounds(options: argparse.Namespace) -> Sheet:
    pictures = _base(options, options.background)
    scenes = _scenes(options, lambda digits, **s: backgrounds.generate(digits, pictures, colour=options.colour, **s))
    columns = zip(scenes.images, scenes.masks, scenes.overlap, scenes.labels.tolist(), strict=True)
    samples = [
        Sample(image if options.colour else image[..., 0], masks, overlap, _numbered(labels))
        for image, masks, overlap, labels in columns
    ]
    title = _title(options, f"on {options.background}", *_scene_parts(options))
    return Sheet(samples, title, _digit_names(options.num_digits))


def _moving_digits(options: argparse.Namespace) -> Sheet:
    limits = {"max_overlap": options.max_overlap or 0.25, "min_overlap": options.min_overlap}
    base = _base(options, options.source)
    videos = moving_digits.generate(base, seed=options.seed, num_examples=options.num_examples, **limits)
    shown = videos.middle + 3 * (np.arange(_STRIP) - _STRIP // 2)
    samples = []
    for frames, masks, overlap, shares, labels in zip(
        videos.frames[..., 0][:, shown],
        videos.masks[:, shown],
        videos.overlap[:, shown],
        videos.shares[:, videos.middle].tolist(),
        videos.labels.tolist(),
        strict=True,
    ):
        captions = (*_numbered(labels), (f"overlap {shares:.2f}", -1))
        samples.append(Sample(_strip(frames, 0.5), _strip(masks, False), _strip(overlap, False), captions))
    numbers = ", ".join(str(number) for number in shown)
    return Sheet(samples, _title(options, f"frames {numbers}"), _digit_names(2))


def _strip(frames: np.ndarray, gap: float) -> np.ndarray:
    """Frames (T, H, W, ...) side by side, one column of `gap` after each."""
    width = [(0, 0), (0, 0), (0, 1)] + [(0, 0)] * (frames.ndim - 3)
    return np.concatenate(np.pad(frames, width, constant_values=gap), axis=1)


def _overlay(options: argparse.Namespace) -> Sheet:
    items, pictures = _base(options, options.source), _base(options, options.background)
    settings = {"seed": options.seed, "num_examples": options.num_examples, "item_size": options.item_size}
    overlays = overlay.generate(items, pictures, **settings)
    columns = zip(overlays.images, overlays.masks, overlays.labels.tolist(), strict=True)
    samples = [Sample(image, masks, None, _numbered(labels)) for image, masks, labels in columns]
    title = _title(options, f"on {options.background}", f"items of {options.item_size} px")
    return Sheet(samples, title, ("item", "background"), (COLOURS[0], BACKGROUND))


def _maps(maps: segmentation.LabelMaps, title: str, names: tuple[str, ...], shorthand: tuple[str, ...]) -> Sheet:
    """A sheet of label maps: class k + 1 is names[k] in the legend and shorthand[k] below a picture."""
    samples = []
    for image, labels in zip(maps.images, maps.labels, strict=True):
        picture = image[..., 0] if image.shape[-1] == 1 else image
        masks = labels[..., None] == 1 + np.arange(len(names))
        captions = tuple((shorthand[k], k) for k in range(len(names)) if masks[..., k].any())
        samples.append(Sample(picture, masks, labels < 0, captions))
    return Sheet(samples, title, names)


def _mnist_segmentation(options: argparse.Namespace) -> Sheet:
    base = _base(options, options.source)
    count = max(options.num_examples, 0)
    maps = segmentation.mnist(sources.Base(base.images[:count], base.labels[:count]))
    title = f"{options.set} from {options.source} ({options.split}) · the first {count} of {len(base.labels)}"
    return _maps(maps, title, _DIGITS_SHORTHAND, _DIGITS_SHORTHAND)


def _multi_mnist_segmentation(options: argparse.Namespace) -> Sheet:
    base = _base(options, options.source)
    maps = segmentation.multi_mnist(base, seed=options.seed, num_examples=options.num_examples)
    return _maps(maps, _title(options, "1 to 4 digits"), _DIGITS_SHORTHAND, _DIGITS_SHORTHAND)


def _tetrominoes(options: argparse.Namespace) -> Sheet:
    maps = tetrominoes.generate(seed=options.seed, num_examples=options.num_examples)
    return _maps(maps, f"tetrominoes · 1 to 5 pieces · seed {options.seed}", tetrominoes.NAMES, tetrominoes.NAMES)


def _polygons(options: argparse.Namespace) -> Sheet:
    maps = polygons.generate(seed=options.seed, num_examples=options.num_examples)
    return _maps(maps, f"polygons · 1 or 2, of 3 to 6 sides · seed {options.seed}", polygons.NAMES, tuple("3456"))


def _shapes(options: argparse.Namespace) -> Sheet:
    count, colour = options.num_shapes, "rgb" if options.colour else "grey"
    settings = {"num_shapes": count, "colour": colour, "size": 32 if count < 5 else 48}
    maps = shapes.generate(seed=options.seed, num_examples=options.num_examples, **settings)
    names = shapes.NAMES[:count]
    return _maps(maps, f"shapes · {count} of them · seed {options.seed}", names, ("",) * count)


def _mnist_shapes(options: argparse.Namespace) -> Sheet:
    maps = shapes.with_digits(_base(options, options.source), seed=options.seed, num_examples=options.num_examples)
    return _maps(maps, _title(options, "a digit and a shape"), ("digit", "shape"), ("", ""))


def _sudoku(options: argparse.Namespace) -> Sheet:
    """Givens in white, the solution as a colour for each digit."""
    boards = sudoku.generate(seed=options.seed, num_examples=options.num_examples)
    scans = sources.load("digits", "train")
    glyphs = np.stack([scans.images[scans.labels == digit][0] / 255 for digit in range(1, 10)])
    glyphs = np.concatenate([np.zeros_like(glyphs[:1]), glyphs])
    side = glyphs.shape[1]
    samples = []
    for puzzle, solution in zip(*boards, strict=True):
        picture = glyphs[puzzle].swapaxes(1, 2).reshape(9 * side, -1)
        cells = np.kron(solution, np.ones((side, side), np.int8))
        for lines in (picture, picture.T):
            lines[side::side] = 0.25
            lines[3 * side :: 3 * side] = 0.75
        samples.append(
            Sample(picture, cells[..., None] == np.arange(1, 10), None, ((f"{(puzzle > 0).sum()} givens", -1),))
        )
    return Sheet(samples, f"sudoku · dense boards · seed {options.seed}", tuple("123456789"))


def _base_images(options: argparse.Namespace) -> Sheet:
    base = _base(options, options.set)
    samples = [
        Sample(image / 255, None, None, ((str(label), -1),))
        for image, label in zip(base.images[: max(options.num_examples, 0)], base.labels.tolist(), strict=False)
    ]
    return Sheet(samples, f"{options.set} ({options.split}) · the first {len(samples)} of {len(base.labels)}")


SETS: dict[str, Callable[[argparse.Namespace], Sheet]] = {
    "multi_mnist": _multi_mnist,
    "multi_mnist_groups": _groups,
    "multi_mnist_on_pictures": _backgrounds,
    "moving_digits": _moving_digits,
    "overlay": _overlay,
    "mnist_segmentation": _mnist_segmentation,
    "multi_mnist_segmentation": _multi_mnist_segmentation,
    "tetrominoes": _tetrominoes,
    "polygons": _polygons,
    "shapes": _shapes,
    "mnist_shapes": _mnist_shapes,
    "sudoku": _sudoku,
    **dict.fromkeys(sources.NAMES, _base_images),
}
