"""Videos of two digits that approach each other, overlap most in the middle and part: KomplexNet's moving digits.

Muzellec, Alamia, Serre and VanRullen, TMLR 2025, appendix "Moving digits". In the middle frame the two digits lie over
each other at the centre. From there one goes along a straight path in a random direction, the other along the opposite
one, and both bounce off the border; the frames before the middle show the same with directions exchanged, in reversed
time, so that each digit crosses the picture on one straight line.

Where the paper is silent: canvas and digits are those of the still scenes of two digits, so that a model trained on
these sees digits of the same size. The middle frame is number T // 2. Meeting places and directions are drawn until
the overlap is in its range in the middle and in no frame larger; `speed` lets digits part within about ten frames.
"""

from dataclasses import dataclass

import numpy as np

from data_gen import multi_mnist
from data_gen._tools import checks, counter_rng, pixels
from data_gen._tools.digit_table import DigitTable

_CHUNK = 16  # videos at a time: temporaries stay within the cache
_KEEP = 256
_MAX_TURNS = 20_000


@dataclass(frozen=True)
class Videos:
    """N videos of T frames.

    frames: float32 (N, T, size, size, 1) in [0, 1].
    masks: bool (N, T, size, size, 2), one per digit, without the pixels where they overlap.
    overlap: bool (N, T, size, size), pixels lit by both.
    shares: float32 (N, T), pixels lit by both over those lit by the smaller digit, measured on the canvas.
    labels: int32 (N, 2), different.
    sources: int32 (N, 2), index of each digit in the base.
    boxes: int32 (N, T, 2, 4), top, left, height and width of each digit on the canvas.
    canvas: side of the canvas before resizing.
    """

    frames: np.ndarray
    masks: np.ndarray
    overlap: np.ndarray
    shares: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    boxes: np.ndarray
    canvas: int

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.frames)

    @property
    def middle(self) -> int:
        """Number of the frame of largest overlap."""
        return self.frames.shape[1] // 2


def generate(
    base,
    *,
    seed: int,
    num_examples: int,
    num_frames: int = 30,
    max_overlap: float = 0.25,
    min_overlap: float = 0.0,
    speed: float = 1 / 15,
    size: int = 32,
    start: int = 0,
) -> Videos:
    """Make videos number start ... start + num_examples - 1 of the endless set that (base, seed, the rest) names.

    Args:
      base: digits, as `multi_mnist.generate` takes them.
      seed: integer in [0, 2**64).
      num_examples: number of videos, >= 0.
      num_frames: T, in [1, 1000].
      max_overlap: in (0, 1], of the pixels lit by both digits over those lit by the one with fewer.
      min_overlap: in [0, max_overlap), exclusive; of the middle frame.
      speed: in (0, 1], distance that each digit moves per frame, in sides of the base's largest digit.
      size: side of the frames, in [1, 1024].
      start: number of the first video, >= 0.
    Returns: Videos, the same bytes on every machine; video i does not depend on num_examples or start.
    Raises: ValueError with the value and what was expected; RuntimeError where no paths are found.
    """
    checks.samples(seed, num_examples, start)
    checks.count("num_frames", num_frames, 1, 1000)
    checks.count("size", size, 1, checks.SIDE)
    for name, value in (("max_overlap", max_overlap), ("speed", speed)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} must lie in (0, 1], got {value}")
    if not 0 <= min_overlap < max_overlap:
        raise ValueError(f"min_overlap must lie in [0, max_overlap = {max_overlap}), got {min_overlap}")
    table = DigitTable(base, 2)
    paths = _Paths(table, seed, num_frames, speed * table.side, (min_overlap, max_overlap))
    videos = _empty(num_examples, num_frames, size, paths.canvas)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        chosen, corners, videos.shares[part] = paths.draw(samples)
        boxes = np.concatenate([corners, np.broadcast_to(table.boxes[chosen][:, None, :, 2:], corners.shape)], axis=-1)
        every, flat = np.repeat(chosen, num_frames, axis=0), boxes.reshape(-1, 2, 4)
        layers = table.paint(every, flat, paths.canvas, size)
        for array, layer in zip((videos.frames[..., 0], videos.masks, videos.overlap), layers, strict=True):
            array[part] = layer.reshape(array[part].shape)
        videos.labels[part], videos.sources[part], videos.boxes[part] = table.labels[chosen], chosen, boxes
    return videos


