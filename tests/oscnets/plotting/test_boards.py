"""oscnets.plotting: Sudokus while they are solved."""

import numpy as np
import pytest

from oscnets import plotting
from oscnets.plotting import boards

SOLUTIONS = np.stack([(3 * (np.arange(9)[:, None] % 3) + np.arange(9)[:, None] // 3 + np.arange(9)) % 9 + 1] * 2)
PUZZLES = SOLUTIONS * (np.arange(81).reshape(9, 9) % 2)
ANSWERS = np.stack([np.stack([SOLUTIONS[0] % 9 + 1, SOLUTIONS[0]])] * 2)  # all wrong, then all right
ANSWERS[1, 1, 0, 0] += 1
COLOURS = np.random.default_rng(0).uniform(size=(2, 2, 9, 9, 3))


def test_film_of_boards():
    """Digits in the colours of given, right and wrong ones; the states; the course of right cells."""
    animation = plotting.board_animation(PUZZLES, SOLUTIONS, ANSWERS, COLOURS, np.ones((2, 2)), title="net")
    assert animation.num_frames == 2
    drawn, axes = {}, animation.figure.axes
    for frame in range(2):
        animation.show(frame)
        drawn[frame] = [{text.get_color(): 0 for text in board.texts} for board in (axes[0], axes[4])]
        for counts, board in zip(drawn[frame], (axes[0], axes[4]), strict=True):
            for text in board.texts:
                counts[text.get_color()] += 1
        np.testing.assert_allclose(axes[1].images[0].get_array(), COLOURS[0, frame])
        assert animation.figure.get_suptitle() == f"net, step {frame + 1} of 2"
    assert drawn[0] == [{boards.GIVEN: 40, boards.WRONG: 41}] * 2
    assert drawn[1] == [{boards.GIVEN: 40, boards.RIGHT: 41}, {boards.GIVEN: 40, boards.RIGHT: 40, boards.WRONG: 1}]
    assert axes[0].texts[1].get_text() == str(SOLUTIONS[0, 0, 1])
    np.testing.assert_allclose(axes[2].lines[0].get_ydata(), [0, 1])


def test_boards_that_differ_in_number_are_refused():
    with pytest.raises(ValueError, match="boards differ in number: 2, 2, 1, 1, 1, 1"):
        plotting.board_animation(PUZZLES, SOLUTIONS, ANSWERS[:1], COLOURS[:1], np.ones((1, 2)))
    with pytest.raises(ValueError, match="answers must have 4 axes"):
        plotting.board_animation(PUZZLES, SOLUTIONS, ANSWERS[0], COLOURS, np.ones((2, 2)))
