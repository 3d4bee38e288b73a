"""Pieces of four squares on black whose pixels are to be named by kind: the waves' Tetrominoes.

Jacobs, Budzinski, Muller, Ba and Keller, 2025 (after Kabra et al., 2019): one to five pieces of 14 to 28 pixels, six
classes with the background. A piece is an I, O, T, S or Z, J or L; mirrored pieces are one class.

Where the paper is silent: numbers of pieces, kinds, turns and mirrors are equally likely; a colour is drawn evenly from
the middle of the range, so that every piece and its rim can be seen; the rim, one pixel of each square, is half as
bright as the square or half-way from it to white.
"""

import numpy as np

from data_gen._tools import checks, counter_rng, pixels, placing
from data_gen.segmentation import LabelMaps

NAMES = ("I", "O", "T", "S, Z", "J, L")  # of classes 1 to 5
_SHAPES = (("####",), ("##", "##"), ("###", " # "), (" ##", "## "), ("#  ", "###"))
_DARKEST, _LEVELS = 64, 152  # colours lie in [64, 216) of 255
_CHUNK = 256  # pictures at a time: temporaries stay within the cache


def generate(
    *,
    seed: int,
    num_examples: int,
    num_pieces: tuple[int, int] = (1, 5),
    size: int = 64,
    square: int = 7,
    instances: bool = False,
    start: int = 0,
) -> LabelMaps:
    """Make pictures number start ... start + num_examples - 1 of the endless set that (seed, the rest) names.

    Args:
      seed: integer in [0, 2**64).
      num_examples: number of pictures, >= 0.
      num_pieces: fewest and most pieces per picture, 1 <= fewest <= most <= 64; their bounding boxes are apart.
      size: side of the pictures, in [4 square, 1024].
      square: side of the squares that make a piece, in [3, 16] pixels, rim included.
      instances: whether labels tell pieces apart, 1, 2, ... in the order of placing, instead of their kinds.
      start: number of the first picture, >= 0.
    Returns: LabelMaps with images (N, size, size, 3); class k + 1 is `NAMES[k]`. The same bytes on every machine;
      picture i does not depend on num_examples or start, nor the images on instances.
    Raises: ValueError with the value and what was expected; RuntimeError where pieces do not fit.
    """
    checks.samples(seed, num_examples, start)
    checks.span("num_pieces", num_pieces, 1, 64)
    checks.count("square", square, 3, pixels.WORD // 4)
    checks.count("size", size, 4 * square, checks.SIDE)
    pieces = _Pieces(square)
    maps = LabelMaps.empty(num_examples, size, 3)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        maps.images[part], maps.labels[part] = pieces.pictures(seed, samples, num_pieces, size, instances)
    return maps


class _Pieces:
    """The five kinds, mirrored or not, in four turns each, in squares of the given side.

    parts: uint8 (5, 2, 4, s, s), s = 4 square: 1 where a square is, 2 on its rim, 0 elsewhere; upper left.
    extents: int64 (5, 2, 4, 2), heights and widths.
    words: uint64 (5, 2, 4, s), the pieces' boxes by row.
    """

    def __init__(self, square: int) -> None:
        side = 4 * square
        tile = np.full((square, square), 2, np.uint8)
        tile[1:-1, 1:-1] = 1
        self.parts = np.zeros((len(_SHAPES), 2, 4, side, side), np.uint8)
        self.extents = np.zeros((len(_SHAPES), 2, 4, 2), np.int64)
        for kind, mirrored, turn in np.ndindex(self.extents.shape[:3]):
            cells = np.array([[cell == "#" for cell in row] for row in _SHAPES[kind]])
            piece = np.kron(np.rot90(cells[:, ::-1] if mirrored else cells, turn), tile)
            height, width = piece.shape
            self.parts[kind, mirrored, turn, :height, :width] = piece
            self.extents[kind, mirrored, turn] = height, width
        row, column = np.ogrid[:side, :side]
        boxes = (row < self.extents[..., 0, None, None]) & (column < self.extents[..., 1, None, None])
        self.words = pixels.row_words(boxes)

    def pictures(
        self, seed: int, samples: np.ndarray, num_pieces: tuple[int, int], size: int, instances: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images (P, size, size, 3) and labels (P, size, size) of the pictures with these numbers."""
        low, high = num_pieces
        counts = low + counter_rng.below(high - low + 1, counter_rng.random_bits(seed, counter_rng.PIECES, samples, 0))
        draws = counter_rng.random_bits(
            seed, counter_rng.PIECES, samples[:, None, None], 1 + np.arange(high)[:, None], np.arange(7)
        )
        kinds, mirrored, turns = (counter_rng.below(n, draws[..., k]) for k, n in enumerate((len(_SHAPES), 2, 4)))
        which = kinds, mirrored, turns
        address = {"seed": seed, "purpose": counter_rng.PIECE_PLACES, "samples": samples}
        corners = placing.places(self.words[which], self.extents[which], counts, canvas=size, **address)
        parts = self.parts[which] * (np.arange(high) < counts[:, None]).astype(np.uint8)[..., None, None]
        # 2 k + 1 in the squares of piece k, 2 k + 2 on their rims, 0 on the background; pieces may end at the border.
        index = np.zeros((len(samples), size + parts.shape[-1], size + parts.shape[-1]), np.uint8)
        for k in range(high):
            pixels.paste(index, parts[:, k] + np.uint8(2 * k) * (parts[:, k] > 0), *corners[:, k].T)
        index = index[:, :size, :size]
        names = np.broadcast_to(np.arange(high), kinds.shape) if instances else kinds
        colours, classes = _palette(names, draws[..., 3:])
        rows = np.arange(len(samples))[:, None, None]
        return colours[rows, index], classes[rows, index]


def _palette(kinds: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours float32 (P, 2 n + 1, 3), classes int32 (P, 2 n + 1) of background, then of square and rim by piece."""
    inside = 2 * (_DARKEST + counter_rng.below(_LEVELS, draws[..., :3]))  # in halves of a level
    lighter = counter_rng.below(2, draws[..., 3:])
    rim = inside // 2 + lighter * 255
    colours = np.stack([inside, rim], axis=2).reshape(len(kinds), -1, 3) / np.float32(510)
    classes = np.repeat(kinds + 1, 2, axis=1).astype(np.int32)
    return np.pad(colours.astype(np.float32), ((0, 0), (1, 0), (0, 0))), np.pad(classes, ((0, 0), (1, 0)))
