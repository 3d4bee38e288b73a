"""Markdown: the one table writer, and the one form of numbers and of mean ± standard deviation."""

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table without a newline at its end; "|" in cells is escaped.

    Args:
        head: titles of the columns.
        rows: cells, as many as there are columns.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float | None, sign: str = "", form: str | None = None) -> str:
    """A number; "undefined" for None.

    Args:
        value: or None.
        sign: "+" to write it also before positive numbers.
        form: of `format`; None: three decimals, or scientific where that shows nothing.
    """
    return "undefined" if value is None else f"{value:{sign}{form or _form(value)}}"


def mean_std(
    mean: float | None,
    std: float | None,
    interval: tuple[float, float] | None = None,
    form: str | None = None,
    scale: float = 1.0,
) -> str:
    """`mean ± std [low, high]`, all in one form; "undefined" without a mean, the mean alone without a std.

    Args:
        mean, std: over seeds.
        interval: of the mean.
        form: as for `number`; None: as the larger of mean and std needs.
        scale: factor on all of them, 100 for percent.
    """
    if mean is None:
        return "undefined"
    form = form or _form(scale * max(abs(mean), std or 0.0))
    if std is None:
        return f"{scale * mean:{form}}"
    text = f"{scale * mean:{form}} ± {scale * std:{form}}"
    return text if interval is None else f"{text} [{scale * interval[0]:{form}}, {scale * interval[1]:{form}}]"


def _form(value: float) -> str:
    return ".3f" if 1e-3 <= abs(value) < 1e4 or abs(value) < 1e-12 else ".2e"
