"""Sudoku boards: one solution each, numbers of givens, samples by number, the cache; the solver."""

import numpy as np
import pytest

from data_gen import sudoku

DENSE = sudoku.generate(seed=1, num_examples=24)
SPARSE = sudoku.generate(seed=1, num_examples=60, kind="sparse")


def is_full(board):
    boxes = board.reshape(3, 3, 3, 3).swapaxes(1, 2).reshape(9, 9)
    return all((np.sort(lines, axis=1) == np.arange(1, 10)).all() for lines in (board, board.T, boxes))


@pytest.mark.parametrize("boards", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_every_board_has_its_solution_and_no_other(boards):
    for puzzle, solution in zip(*boards, strict=True):
        assert is_full(solution)
        assert (puzzle[puzzle > 0] == solution[puzzle > 0]).all()
        if (puzzle > 0).sum() >= 20:  # the search takes long of fewer
            np.testing.assert_array_equal(sudoku.solutions(puzzle), [solution])


def test_the_boards_of_17_givens_have_one_solution():
    for text in sudoku._SEEDS:
        assert len(sudoku.solutions(np.array(list(text), int).reshape(9, 9))) == 1
        assert len(text) - text.count("0") == 17


@pytest.mark.parametrize(("boards", "fewest", "most"), [(DENSE, 31, 42), (SPARSE, 17, 34)])
def test_numbers_of_givens(boards, fewest, most):
    counts = (boards.puzzles > 0).sum((1, 2))
    assert counts.min() >= fewest
    assert counts.max() <= most
    assert len(set(counts.tolist())) > 6


def test_boards_are_named_by_seed_and_number():
    again = sudoku.generate(seed=1, num_examples=3, start=5)
    np.testing.assert_array_equal(again.puzzles, DENSE.puzzles[5:8])
    np.testing.assert_array_equal(again.solutions, DENSE.solutions[5:8])
    other = sudoku.generate(seed=2, num_examples=3, givens=(40, 40))
    assert (other.solutions != DENSE.solutions[:3]).any((1, 2)).all()
    assert ((other.puzzles > 0).sum((1, 2)) == 40).all()
    assert len({board.tobytes() for board in SPARSE.solutions}) == len(SPARSE.solutions)
    assert sudoku.generate(seed=0, num_examples=0).puzzles.shape == (0, 9, 9)


def test_digits_and_places_are_even():
    first = np.bincount(SPARSE.solutions[:, :, 0].ravel(), minlength=10)[1:]
    assert (first == len(SPARSE.solutions)).all()
    assert len({tuple(board) for board in SPARSE.solutions[:, 0]}) == len(SPARSE.solutions)


def test_boards_are_kept_in_a_file(tmp_path, monkeypatch):
    first = sudoku.load(seed=3, num_examples=2, kind="sparse", folder=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(sudoku, "generate", None)
        again = sudoku.load(seed=3, num_examples=2, kind="sparse", folder=tmp_path)
    np.testing.assert_array_equal(first, again)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"damaged")
    np.testing.assert_array_equal(sudoku.load(seed=3, num_examples=2, kind="sparse", folder=tmp_path), first)


def test_solutions_of_a_board():
    board = DENSE.solutions[0].copy()
    board[board <= 2] = 0  # two digits that may be exchanged
    assert len(sudoku.solutions(board, limit=10)) >= 2
    assert len(sudoku.solutions(board, limit=1)) == 1
    wrong = DENSE.puzzles[0].copy()
    wrong[0] = 5
    assert sudoku.solutions(wrong).shape == (0, 9, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sudoku.generate(seed=0, num_examples=1, kind="easy"), "kind must be one of dense, sparse, got 'easy'"),
        (lambda: sudoku.generate(seed=0, num_examples=1, givens=(17, 34)), "givens must be two integers, 28 <= "),
        (lambda: sudoku.generate(seed=0, num_examples=1, kind="sparse", givens=(16, 34)), "17 <= smallest"),
        (lambda: sudoku.generate(seed=-1, num_examples=1), "seed must be an integer"),
        (lambda: sudoku.solutions(np.zeros((9, 8))), r"puzzle must be \(9, 9\) digits"),
        (lambda: sudoku.solutions(np.full((9, 9), 10)), "digits 0 to 9"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
