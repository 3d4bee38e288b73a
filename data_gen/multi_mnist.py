"""Scenes of several digits on a black canvas: the multi-MNIST set of KomplexNet.

Muzellec, Alamia, Serre and VanRullen, TMLR 2025, section 4 (data after Sabour, Frosst and Hinton, 2017). Digits of
different classes are cropped to their bounding boxes and put on a canvas, the first near the upper-left corner, each of
the others at random; the sum is clipped and the canvas resized bilinearly.

Where the paper is silent: the canvas is 2.5 times the largest digit of the base for two digits (50 for MNIST, whose
digits are 20 high) and a quarter of a digit more for each further one, close to the smallest canvas on which random
placing of nine digits ends fast; a digit without a place after `_TRIES` draws makes its scene start again with the same
digits, and other digits are drawn only after `_KEEP` such starts, so that wide digits are no rarer than narrow ones.
"""

from dataclasses import dataclass

import numpy as np

from data_gen._tools import checks, counter_rng, pixels
from data_gen._tools.digit_table import DigitTable

MEASURES = ("pixels", "boxes")
_CHUNK = 512  # scenes at a time: temporaries stay within the cache
_TRIES = 24
_KEEP = 64
_MAX_TURNS = 20_000


@dataclass(frozen=True)
class Scenes:
    """N scenes of n digits.

    images: float32 (N, size, size, 1) in [0, 1].
    masks: bool (N, size, size, n), one per digit, without the pixels where digits overlap.
    overlap: bool (N, size, size), pixels lit by two digits or more.
    labels: int32 (N, n), all different in a scene.
    sources: int32 (N, n), index of each digit in the base.
    boxes: int32 (N, n, 4), top, left, height and width of each digit on the canvas.
    canvas: side of the canvas before resizing.
    """

    images: np.ndarray
    masks: np.ndarray
    overlap: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    boxes: np.ndarray
    canvas: int

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.images)

    def multi_hot(self, num_classes: int = 10) -> np.ndarray:
        """float32 (N, num_classes), 1 at the classes of a scene's digits; ValueError if a label is too large."""
        if self.labels.size and self.labels.max() >= num_classes:
            raise ValueError(f"label {self.labels.max()} needs num_classes > {self.labels.max()}, got {num_classes}")
        hot = np.zeros((len(self), num_classes), np.float32)
        np.put_along_axis(hot, self.labels.astype(np.int64), 1.0, axis=1)
        return hot

    def class_map(self) -> np.ndarray:
        """int32 (N, size, size): label + 1 of the digit at a pixel; 0 of the background and where digits overlap."""
        return (self.masks * (1 + self.labels[:, None, None])).sum(-1, dtype=np.int32)

    def groups(self) -> np.ndarray:
        """bool (N, size, size, 1 + n): the background, then one mask per digit, the form of GASPnet's segmentation."""
        background = ~(self.masks.any(axis=-1) | self.overlap)
        return np.concatenate([background[..., None], self.masks], axis=-1)


def generate(
    base,
    *,
    seed: int,
    num_examples: int,
    num_digits: int = 2,
    max_overlap: float = 0.0,
    min_overlap: float = 0.0,
    overlap_measure: str = "pixels",
    canvas: int | None = None,
    size: int = 32,
    start: int = 0,
) -> Scenes:
    """Make scenes number start ... start + num_examples - 1 of the endless set that (base, seed, the rest) names.

    Args:
      base: has images uint8 (M, H, W), black background, no image all black, H and W <= 64, and labels (M,) integers.
      seed: integer in [0, 2**64).
      num_examples: number of scenes, >= 0.
      num_digits: digits per scene, 2 to 9, all of different classes.
      max_overlap: in [0, 1]. At 0 bounding boxes are apart. Above 0 every two digits overlap by at most this much, and
        at least one pair by more than min_overlap.
      min_overlap: in [0, max_overlap), exclusive.
      overlap_measure: of two digits. "pixels": pixels lit (> 0) by both over pixels lit by the one with fewer;
        "boxes": area that the boxes share over twice the area of the earlier digit's box (the published script).
      canvas: side of the canvas, at least the largest digit's; None: `default_canvas`.
      size: side of the images made, in [1, 1024].
      start: number of the first scene, >= 0.
    Returns: Scenes, the same bytes on every machine; scene i does not depend on num_examples or start.
    Raises: ValueError with the value and what was expected; RuntimeError where scenes cannot be laid out.
    """
    checks.samples(seed, num_examples, start)
    checks.count("size", size, 1, checks.SIDE)
    rules = _Rules(num_digits, max_overlap, min_overlap, overlap_measure)
    table = DigitTable(base, num_digits)
    canvas = default_canvas(num_digits, table.side) if canvas is None else canvas
    checks.count("canvas", canvas, table.side, 4096)
    scenes = _empty(num_examples, num_digits, size, canvas)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        chosen, boxes = _Layout(table, rules, canvas, seed, samples).run()
        scenes.images[part, ..., 0], scenes.masks[part], scenes.overlap[part] = table.paint(chosen, boxes, canvas, size)
        scenes.labels[part], scenes.sources[part], scenes.boxes[part] = table.labels[chosen], chosen, boxes
    return scenes


def default_canvas(num_digits: int, side: int) -> int:
    """Side of the canvas for `num_digits` digits at most `side` pixels wide or high: 50 for two of MNIST's 20."""
    return side * (8 + num_digits) // 4


