"""The one writer of Markdown tables and of mean ± standard deviation."""

import pytest

from experiments.engine import markdown


def test_a_table_escapes_bars():
    assert markdown.table(["a", "b|c"], [[1, "x|y"], [None, 2.5]]) == (
        "| a | b\\|c |\n| --- | --- |\n| 1 | x\\|y |\n| None | 2.5 |"
    )


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (0.5, {}, "0.500"),
        (12345.0, {}, "1.23e+04"),
        (2e-5, {}, "2.00e-05"),
        (0.0, {}, "0.000"),
        (None, {}, "undefined"),
        (0.5, {"sign": "+"}, "+0.500"),
        (0.5, {"form": ".1f"}, "0.5"),
    ],
)
def test_a_number(value, options, text):
    assert markdown.number(value, **options) == text


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((0.5, 0.25), {}, "0.500 ± 0.250"),
        ((0.5, None), {}, "0.500"),
        ((None, None), {}, "undefined"),
        ((2e-5, 1e-6), {}, "2.00e-05 ± 1.00e-06"),
        ((2e-5, 1e-2), {}, "0.000 ± 0.010"),
        ((0.5, 0.25, (0.25, 0.75)), {}, "0.500 ± 0.250 [0.250, 0.750]"),
        ((0.5, 0.25, (0.25, 0.75)), {"form": ".1f", "scale": 100}, "50.0 ± 25.0 [25.0, 75.0]"),
    ],
)
def test_mean_and_standard_deviation(arguments, options, text):
    assert markdown.mean_std(*arguments, **options) == text
