"""Sudoku: boards of 9 x 9 digits with exactly one solution, and a solver that checks that.

What Miyato, Löwe, Geiger and Welling (2025) train and test on, made on the fly. `dense` boards, 31 to 42 givens by
default, are full boards from which digits are taken away in random order as long as the solution stays the only one.
`sparse` boards, 17 to 34 givens by default, for tests out of distribution, begin with one of a few boards of 17 givens
(of those that Gordon Royle collected), transformed by a random symmetry of Sudoku, to which digits of the solution are
added; fewer than 17 are impossible. Numbers of givens are equally likely.
"""

import functools
import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from data_gen._tools import cache, checks, counter_rng, paths

KINDS = {"dense": (31, 42), "sparse": (17, 34)}  # and their usual numbers of givens
_FEWEST = {"dense": 28, "sparse": 17}  # below, taking digits away one by one ends too often before
_VERSION = 1  # of the cached boards
_SEEDS = (
    "000000010400000000020000000000050407008000300001090000300400200050100000000806000",
    "000000010400000000020000000000050604008000300001090000300400200050100000000807000",
    "000000012000035000000600070700000300000400800100000000000120000080000040050000600",
    "000000012003600000000007000410020000000500300700000600280000040000300500000000000",
    "000000012008030000000000040120500000000004700060000000507000300000620000000100000",
    "000000012040050000000009000070600400000100000000000050000087500601000300200000000",
    "000000012050400000000000030700600400001000000000080000920000800000510700000003000",
    "000000012300000060000040000900000500000001070020000000000350400001400800060000000",
)
_ALL = 0b111111111
_BOX = [cell // 27 * 3 + cell % 9 // 3 for cell in range(81)]


class Boards(NamedTuple):
    """puzzles: int8 (N, 9, 9), 0 for a blank. solutions: int8 (N, 9, 9), 1 to 9."""

    puzzles: np.ndarray
    solutions: np.ndarray


def generate(
    *,
    seed: int,
    num_examples: int,
    kind: Literal["dense", "sparse"] = "dense",
    givens: tuple[int, int] | None = None,
    start: int = 0,
) -> Boards:
    """Make boards number start ... start + num_examples - 1 of the endless set that (seed, the rest) names.

    Args:
      seed: integer in [0, 2**64).
      num_examples: number of boards, >= 0; ten thousand dense ones take minutes.
      kind: `dense` or `sparse`, see above.
      givens: fewest and most givens; None takes those of the kind. At least 28 for dense boards, 17 for sparse ones.
      start: number of the first board, >= 0.
    Returns: Boards with one solution each, the same on every machine; board i does not depend on num_examples or start.
    Raises: ValueError with the value and what was expected.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    givens = KINDS[kind] if givens is None else givens
    checks.samples(seed, num_examples, start)
    checks.span("givens", givens, _FEWEST[kind], 81)
    make = _dense if kind == "dense" else _sparse
    puzzles, solutions = np.zeros((2, num_examples, 81), np.int8)
    for i in range(num_examples):
        bits = counter_rng.random_bits(seed, counter_rng.SUDOKU, list(KINDS).index(kind), start + i, np.arange(1024))
        count = givens[0] + int(counter_rng.below(givens[1] - givens[0] + 1, bits[:1])[0])
        puzzles[i], solutions[i] = make(bits[1:], count)
    return Boards(puzzles.reshape(-1, 9, 9), solutions.reshape(-1, 9, 9))


def load(
    *,
    seed: int,
    num_examples: int,
    kind: Literal["dense", "sparse"] = "dense",
    givens: tuple[int, int] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Boards:
    """The first boards of `generate`, kept in a file for the next call.

    Args:
      seed, num_examples, kind, givens: as there.
      folder: of the file; None is the user's cache.
    """
    named = f"{kind}-{seed}-{num_examples}" + ("" if givens is None else f"-{givens[0]}-{givens[1]}")
    place = cache.user_folder() if folder is None else paths.user_path(folder)
    if place is None:
        return generate(seed=seed, num_examples=num_examples, kind=kind, givens=givens)
    path, fingerprint = place / f"sudoku-{named}.npz", f"sudoku {_VERSION} {named}"
    stored = cache.read(path, fingerprint)
    if stored is not None and set(stored) == set(Boards._fields):
        return Boards(**stored)
    boards = generate(seed=seed, num_examples=num_examples, kind=kind, givens=givens)
    cache.write(path, fingerprint, boards._asdict())
    return boards


def solutions(puzzle: np.ndarray, limit: int = 2) -> np.ndarray:
    """Solutions of a board, at most `limit` of them: int8 (n, 9, 9). One solution is what a puzzle should have.

    Raises: ValueError for another shape than (9, 9), or digits outside 0 to 9.
    """
    puzzle = np.asarray(puzzle)
    if puzzle.shape != (9, 9) or not np.isin(puzzle, range(10)).all():
        raise ValueError(f"puzzle must be (9, 9) digits 0 to 9, got shape {puzzle.shape}")
    checks.count("limit", limit, 1, 2**31)
    found = []
    state = _State(puzzle.ravel().tolist())
    if state.legal:
        for board in state.solve(range(1, 10)):
            found.append(board)
            if len(found) == limit:
                break
    return np.array(found, np.int8).reshape(-1, 9, 9)


class _State:
    """A board under solution: for every row, column and box the digits that it lacks, as bits."""

    def __init__(self, board: list[int]) -> None:
        self.board = board
        self.rows, self.columns, self.boxes = [_ALL] * 9, [_ALL] * 9, [_ALL] * 9
        self.legal = True
        for cell, digit in enumerate(board):
            if digit:
                self.legal &= bool(self.free(cell) >> (digit - 1) & 1)
                self.place(cell, digit)

    def free(self, cell: int) -> int:
        return self.rows[cell // 9] & self.columns[cell % 9] & self.boxes[_BOX[cell]]

    def place(self, cell: int, digit: int) -> None:
        bit = 1 << (digit - 1)
        self.board[cell] = digit
        self.rows[cell // 9] &= ~bit
        self.columns[cell % 9] &= ~bit
        self.boxes[_BOX[cell]] &= ~bit

    def remove(self, cell: int) -> None:
        bit = 1 << (self.board[cell] - 1)
        self.board[cell] = 0
        self.rows[cell // 9] |= bit
        self.columns[cell % 9] |= bit
        self.boxes[_BOX[cell]] |= bit

    def solve(self, order: range | list[int]) -> Iterator[list[int]]:
        """All solutions, digits tried in this order; the board is as before once the last one is taken."""
        cell, candidates = self._fewest()
        if cell < 0:
            yield self.board[:]
            return
        for digit in order:
            if candidates >> (digit - 1) & 1:
                self.place(cell, digit)
                yield from self.solve(order)
                self.remove(cell)

    def _fewest(self) -> tuple[int, int]:
        """The blank with the fewest digits to choose from, and these; -1 if there is no blank."""
        best, found, least = -1, 0, 10
        rows, columns, boxes = self.rows, self.columns, self.boxes
        for cell, digit in enumerate(self.board):
            if not digit:
                free = rows[cell // 9] & columns[cell % 9] & boxes[_BOX[cell]]
                count = free.bit_count()
                if count < least:
                    best, found, least = cell, free, count
                    if count < 2:
                        break
        return best, found

    def needs(self, cell: int) -> bool:
        """Whether the board would have another solution without the digit in this cell."""
        digit = self.board[cell]
        self.remove(cell)
        others = self.free(cell) & ~(1 << (digit - 1))
        needed = False
        for other in range(1, 10):
            if others >> (other - 1) & 1 and not needed:
                # A copy: a search that stops at its first solution leaves the board full.
                trial = _State(self.board[:])
                trial.place(cell, other)
                needed = next(trial.solve(range(1, 10)), None) is not None
        self.place(cell, digit)
        return needed


def _order(bits: np.ndarray) -> list[int]:
    return np.argsort(bits, kind="stable").tolist()


def _dense(bits: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    """A board with `count` givens; where taking digits away ends before, another one."""
    while True:
        full = _full(bits[:108])
        state = _State(full[:])
        left = 81
        for cell in _order(bits[108:189]):
            if left == count:
                break
            if not state.needs(cell):
                state.remove(cell)
                left -= 1
        if left == count:
            return state.board, full
        bits = counter_rng.random_bits(int(bits[0]), np.arange(len(bits)))


def _full(bits: np.ndarray) -> list[int]:
    """A full board: three boxes at random, the rest by the solver, then a random symmetry."""
    board = [0] * 81
    for box in range(3):
        for place, digit in enumerate(_order(bits[9 * box : 9 * box + 9])):
            board[27 * box + 3 * box + place // 3 * 9 + place % 3] = digit + 1
    solved = next(_State(board).solve([digit + 1 for digit in _order(bits[27:36])]))
    return _transformed(np.array(solved), bits[36:]).tolist()


def _sparse(bits: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    board, solved = _seed(int(counter_rng.below(len(_SEEDS), bits[:1])[0]))
    puzzle, full = (_transformed(np.array(x), bits[1:]).tolist() for x in (board, solved))
    blanks = [cell for cell in _order(bits[100:181]) if not puzzle[cell]]
    for cell in blanks[: count - 17]:
        puzzle[cell] = full[cell]
    return puzzle, full


@functools.cache
def _seed(index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A board of 17 givens and its solution."""
    board = [int(digit) for digit in _SEEDS[index]]
    return tuple(board), tuple(next(_State(board[:]).solve(range(1, 10))))


def _transformed(board: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """A random symmetry: digits renamed, rows exchanged within bands and bands as a whole, columns too, transposed."""
    names = np.concatenate([[0], 1 + np.argsort(bits[:9], kind="stable")])
    rows, columns = (_lines(bits[9 + 12 * i : 21 + 12 * i]) for i in range(2))
    board = names[board.reshape(9, 9)][rows][:, columns]
    return (board.T if bits[33] >> np.uint64(63) else board).ravel()


def _lines(bits: np.ndarray) -> np.ndarray:
    """An order of nine lines that keeps the three bands together."""
    within = np.argsort(bits[:9].reshape(3, 3), axis=1, kind="stable")
    return (3 * np.arange(3)[:, None] + within)[np.argsort(bits[9:12], kind="stable")].ravel()
