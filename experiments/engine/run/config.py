"""Configs: the entries that every experiment has, variants as diffs, and checks."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from experiments.engine.process import devices as mesh
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.training.seeds import STRATEGIES


def base() -> ConfigDict:
    """The entries that the engine reads, with their defaults; an experiment adds its own.

    seed: first seed; the run trains seeds seed ... seed + seeds - 1.
    seed_strategy: "vmap" (all seeds in one call), "loop" (one after the other), or "auto" (by kind of device).
    cpu_devices: JAX devices to split the CPU into; 0 = one a usable core.
    mesh: how seeds and batches share the devices: "auto" (seeds first, batches next), or sizes, "SEEDxDATA".
    checkpoint_every, log_every: training steps between checkpoints, and between training lines of metrics.jsonl.
    """
    return ConfigDict({
        "seed": 0,
        "seeds": 1,
        "seed_strategy": "auto",
        "cpu_devices": 0,
        "mesh": "auto",
        "checkpoint_every": 100,
        "log_every": 20,
        "tensorboard": False,
        "train": {"epochs": 1, "num_examples": 1024, "batch_size": 128, "learning_rate": 1e-3},
    })  # fmt: skip


# What may differ when a run is continued: where it runs and has its data, which changes numbers by rounding alone, and
# how much it does: no seed, model or test set hears of the others.
WHERE = ("cpu_devices", "mesh", "seed_strategy", "data.dir")
MAY_CHANGE = (*WHERE, "seeds", "models", "tests")


def variant(config: ConfigDict, variants: Mapping[str, Mapping[str, Any]], names: str | None) -> ConfigDict:
    """A config with the differences of the named variants applied; None or "" leaves it as it is.

    Args:
        config: the base, changed in place.
        variants: name -> {dotted key: value}. Where two have an entry the later one here wins.
        names: one, or several with commas between, in any order.

    Raises:
        ValueError: no such variant (names those there are), or a variant's key is not the config's.
    """
    known = leaves(config)
    chosen = names.split(",") if names else []
    for name in chosen:
        if name not in variants:
            raise ValueError(f"no variant {name!r}; there are: {', '.join(variants)}")
    for name in (name for name in variants if name in chosen):
        for key in variants[name]:
            if key not in known:
                raise ValueError(f"variant {name!r} has no entry to change: config.{key}{nearest(key, known)}")
        config.update_from_flattened_dict(variants[name])
    return config


def leaves(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    found = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        found.update(leaves(value, path + ".") if isinstance(value, ConfigDict) else {path: value})
    return found


def nearest(key: str, known: Iterable[str]) -> str:
    """A half-sentence that offers the known key nearest to a wrong one, or "" where none is near."""
    known = list(known)
    near = difflib.get_close_matches(key, known, 1, 0.6)
    if not near:
        last = key.rsplit(".", 1)[-1]
        by_last = {name.rsplit(".", 1)[-1]: name for name in known}
        near = [by_last[name] for name in difflib.get_close_matches(last, by_last, 1, 0.6)]
    return f"; did you mean --config.{near[0]}?" if near else ""


def to_json(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON holds it (tuples become lists), so that it compares equal with one read back."""
    return json.loads(json.dumps(config.to_dict(), default=str))


def from_json(stored: Mapping[str, Any]) -> ConfigDict:
    """The config that `to_json` gave (lists become tuples), locked; a RunError for what cannot be one."""

    def restore(value):
        if isinstance(value, Mapping):
            return {key: restore(entry) for key, entry in value.items()}
        return tuple(restore(entry) for entry in value) if isinstance(value, list) else value

    try:
        return ConfigDict(restore(stored)).lock()
    except ValueError as error:  # a key with a dot
        raise RunError(f"the stored config is damaged: {error}") from error


def with_defaults(stored: Mapping[str, Any], keys: Iterable[str] | None = None) -> dict[str, Any]:
    """A config as JSON, of a run that began before `base` had all its entries: the new ones have their defaults.

    Args:
        stored: what config.json holds.
        keys: entries that are wanted; None = all that lie at the top.
    """
    defaults = {key: value for key, value in to_json(base()).items() if not isinstance(value, dict)}
    return {**{key: defaults[key] for key in (defaults if keys is None else keys) if key in defaults}, **stored}


def check(config: ConfigDict) -> None:
    """Check the entries that the engine reads.

    Raises:
        UsageError: one is missing or out of range; names it, its value and what was expected.
    """
    known = leaves(config)
    missing = [key for key in leaves(base()) if key not in known]
    if missing:
        raise UsageError(f"the config lacks {', '.join(missing)}")
    for key in ("seeds", "checkpoint_every", "log_every", "train.epochs", "train.num_examples", "train.batch_size"):
        _require(known, key, lambda value: _is_int(value) and value >= 1, "an int >= 1")
    for key in ("seed", "cpu_devices"):
        _require(known, key, lambda value: _is_int(value) and value >= 0, "an int >= 0")
    last = known["seed"] + known["seeds"] - 1
    if last >= 2**31:
        raise UsageError(
            f"config.seed={known['seed']}, config.seeds={known['seeds']}: the last seed must be below 2**31"
        )
    _require(known, "mesh", lambda value: isinstance(value, str), "a text such as 'auto' or '2x4'")
    _require(known, "tensorboard", lambda value: isinstance(value, bool), "True or False")
    mesh.parse_sizes(known["mesh"])
    _require(known, "seed_strategy", lambda value: value in STRATEGIES, f"one of {', '.join(STRATEGIES)}")
    rate = known["train.learning_rate"]
    if isinstance(rate, bool) or not (isinstance(rate, int | float) and 0 < rate < math.inf):
        raise UsageError(f"config.train.learning_rate={rate!r}: expected a finite number > 0")
    if known["train.batch_size"] > known["train.num_examples"]:
        raise UsageError(
            f"config.train.batch_size={known['train.batch_size']}: expected at most "
            f"config.train.num_examples={known['train.num_examples']}"
        )


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


def _require(known, key, good, expected):
    if not good(known[key]):
        raise UsageError(f"config.{key}={known[key]!r}: expected {expected}")


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)
