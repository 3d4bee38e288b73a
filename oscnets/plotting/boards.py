"""Sudokus while oscillators solve them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets.plotting.canvas import Animation, check_rank, new_figure, show_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GIVEN, RIGHT, WRONG = "black", "tab:green", "tab:red"  # colours of digits


def board_animation(
    puzzles: ArrayLike,
    solutions: ArrayLike,
    answers: ArrayLike,
    colours: ArrayLike,
    energies: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Animation:
    """One column per board, one frame per step: digits, states, and how right cells and energy go over the steps.

    Given digits are black, right answers green and wrong ones red.

    Args:
        puzzles: (N, 9, 9) digits, 0 for a blank. solutions: (N, 9, 9).
        answers: (N, T, 9, 9) digits after every step; those of given cells are not shown.
        colours: (N, T, 9, 9, 3) in [0, 1], the states. energies: (N, T).
        names: N headings of the columns. title: stands before the step.

    Raises:
        ValueError: an array of another number of axes, or of boards.
    """
    puzzles, solutions = check_rank("puzzles", puzzles, 3), check_rank("solutions", solutions, 3)
    answers, colours = check_rank("answers", answers, 4), check_rank("colours", colours, 5).astype(float)
    energies = check_rank("energies", energies, 2)
    number, length = answers.shape[:2]
    names = [f"board {i + 1}" for i in range(number)] if names is None else names
    if not len(puzzles) == len(solutions) == len(colours) == len(energies) == len(names) == number:
        counts = f"{len(puzzles)}, {len(solutions)}, {number}, {len(colours)}, {len(energies)}, {len(names)}"
        raise ValueError(f"boards differ in number: {counts}")
    blank = puzzles == 0
    right = (blank[:, None] & (answers == solutions[:, None])).sum((2, 3)) / np.maximum(blank.sum((1, 2)), 1)[:, None]
    figure = new_figure(2.6 * max(number, 2), 7.0)
    rows = figure.add_gridspec(3, number, height_ratios=[1.0, 1.0, 0.6])
    texts, states, markers = [], [], []
    for i in range(number):
        texts.append(_board(figure.add_subplot(rows[0, i]), puzzles[i], names[i]))
        states.append(figure.add_subplot(rows[1, i]))
        show_picture(states[-1], np.zeros((9, 9, 3)), "states" if i == 0 else "")
        markers.append(_courses(figure.add_subplot(rows[2, i]), right[i], energies[i], i, number))

    def show(frame: int) -> None:
        for i in range(number):
            for (row, column), text in texts[i].items():
                digit = answers[i, frame, row, column]
                text.set(text=str(digit), color=RIGHT if digit == solutions[i, row, column] else WRONG)
            states[i].images[0].set_data(colours[i, frame].clip(0, 1))
            markers[i].set_xdata([frame + 1])
        figure.suptitle(f"{title}{', ' if title else ''}step {frame + 1} of {length}")

    show(0)
    figure.canvas.draw()
    figure.set_layout_engine("none")  # so that only the boards change from frame to frame
    return Animation(figure, show, length)


def _board(axes: Axes, puzzle: NDArray[Any], name: str) -> dict[tuple[int, int], Any]:
    """Draw the lines and the given digits; texts of the blank cells by row and column."""
    axes.set(xlim=(0, 9), ylim=(9, 0), aspect="equal", xticks=[], yticks=[])
    axes.set_title(name, fontsize=9)
    for line in range(10):
        for draw in (axes.axhline, axes.axvline):
            draw(line, color="black", linewidth=0.4 if line % 3 else 1.4)
    texts = {}
    for row, column in np.ndindex(9, 9):
        digit = puzzle[row, column]
        place = {"x": column + 0.5, "y": row + 0.55, "ha": "center", "va": "center", "fontsize": 9}
        text = axes.text(s=str(digit) if digit else "", color=GIVEN, weight="bold" if digit else "normal", **place)
        if not digit:
            texts[row, column] = text
    return texts


def _courses(axes: Axes, right: NDArray[Any], energies: NDArray[Any], column: int, number: int) -> Any:
    """Share of right cells and energy over the steps, named in the outer columns; the line that marks a step."""
    steps = np.arange(1, len(right) + 1)
    axes.plot(steps, right, color=RIGHT)
    axes.set(ylim=(0, 1.05), xlim=(1, max(len(right), 2)), xlabel="step")
    axes.set_ylabel("share of blank cells right" if column == 0 else "", color=RIGHT, fontsize=8)
    other = axes.twinx()
    other.plot(steps, energies, color="tab:blue")
    other.set_ylabel("energy" if column == number - 1 else "", color="tab:blue", fontsize=8)
    other.tick_params(labelsize=7, colors="tab:blue")
    axes.tick_params(labelsize=7)
    return axes.axvline(1, color="grey", linewidth=1)
