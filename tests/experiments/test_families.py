"""The families' checks, behind the command line's: whatever a config holds, it is accepted or refused in one line."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from experiments import engine
from experiments.engine.process.errors import UsageError
from experiments.engine.run import command_line
from tests.experiments.families import FAMILIES

FILES = {name: f"experiments/configs/{name}.py:smoke" for name in FAMILIES}
KEYS = {
    "akorn": ("data.givens", "data.sparse_givens", "data.num_pieces"),
    "compare": ("model.gaspnet.channels", "model.waves.hidden"),
    "gaspnet": ("model.channels",),
    "komplexnet": ("feedback.all.feedback_rates", "feedback.l2.feedback_rates"),
    "sequences": ("model.hidden",),
    "waves": ("model.hidden", "data.num_objects", "data.radius"),
}
QUICK = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])

families = pytest.mark.parametrize("name", FAMILIES)
literals = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(())
values = st.recursive(
    literals,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


def config_of(name):
    return engine.complete(command_line.load_config(FILES[name]), FAMILIES[name])


def refusal(name, config):
    """The message where a config is refused; None where it is not."""
    try:
        command_line._check(config, FAMILIES[name])
    except UsageError as error:
        return str(error)
    return None


def refusal_of_words(name, *words):
    """The same of a command line."""
    try:
        command_line.parse([f"--config={FILES[name]}", *words], FAMILIES[name])
    except UsageError as error:
        return str(error)
    return None


@families
@QUICK
@given(st.data())
def test_any_value_of_an_entry_is_accepted_or_refused(name, data):
    config = config_of(name)
    keys = st.sampled_from(sorted(engine.leaves(config)))
    changes = data.draw(st.dictionaries(keys, values, min_size=1, max_size=3))
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    refusal(name, config)


@families
@QUICK
@given(st.data())
def test_any_override_is_accepted_or_refused(name, data):
    keys = st.sampled_from(sorted(engine.leaves(config_of(name))))
    texts = values.map(repr) | st.text(max_size=8)
    words = [f"--config.{key}={text}" for key, text in data.draw(st.lists(st.tuples(keys, texts), max_size=2))]
    message = refusal_of_words(name, *words)
    assert message is None or len(message.splitlines()) == 1


@families
@QUICK
@given(st.data())
def test_any_tuple_of_an_override_is_accepted_or_named(name, data):
    key = data.draw(st.sampled_from(KEYS[name]))
    value = data.draw(st.lists(literals, max_size=4).map(tuple))
    message = refusal_of_words(name, f"--config.{key}={value!r}")
    assert message is None or (message.startswith(f"config.{key}=") and "expected" in message), message


@families
@QUICK
@given(st.data())
def test_any_shorthand_is_accepted_or_refused(name, data):
    section = data.draw(st.sampled_from(("models", "tests")))
    shorthand = FAMILIES[name].shorthand(section)
    known = st.sampled_from([*shorthand.names, *shorthand.changes, "+", "@", "0.2", "3", "_", "."])
    text = "".join(data.draw(st.lists(known | st.text(max_size=2), max_size=5)))
    message = refusal_of_words(name, f"--{section}={text}")
    assert message is None or len(message.splitlines()) == 1, message


@families
def test_an_entry_that_is_not_there_is_named(name):
    whole = config_of(name)
    for key in engine.leaves(whole):
        config = whole.copy_and_resolve_references().unlock()
        place, _, last = key.rpartition(".")
        del (config[place] if place else config)[last]
        message = refusal(name, config)
        assert message is not None and last in message, (key, message)


@families
@pytest.mark.parametrize("other", FAMILIES)
def test_a_config_of_another_experiment_is_refused(name, other):
    message = refusal_of_words(name, f"--config={FILES[other]}") if name != other else refusal(name, config_of(name))
    assert (message is None) == (name == other)


@families
def test_every_entry_has_a_default_that_it_holds(name):
    family = FAMILIES[name]
    config = ConfigDict(engine.base_config(family.entries))
    for key, entry in engine.flat_entries(family.all_entries):
        assert entry.refusal(engine.leaves(config)[key]) is None, key
        assert entry.help
