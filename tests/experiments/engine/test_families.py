"""The experiments' own checks, behind the command line's: whatever a config holds, it is right or refused."""

import pytest
from experiments.gaspnet.settings import validate as gaspnet
from experiments.komplexnet.settings import validate as komplexnet
from experiments.waves.settings import validate as waves
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.engine.process.errors import UsageError
from experiments.engine.run import command_line as cli
from experiments.engine.run import config as config_lib

VALIDATE = {"gaspnet": gaspnet, "komplexnet": komplexnet, "waves": waves}
FILES = {name: f"experiments/configs/{name}.py:smoke" for name in VALIDATE}
KEYS = {
    "gaspnet": ("models", "tests", "model.channels"),
    "komplexnet": ("models", "tests", "feedback.all.feedback_rates", "feedback.l2.feedback_rates"),
    "waves": ("models", "model.hidden", "data.num_objects", "data.radius"),
}
QUICK = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])

families = pytest.mark.parametrize("name", VALIDATE)
literals = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(())
values = st.recursive(
    literals,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@pytest.fixture(autouse=True)
def at_the_root(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)


def refusal(name, config):
    """What is said where a config is refused; None where it is not."""
    try:
        cli._check(config, VALIDATE[name], name)
    except UsageError as error:
        return str(error)
    return None


def refusal_of_words(name, *words):
    """The same of a command line."""
    try:
        config = cli.parse([f"--config={FILES[name]}", *words], name).config
    except UsageError as error:
        return str(error)
    return refusal(name, config)


@families
@QUICK
@given(st.data())
def test_any_value_of_an_entry_is_right_or_refused(name, data):
    config = cli.load_config(FILES[name]).unlock()
    keys = st.sampled_from(sorted(config_lib.leaves(config)))
    changes = data.draw(st.dictionaries(keys, values, min_size=1, max_size=3))
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    refusal(name, config)


@families
@QUICK
@given(st.data())
def test_any_override_is_right_or_refused(name, data):
    keys = st.sampled_from(sorted(config_lib.leaves(cli.load_config(FILES[name]))))
    texts = values.map(repr) | st.text(max_size=8)
    words = [f"--config.{key}={text}" for key, text in data.draw(st.lists(st.tuples(keys, texts), max_size=2))]
    said = refusal_of_words(name, *words)
    assert said is None or len(said.splitlines()) == 1


@families
@QUICK
@given(st.data())
def test_any_tuple_of_an_override_is_right_or_named(name, data):
    key = data.draw(st.sampled_from(KEYS[name]))
    value = data.draw(st.lists(literals, max_size=4).map(tuple))
    said = refusal_of_words(name, f"--config.{key}={value!r}")
    assert said is None or (said.startswith(f"config.{key}=") and "expected" in said)


@families
def test_an_entry_that_is_not_there_is_named(name):
    whole = cli.load_config(FILES[name])
    for key in config_lib.leaves(whole):
        config = whole.copy_and_resolve_references().unlock()
        place, _, last = key.rpartition(".")
        del (config[place] if place else config)[last]
        said = refusal(name, config)
        assert said is None or last in said, (key, said)


@families
@pytest.mark.parametrize("other", VALIDATE)
def test_a_config_of_another_experiment_is_refused(name, other):
    assert (refusal(name, cli.load_config(FILES[other])) is None) == (name == other)
