"""Configs: tables, variants as diffs, checks, and their form in config.json."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.run.entries import Entries, Entry, Table, base_config, defaults, flat_entries
from experiments.engine.run.family import Family

SECTIONS = ("models", "tests")
RESERVED = ("train", "validation")  # splits that are no test sets
# Entries that may differ when a run is continued: where it runs and has its data, which changes numbers by rounding
# alone, and the number of seeds, which changes no other seed. Tables of models and tests may be added and left out.
WHERE = ("cpu_devices", "mesh", "seed_strategy", "seeds_at_once", "slice_size", "data.dir")
MAY_CHANGE = (*WHERE, "seeds", "models", "tests")


def variant(config: ConfigDict, variants: Mapping[str, Mapping[str, Any]], names: str | None) -> ConfigDict:
    """A config with the differences of the named variants applied; None or "" leaves it as it is.

    Args:
        config: the base, changed in place.
        variants: name -> {dotted key: value}. Where two have an entry the later one here wins. The keys "models" and
            "tests" replace all tables.
        names: one, or several with commas between, in any order.

    Raises:
        ValueError: no such variant (names those there are), or a variant's key is not the config's.
    """
    present = leaves(config)
    chosen = names.split(",") if names else []
    for name in chosen:
        if name not in variants:
            raise ValueError(f"no variant {name!r}; there are: {', '.join(variants)}")
    for name in (name for name in variants if name in chosen):
        changes = dict(variants[name])
        for section in SECTIONS:
            if section in changes:
                config[section] = ConfigDict(changes.pop(section))
        for key in changes:
            if key not in present:
                raise ValueError(f"variant {name!r} has no entry to change: config.{key}{nearest(key, present)}")
        config.update_from_flattened_dict(changes)
    return config


def leaves(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    values = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        values.update(leaves(value, path + ".") if isinstance(value, ConfigDict) else {path: value})
    return values


def type_of(config: ConfigDict, key: str) -> type:
    """Type of the values of an entry, given by its dotted key."""
    group, _, last = key.rpartition(".")
    return (config[group] if group else config).get_type(last)


def nearest(key: str, present: Iterable[str]) -> str:
    """A half-sentence that offers the present key nearest to a wrong one, or "" where none is near."""
    present = list(present)
    near = difflib.get_close_matches(key, present, 1, 0.6)
    if not near:
        last = key.rsplit(".", 1)[-1]
        by_last = {name.rsplit(".", 1)[-1]: name for name in present}
        near = [by_last[name] for name in difflib.get_close_matches(last, by_last, 1, 0.6)]
    return f"; did you mean --config.{near[0]}?" if near else ""


def to_json(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON holds it (tuples become lists), in the order in which it was written.

    A ConfigDict itself lists its keys in alphabetical order.
    """
    return json.loads(config.to_json_best_effort())


def from_json(stored: Mapping[str, Any], family: Family) -> ConfigDict:
    """The inverse of `to_json` (lists become tuples), locked; entries that are not stored have their defaults.

    Raises:
        RunError: it cannot be a config of the family.
    """
    config = base_config(family.entries)
    try:
        config.update(_with_tuples(stored))
    except (TypeError, ValueError, AttributeError) as error:  # another type; a key with a dot; no group
        raise RunError(f"the stored config is damaged: {' '.join(str(error).split())}") from error
    return complete(config, family).lock()


def _with_tuples(value):
    if isinstance(value, Mapping):
        return {key: _with_tuples(entry) for key, entry in value.items()}
    return tuple(_with_tuples(entry) for entry in value) if isinstance(value, list) else value


