"""Config entries: default, check and help in one place."""

import math

import pytest
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine.run import entries

HELP = "for a test"


def entry(default, check=None, required=False):
    return engine.Entry(default, HELP, check, required)


@pytest.mark.parametrize(
    ("subject", "value", "expected"),
    [
        (entry(3), 4, None),
        (entry(3), 4.0, r"a value of type int (such as 3)"),
        (entry(3), True, r"a value of type int (such as 3)"),
        (entry(3), None, r"a value of type int (such as 3)"),
        (entry(0.5), 1, None),
        (entry(0.5), "1", r"a value of type float (such as 0.5)"),
        (entry(False), True, None),
        (entry("a"), "b", None),
        (entry(int), None, None),
        (entry(int), 3, None),
        (entry(int), "3", "a value of type int"),
        (entry(int, engine.at_least(2)), None, None),
        (entry(int, engine.at_least(2)), 1, "at least 2"),
        (entry(str, required=True), None, "a value of type str"),
        (entry(str, engine.one_of("a", "b"), required=True), None, "one of a, b"),
        (entry("a", engine.one_of("a", "b")), "c", "one of a, b"),
        (entry(1, engine.between(0, 9)), 10, "0 to 9"),
        (entry(1.0, engine.POSITIVE), math.inf, "a finite number > 0"),
        (entry(1.0, engine.POSITIVE), 0, "a finite number > 0"),
        (entry(1.0, engine.NON_NEGATIVE), math.nan, "a finite number >= 0"),
        (entry(1.0, engine.FINITE), -math.inf, "a finite number"),
        (entry(3, engine.ODD), 4, "an odd number > 0"),
        (entry((1, 2), engine.each(engine.at_least(1))), (), "at least one value, each at least 1"),
        (entry((1, 2), engine.each(engine.at_least(1))), (1, "a"), "at least one value, each at least 1"),
        (entry((1, 2), engine.each(engine.at_least(1), 2)), (1, 2, 3), "2 values, each at least 1"),
        (entry((1, 2), engine.span(1, 5)), (3, 2), "a span within 1 to 5"),
        (entry((1, 2), engine.span(1, 5)), (1, 5), None),
    ],
)
def test_a_value_stands_or_what_was_expected_is_said(subject, value, expected):
    assert subject.refusal(value) == expected


def test_the_config_of_the_defaults():
    config = engine.base_config({"train": {"decay": entry(0.1)}, "data": {"size": entry(int)}})
    assert (config.train.decay, config.train.epochs, config.data.size, config.data.dir) == (0.1, 1, None, None)
    assert config.cpu_devices is None and config.models == ConfigDict() and config.tests == ConfigDict()
    config.data.size = 3
    with pytest.raises(TypeError):
        config.data.size = "large"


def test_every_entry_of_the_engine_holds_its_own_default_and_has_help():
    for key, each in entries.flat_entries(engine.ENTRIES):
        default = None if isinstance(each.default, type) else each.default
        assert each.refusal(default) is None, key
        assert each.help and len(each.help.splitlines()) == 1


def test_entries_merge_by_group_and_the_second_holds():
    merged = entries.merge({"a": {"x": entry(1), "y": entry(2)}}, {"a": {"y": entry(3)}, "b": entry(4)})
    assert {key: each.default for key, each in entries.flat_entries(merged)} == {"a.x": 1, "a.y": 3, "b": 4}


def test_placeholders_keep_type_and_check():
    ((_, found),) = entries.flat_entries(entries.placeholders({"a": entry(3, engine.at_least(1), required=True)}))
    assert (found.refusal(None), found.refusal(0), found.refusal("a")) == (None, "at least 1", "a value of type int")