def _empty(count: int, num_frames: int, size: int, canvas: int) -> Videos:
    return Videos(
        frames=np.empty((count, num_frames, size, size, 1), np.float32),
        masks=np.empty((count, num_frames, size, size, 2), bool),
        overlap=np.empty((count, num_frames, size, size), bool),
        shares=np.empty((count, num_frames), np.float32),
        labels=np.empty((count, 2), np.int32),
        sources=np.empty((count, 2), np.int32),
        boxes=np.empty((count, num_frames, 2, 4), np.int32),
        canvas=canvas,
    )


class _Paths:
    """Paths for the digits of P videos. All take turns together; in a turn each tries one meeting and direction."""

    def __init__(self, table: DigitTable, seed: int, num_frames: int, step: float, limits: tuple[float, float]) -> None:
        self.table, self.seed, self.limits = table, seed, limits
        self.canvas = multi_mnist.default_canvas(2, table.side)
        self.travelled = step * (np.arange(num_frames) - num_frames // 2)  # in pixels of the canvas, by frame

    def draw(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices (P, 2) in the base, corners (P, T, 2, 2) on the canvas and overlaps (P, T)."""
        count, num_frames = len(samples), len(self.travelled)
        chosen = np.empty((count, 2), np.int64)
        corners = np.empty((count, num_frames, 2, 2), np.int64)
        shares = np.empty((count, num_frames))
        pending = np.arange(count)
        for turn in range(_MAX_TURNS):
            if not len(pending):
                return chosen, corners, shares
            if turn % _KEEP == 0:
                rounds = np.full(len(pending), turn // _KEEP)
                chosen[pending] = self.table.choose(self.seed, counter_rng.MOVING_DIGITS, samples[pending], rounds, 2)
            accepted, corners[pending], shares[pending] = self._try(samples[pending], chosen[pending], turn)
            pending = pending[~accepted]
        raise RuntimeError(
            f"{len(pending)} of {count} videos (the first: {samples[pending[0]]}) found no paths in {_MAX_TURNS} tries "
            f"for an overlap in ({self.limits[0]}, {self.limits[1]}]: widen the range"
        )

    def _try(self, samples: np.ndarray, chosen: np.ndarray, turn: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whether each video accepts this turn's paths (P,), and corners and overlaps, undefined where it does not."""
        draws = counter_rng.random_bits(self.seed, counter_rng.MOVING_PATHS, samples[:, None], turn, np.arange(3))
        sizes, words = self.table.boxes[chosen, 2:], self.table.rows(chosen)
        meeting = self._meet(sizes, draws[:, :2])
        low, high = self.limits
        middle = pixels.lit_share(words[:, 0], words[:, 1], *(meeting[:, 0] - meeting[:, 1]).T)
        likely = np.flatnonzero((middle > low) & (middle <= high))
        turns = counter_rng.uniform(draws[likely, 2])
        direction = np.stack([counter_rng.cos_turns(turns), counter_rng.cos_turns((turns + 0.75) % 1)], axis=-1)
        corners = np.zeros((len(samples), len(self.travelled), 2, 2), np.int64)
        corners[likely] = self._bounce(sizes[likely], meeting[likely], direction)
        shares = np.zeros(corners.shape[:2])
        shares[likely] = _shares(words[likely], corners[likely])
        accepted = np.zeros(len(samples), bool)
        accepted[likely] = (shares[likely] <= middle[likely, None]).all(axis=1)
        return accepted, corners, shares

    def _meet(self, sizes: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Corners (P, 2, 2) of two digits whose boxes overlap, the smallest box round both at the centre."""
        first, second = sizes[:, 0], sizes[:, 1]
        offset = counter_rng.below(first + second - 1, draws) - (second - 1)
        low, high = np.minimum(0, offset), np.maximum(first, offset + second)
        corner = (self.canvas - (high - low)) // 2 - low
        return np.stack([corner, corner + offset], axis=1)

    def _bounce(self, sizes: np.ndarray, meeting: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Corners (P, T, 2, 2) along the direction for the first digit and against it for the second."""
        steps = np.rint(self.travelled[:, None] * direction[:, None, :]).astype(np.int64)
        free = meeting[:, None] + np.stack([steps, -steps], axis=2)
        room = (self.canvas - sizes)[:, None]
        return room - abs(free % (2 * room) - room)


def _shares(words: np.ndarray, corners: np.ndarray) -> np.ndarray:
    count, num_frames = corners.shape[:2]
    mine, theirs = (np.repeat(words[:, k], num_frames, axis=0) for k in (0, 1))
    offset = (corners[:, :, 0] - corners[:, :, 1]).reshape(-1, 2)
    return pixels.lit_share(mine, theirs, *offset.T).reshape(count, num_frames)