def with_defaults(stored: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """A config as JSON, in which the entries that it does not have are at their defaults; tables too."""
    whole = _filled(stored, family.all_entries)
    for section in SECTIONS:
        tables = whole.get(section, {})
        if isinstance(tables, Mapping):
            entries = family.table_entries(section)
            whole[section] = {name: _filled(table, entries) for name, table in tables.items()}
    return whole


def _filled(stored: Any, entries: Entries) -> Any:
    if not isinstance(stored, Mapping):
        return stored
    filled = dict(stored)
    for key, entry in entries.items():
        if isinstance(entry, Entry):
            default = None if isinstance(entry.default, type) else json.loads(json.dumps(entry.default))
            filled.setdefault(key, default)
        else:
            filled[key] = _filled(stored.get(key, {}), entry)
    return filled


def complete(config: ConfigDict, family: Family) -> ConfigDict:
    """The config, in place, with every table of models and tests completed by the entries of the family.

    Raises:
        UsageError: a section is no group of tables, or a table has a key that the family does not know; names the
            nearest.
    """
    with config.unlocked():
        for section in SECTIONS:
            written = tables(config, section)
            config[section] = ConfigDict(
                {
                    name: completed(f"{section}.{name}", table, family.table_entries(section))
                    for name, table in written.items()
                }
            )
    return config


def tables(config: ConfigDict, section: str) -> dict[str, Table]:
    """The tables of `config.models` or `config.tests` by name, in the order in which they were written.

    Raises:
        UsageError: the section is no group of tables.
    """
    group = config.get(section, {})
    if not (isinstance(group, ConfigDict) and all(isinstance(table, ConfigDict) for table in group.values())):
        raise UsageError(f"config.{section}={group!r}: expected tables, NAME = {{KEY: VALUE, ...}}")
    return {name: group[name].to_dict() for name in to_json(group)}


def completed(place: str, table: Mapping[str, Any], entries: Entries) -> ConfigDict:
    """A table with all of its entries; those that it does not set have their defaults.

    Args:
        place: dotted key of the table, for messages.
        table: keys and values as they were written.
        entries: of the table.

    Raises:
        UsageError: a key is not among the entries, or a value has another type.
    """
    whole = ConfigDict(defaults(entries))
    for key, value in _flat_values(table, entries):
        keys = [name for name, _ in flat_entries(entries)]
        if key not in keys:
            offered = nearest(f"{place}.{key}", [f"{place}.{each}" for each in keys])
            raise UsageError(f"there is no config.{place}.{key}{offered}")
        try:
            whole.update_from_flattened_dict({key: value})
        except (TypeError, ValueError) as error:
            kind = dict(flat_entries(entries))[key].type.__name__
            raise UsageError(f"config.{place}.{key}={value!r}: expected a value of type {kind}") from error
    return whole


def _flat_values(table, entries, prefix=""):
    for key, value in table.items():
        if isinstance(value, Mapping | ConfigDict) and not isinstance(entries.get(key), Entry):
            yield from _flat_values(value, entries.get(key, {}), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_levels(entry: str, test: Mapping[str, Any], levels: Mapping[str, str]) -> None:
    """Raise ValueError unless the level of a test set is given where its kind has one, and nowhere else.

    Args:
        entry: dotted key of the table, for messages.
        test: the table of the test set, with `kind`.
        levels: the entry that holds the level, by kind.
    """
    kind = test["kind"]
    for needed, level in levels.items():
        if (kind == needed) != (test[level] is not None):
            expected = "a value" if kind == needed else "None"
            raise ValueError(f"{entry}.{level}={test[level]!r}: expected {expected} for the kind {kind}")


def label(name: str, table: Mapping[str, Any]) -> str:
    """The name of a model or a test set in metrics.jsonl, tables and figures."""
    return table.get("label") or name


def of_model(config: ConfigDict, name: str, changes: Iterable[str] = ()) -> ConfigDict:
    """The config of one model: `seeds`, `model` and `train` with the overrides that are set.

    They are applied in this order: of `config.train_of.CHANGE` for each of `changes`, those of the model's table.

    Args:
        config: of the run.
        name: of the table in `config.models`.
        changes: groups of `config.train_of`, for example the model's network; those that are not there are left out.
    """
    own = config.copy_and_resolve_references()
    table = config.models[name]
    own.seeds = table.get("seeds") or config.seeds
    train = [config.get("train_of", {}).get(change, {}) for change in changes]
    groups = [*(("train", each) for each in train), *((key, table.get(key, {})) for key in ("model", "train"))]
    for group, overrides in groups:
        set_ = {key: value for key, value in leaves(overrides).items() if value is not None}
        if set_:
            own[group].update_from_flattened_dict(set_)
    return own


def check_members(config: ConfigDict, before: Mapping[str, Any]) -> None:
    """Check that overrides left members of tuples of the types they had; an int may stand where floats did.

    Args:
        config: with the overrides.
        before: its `leaves` without them. An empty tuple says nothing of its members.

    Raises:
        UsageError: one is of another type, or several are written as one text; names the entry and what was expected.
    """
    for key, value in leaves(config).items():
        old = before[key]
        if not (isinstance(old, tuple) and old and isinstance(value, tuple)):
            continue
        types = {type(member) for member in old}
        if not {type(member) for member in value} <= types | ({int} if float in types else set()):
            expected = " or ".join(sorted(kind.__name__ for kind in types))
            raise UsageError(f"config.{key}={value!r}: expected members of type {expected}, such as {old[0]!r}")
        if value != old and types == {str} and len(value) == 1 and "," in value[0]:
            several = repr(tuple(map(str.strip, value[0].split(",")))).replace(" ", "")
            raise UsageError(f'config.{key}={value[0]!r}: expected a tuple, written as "{several}"')


def check(config: ConfigDict, family: Family) -> None:
    """Check a config that is `complete`: every entry, the tables, conditions across entries, `family.check`.

    Raises:
        UsageError: an entry is missing, unknown or out of range; names it, its value and what was expected.
    """
    _check_entries("", {key: value for key, value in config.items() if key not in SECTIONS}, family.all_entries)
    for section in SECTIONS:
        check_tables(tables(config, section), section, family)
    own_seeds = {f"models.{name}.seeds": table.seeds or 0 for name, table in config.models.items()}
    for place, seeds in {"seeds": config.seeds, **own_seeds}.items():
        if config.seed + seeds > 2**31:
            raise UsageError(f"config.seed={config.seed}, config.{place}={seeds}: the last seed must be below 2**31")
    for place, train in (("", config.train), *((f"models.{n}.", of_model(config, n).train) for n in config.models)):
        if train.batch_size > train.num_examples:
            raise UsageError(
                f"config.{place}train.batch_size={train.batch_size}: expected at most "
                f"config.train.num_examples={train.num_examples}"
            )
    try:
        family.check(config)
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_tables(by_name: Mapping[str, Table], section: str, family: Family) -> None:
    """Check completed tables of models or tests.

    Raises:
        UsageError: there is none, an entry is out of range, or labels are not fit for files or not different.
    """
    if not by_name:
        raise UsageError(f"config.{section} has no tables: expected at least one")
    seen: dict[str, str] = {}
    for name, table in by_name.items():
        _check_entries(f"{section}.{name}.", table, family.table_entries(section))
        known_as = label(name, table)
        if not name.isidentifier() or "/" in known_as or known_as in RESERVED or known_as != known_as.strip(". "):
            raise UsageError(
                f"config.{section}.{name}: expected a name of letters, digits and _, and a label that is a file's name "
                f"and none of {', '.join(RESERVED)}; got the label {known_as!r}"
            )
        if known_as in seen:
            first = f"config.{section}.{seen[known_as]}"
            raise UsageError(f"config.{section}.{name} has the label of {first}: {known_as!r}")
        seen[known_as] = name


def _check_entries(place: str, values: Mapping[str, Any], entries: Entries) -> None:
    present = dict(_flat_values(values, entries))
    expected = dict(flat_entries(entries))
    if missing := [f"{place}{key}" for key in expected if key not in present]:
        raise UsageError(f"the config lacks {', '.join(missing)}")
    for key, value in present.items():
        if key not in expected:
            raise UsageError(f"there is no config.{place}{key}{nearest(key, expected)}")
        if refused := expected[key].refusal(value):
            shown = value.to_dict() if isinstance(value, ConfigDict) else value
            raise UsageError(f"config.{place}{key}={shown!r}: expected {refused}")
