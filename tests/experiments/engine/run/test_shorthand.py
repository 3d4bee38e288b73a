"""Shorthand for models and test sets, as a person types it."""

import pytest

from experiments import engine
from experiments.engine.process.errors import UsageError

ENTRIES = {
    "kind": engine.Entry(str, "kind"),
    "variance": engine.Entry(float, "variance"),
    "num_digits": engine.Entry(int, "digits"),
    "num_steps": engine.Entry(int, "steps"),
    "background": engine.Entry(bool, "background"),
    "model": {"offset": engine.Entry(float, "offset"), "gain": engine.Entry(float, "gain")},
}
SETS = engine.Shorthand(
    names={
        "noise": {"kind": "noise"},
        "digits": {"kind": "test"},
        "l2": {"kind": "l2"},
        "l": {"kind": "l"},
        "salt_pepper": {"kind": "salt"},
    },
    level={"noise": "variance", "digits": "num_digits", "l": "num_digits", "salt_pepper": "variance"},
    changes={
        "background": {"background": True},
        "plain": {"background": False},
        "digits": "num_digits",
        "weaken": {"model": {"offset": 1.0}},
        "amplify": {"model": {"gain": 2.0}},
    },
    steps="num_steps",
)


@pytest.mark.parametrize(
    ("text", "name", "table"),
    [
        ("noise", "noise", {"kind": "noise"}),
        ("noise2", "noise2", {"kind": "noise", "variance": 2.0}),
        ("noise0.2", "noise0_2", {"kind": "noise", "variance": 0.2, "label": "noise0.2"}),
        ("noise.2", "noise_2", {"kind": "noise", "variance": 0.2, "label": "noise.2"}),
        ("salt_pepper0.1", "salt_pepper0_1", {"kind": "salt", "variance": 0.1, "label": "salt_pepper0.1"}),
        ("noise_3", "noise_3", {"kind": "noise", "variance": 3.0}),
        ("l2", "l2", {"kind": "l2"}),  # an exact name wins
        ("l3", "l3", {"kind": "l", "num_digits": 3}),
        ("noise@60", "noise_60", {"kind": "noise", "num_steps": 60, "label": "noise@60"}),
        ("digits5", "digits5", {"kind": "test", "num_digits": 5}),
        (
            "noise0.2+digits3+background@60",
            "noise0_2_digits3_background_60",
            {
                "kind": "noise", "variance": 0.2, "num_digits": 3, "background": True, "num_steps": 60,
                "label": "noise0.2+digits3+background@60",
            },
        ),
        (
            "noise+weaken+amplify",
            "noise_weaken_amplify",
            {"kind": "noise", "model": {"offset": 1.0, "gain": 2.0}, "label": "noise+weaken+amplify"},
        ),
    ],
)  # fmt: skip
def test_shorthand_is_a_table(text, name, table):
    assert SETS.parse(text, ENTRIES) == (name, table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nois", r"no 'nois'; there are: noise\[LEVEL\], digits\[LEVEL\], l2, l\[LEVEL\], salt_pepper\[LEVEL\]; "
                 r"each with \[\+background\]\[\+plain\]\[\+digitsLEVEL\]\[\+weaken\]\[\+amplify\]\[@STEPS\]"
                 "; did you mean 'noise'"),
        ("noise0.2x", "no 'noise0.2x'"),
        ("noise+unknown", "no 'noise.unknown'"),
        ("noise+digits", "no 'noise.digits'"),
        ("noise+", "no"),
        ("", "no ''"),
        ("noise@", "no 'noise@'"),
        ("noise@0", "no 'noise@0'"),
        ("noise@6@7", "no"),
        ("noise+background+plain", r"'noise\+background\+plain' sets background twice"),
        ("noise+background+background", "sets background twice"),
        ("digits3+digits3", "sets num_digits twice"),
        ("noise+weaken+weaken", "sets offset twice"),
        ("digits2.5", r"'digits2\.5': 2\.5 must be of type int"),
    ],
)  # fmt: skip
def test_other_texts_are_refused_and_all_that_there_is_is_named(text, said):
    with pytest.raises(UsageError, match=said):
        SETS.parse(text, ENTRIES)


def test_without_steps_or_changes_there_are_none():
    plain = engine.Shorthand({"a": {"kind": "a"}})
    assert plain.describe() == "a"
    for text in ("a@3", "a+b", "a3"):
        with pytest.raises(UsageError, match=r"there are: a(; did you mean 'a'\?)?$"):
            plain.parse(text, ENTRIES)


def test_parsing_changes_nothing_that_is_declared():
    SETS.parse("noise+weaken+amplify", ENTRIES)
    assert SETS.changes["weaken"] == {"model": {"offset": 1.0}} and SETS.names["noise"] == {"kind": "noise"}