@dataclass(frozen=True)
class _Rules:
    num_digits: int
    max_overlap: float
    min_overlap: float
    measure: str

    def __post_init__(self) -> None:
        checks.count("num_digits", self.num_digits, 2, 9)
        if not 0 <= self.max_overlap <= 1:
            raise ValueError(f"max_overlap must lie in [0, 1], got {self.max_overlap}")
        if self.measure not in MEASURES:
            raise ValueError(f"overlap_measure must be one of {MEASURES}, got {self.measure!r}")
        if self.min_overlap != 0 and not 0 < self.min_overlap < self.max_overlap:
            raise ValueError(
                f"min_overlap must be 0 or lie in [0, max_overlap = {self.max_overlap}), got {self.min_overlap}"
            )


class _Layout:
    """Places for the digits of P scenes. All scenes take turns together; in a turn each tries to place one digit."""

    def __init__(self, table: DigitTable, rules: _Rules, canvas: int, seed: int, samples: np.ndarray) -> None:
        self.table, self.rules, self.canvas, self.seed, self.samples = table, rules, canvas, seed, samples
        count = len(samples)
        self.placed = np.zeros(count, np.int64)  # digits placed
        self.tries = np.zeros(count, np.int64)  # failures of the digit whose turn it is
        self.starts = np.zeros(count, np.int64)  # times that the scene was begun again
        self.largest = np.zeros(count)  # overlap of the pair that overlaps most
        self.chosen = np.zeros((count, rules.num_digits), np.int64)
        self.boxes = np.zeros((count, rules.num_digits, 4), np.int64)
        self.words = np.zeros((count, rules.num_digits, table.side), np.uint64)
        self._choose(np.arange(count))

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices (P, n) in the base and boxes (P, n, 4) on the canvas."""
        pending = np.arange(len(self.samples))
        for turn in range(_MAX_TURNS):
            if not len(pending):
                return self.chosen, self.boxes
            self._turn(pending, turn)
            pending = pending[self.placed[pending] < self.rules.num_digits]
        raise RuntimeError(
            f"{len(pending)} of {len(self.samples)} scenes (the first: {self.samples[pending[0]]}) found no places in "
            f"{_MAX_TURNS} tries: enlarge the canvas of {self.canvas}, or ask for less than {self.rules}"
        )

    def _choose(self, scenes: np.ndarray) -> None:
        rounds, purpose = self.starts[scenes] // _KEEP, counter_rng.SCENE_DIGITS
        chosen = self.table.choose(self.seed, purpose, self.samples[scenes], rounds, self.rules.num_digits)
        self.chosen[scenes] = chosen
        self.boxes[scenes, :, 2:] = self.table.boxes[chosen, 2:]
        if self.rules.max_overlap > 0 and self.rules.measure == "pixels":
            self.words[scenes] = self.table.rows(chosen)

    def _turn(self, scenes: np.ndarray, turn: int) -> None:
        digit = self.placed[scenes]
        self.boxes[scenes, digit, :2] = self._draw_corners(scenes, digit, turn)
        shares = self._overlaps(scenes, digit)
        largest = np.maximum(self.largest[scenes], shares)
        last = digit == self.rules.num_digits - 1
        fits = (shares <= self.rules.max_overlap) & (~last | (largest > self._required()))
        self.placed[scenes] += fits
        self.largest[scenes[fits]] = largest[fits]
        self.tries[scenes] = np.where(fits, 0, self.tries[scenes] + 1)
        self._restart(scenes[self.tries[scenes] == _TRIES])

    def _required(self) -> float:
        return self.rules.min_overlap if self.rules.max_overlap > 0 else -1.0

    def _restart(self, scenes: np.ndarray) -> None:
        self.placed[scenes] = self.tries[scenes] = 0
        self.largest[scenes] = 0.0
        self.starts[scenes] += 1
        self._choose(scenes[self.starts[scenes] % _KEEP == 0])

    def _draw_corners(self, scenes: np.ndarray, digit: np.ndarray, turn: int) -> np.ndarray:
        room = self.canvas - self.boxes[scenes, digit, 2:] + 1
        nook = max(1, 22 * self.canvas // 50)
        limit = np.where(digit[:, None] == 0, np.minimum(room, nook), room)
        draws = counter_rng.random_bits(
            self.seed, counter_rng.SCENE_PLACES, self.samples[scenes, None], turn, np.arange(2)
        )
        return counter_rng.below(limit, draws)

    def _overlaps(self, scenes: np.ndarray, digit: np.ndarray) -> np.ndarray:
        """Largest overlap (P,) of a scene's newest digit with those before it; infinite if boxes meet that must not."""
        rules = self.rules
        new, old = self.boxes[scenes, digit][:, None], self.boxes[scenes]
        shared = np.minimum(new[..., :2] + new[..., 2:], old[..., :2] + old[..., 2:])
        shared = (shared - np.maximum(new[..., :2], old[..., :2])).clip(min=0).prod(axis=-1)
        shared[np.arange(rules.num_digits) >= digit[:, None]] = 0
        if rules.max_overlap == 0:
            return np.where(shared.any(axis=1), np.inf, 0.0)
        if rules.measure == "boxes":
            return (shared / (2 * old[..., 2:].prod(axis=-1))).max(axis=1)
        shares = np.zeros(shared.shape)
        row, other = np.nonzero(shared)
        mine, theirs = self.words[scenes[row], digit[row]], self.words[scenes[row], other]
        down, right = (new[row, 0, :2] - old[row, other, :2]).T
        shares[row, other] = pixels.lit_share(mine, theirs, down, right)
        return shares.max(axis=1)


def _empty(count: int, num_digits: int, size: int, canvas: int) -> Scenes:
    return Scenes(
        images=np.empty((count, size, size, 1), np.float32),
        masks=np.empty((count, size, size, num_digits), bool),
        overlap=np.empty((count, size, size), bool),
        labels=np.empty((count, num_digits), np.int32),
        sources=np.empty((count, num_digits), np.int32),
        boxes=np.empty((count, num_digits, 4), np.int32),
        canvas=canvas,
    )
