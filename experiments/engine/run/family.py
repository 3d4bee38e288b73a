"""A family of experiments, as the command line needs it before there is a config."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from experiments.engine.run.entries import ENTRIES, LABEL, SEEDS, Entries, Table, merge, placeholders
from experiments.engine.run.shorthand import Shorthand


def _unchanged(config: dict[str, Any]) -> dict[str, Any]:
    return config


class Family(NamedTuple):
    """A family of experiments.

    Attributes:
        name: as in `python -m experiments.NAME`; its workdirs name it.
        entries: of its configs, besides `ENTRIES`.
        model: entries of a table of `config.models`. Every table also has `label`, `seeds` in place of `config.seeds`,
            and the groups `model` and `train` with overrides of `config.model` and `config.train` for it alone.
        test: entries of a table of `config.tests`; every table also has `label`.
        models, tests: shorthand that may be typed for --models, --tests and --evaluate.
        check: config -> None; checks across entries. Raises ValueError with the value and what was expected.
        experiment: (config, tables of test sets by name) -> `Experiment`. The config is checked, and its `models` are
            those of this call and those that the workdir was trained with before; likewise the tests are those of
            `config.tests`, of --evaluate, and those that the workdir was measured on before. Must load no data. May
            raise ValueError.
        migrate: the "config" of a config.json of format 1 (models and tests lists of names), as JSON -> today's, with
            tables; entries that it leaves out get their defaults.
    """

    name: str
    entries: Entries
    model: Entries
    test: Entries
    models: Shorthand
    tests: Shorthand
    check: Callable[[ConfigDict], None]
    experiment: Callable[[ConfigDict, Mapping[str, Table]], Any]
    migrate: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged

    @property
    def all_entries(self) -> Entries:
        """Of a config, without the tables."""
        return merge(ENTRIES, self.entries)

    def table_entries(self, section: str) -> Entries:
        """Of a table of config.models ("models") or config.tests ("tests")."""
        if section == "tests":
            return merge(LABEL, self.test)
        overrides = {key: placeholders(self.all_entries[key]) for key in ("model", "train") if key in self.all_entries}
        return {**LABEL, **SEEDS, **self.model, **overrides}

    def shorthand(self, section: str) -> Shorthand:
        """Of "models" or "tests"."""
        return self.models if section == "models" else self.tests
