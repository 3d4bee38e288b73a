"""Entries of a config: default, check and help of each in one place, and the config that they make.

`Entries` are nested dicts of `Entry`. `config.models` and `config.tests` are tables, one per model or test set, whose
keys come from the family's entries for them; the name of a table is a label and carries no structure.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict, config_dict

from experiments.engine.process import devices
from experiments.engine.run import optimizer


class Check(NamedTuple):
    """A condition on the value of an entry.

    Attributes:
        holds: value -> whether it may stand; a TypeError or ValueError that it raises counts as False.
        expected: what is expected, to end the sentence "config.KEY=VALUE: expected ...".
    """

    holds: Callable[[Any], bool]
    expected: str


class Entry(NamedTuple):
    """One entry of a config.

    Attributes:
        default: a value, whose type is the entry's; or a type (int, float, str, bool, tuple): by default the entry is
            not set (None), and it takes values of that type.
        help: one line for `--help`, with the unit.
        check: condition on the value where it is set; the type is checked in any case (an int may stand for a float).
        required: refuse a config in which the entry is not set; of use in tables, whose entries have no other default.
    """

    default: Any
    help: str
    check: Check | None = None
    required: bool = False

    @property
    def type(self) -> type:
        """Type of its values."""
        return self.default if isinstance(self.default, type) else type(self.default)

    def placeholder(self) -> "Entry":
        """The same entry, not set by default: for overrides."""
        return self._replace(default=self.type, required=False)

    def refusal(self, value: Any) -> str | None:
        """The expectation that a value fails, to end "expected ..."; None where it may stand."""
        if value is None and isinstance(self.default, type):
            expected = self.check.expected if self.check else f"a value of type {self.type.__name__}"
            return expected if self.required else None
        if not _is_of(value, self.type):
            example = "" if isinstance(self.default, type) else f" (such as {self.default!r})"
            return f"a value of type {self.type.__name__}{example}"
        return None if self.check is None or _holds(self.check, value) else self.check.expected


Entries = Mapping[str, "Entry | Entries"]
Table = Mapping[str, Any]


def _is_of(value, kind):
    if isinstance(value, bool) and kind is not bool:
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _holds(check, value):
    try:
        return bool(check.holds(value))
    except (TypeError, ValueError):
        return False


def at_least(low: float) -> Check:
    """low or more."""
    return Check(lambda value: value >= low, f"at least {low}")


def between(low: float, high: float) -> Check:
    """Within [low, high]."""
    return Check(lambda value: low <= value <= high, f"{low} to {high}")


def one_of(*choices: Any) -> Check:
    """One of some values."""
    return Check(lambda value: value in choices, f"one of {', '.join(map(str, choices))}")


def each(check: Check, length: int | None = None) -> Check:
    """Every member of a tuple meets a check; of the length given, or at least one member."""

    def holds(values):
        return all(_holds(check, value) for value in values) and (len(values) == length if length else bool(values))

    return Check(holds, f"{f'{length} values' if length else 'at least one value'}, each {check.expected}")


def span(low: float, high: float) -> Check:
    """A pair, lowest and highest value, within [low, high]."""
    return Check(lambda ends: len(ends) == 2 and low <= ends[0] <= ends[1] <= high, f"a span within {low} to {high}")


POSITIVE = Check(lambda value: 0 < value < math.inf, "a finite number > 0")
NON_NEGATIVE = Check(lambda value: 0 <= value < math.inf, "a finite number >= 0")
FINITE = Check(math.isfinite, "a finite number")
ODD = Check(lambda value: value > 0 and value % 2 == 1, "an odd number > 0")

ENTRIES: Entries = {
    "seed": Entry(0, "first seed; the run trains seeds seed ... seed + seeds - 1", at_least(0)),
    "seeds": Entry(1, "number of seeds", at_least(1)),
    "seed_strategy": Entry(
        "auto",
        "vmap: all seeds in one call; loop: one after the other; auto: by kind of device",
        one_of(*devices.STRATEGIES),
    ),
    "seeds_at_once": Entry(
        int, "most seeds that one call trains; not set: by seed_strategy, and as fit into the memory", at_least(1)
    ),
    "slice_size": Entry(
        int,
        "most examples of a batch that a device computes at a time; not set: by the task, and as fit into the memory",
        at_least(1),
    ),
    "precision": Entry(
        "highest",
        "of products of float32 in training and evaluation, on TPUs and GPUs; a CPU computes all alike",
        one_of("highest", "high", "default"),
    ),
    "cpu_devices": Entry(int, "JAX devices to split the CPU into; not set: one per usable core", at_least(1)),
    "mesh": Entry(
        "auto",
        "how seeds and batches share the devices; auto: seeds first, then batches",
        Check(devices.is_mesh, "'auto', or SEEDxDATA such as '2x4'"),
    ),
    "checkpoint_every": Entry(100, "training steps between two checkpoints", at_least(1)),
    "log_every": Entry(20, "training steps between two training records of metrics.jsonl", at_least(1)),
    "validate_at": Entry(
        (),
        "training steps after which the validation split is measured, beside the ends of epochs; 0: before the first",
        Check(lambda steps: all(type(step) is int and step >= 0 for step in steps), "whole numbers of at least 0"),
    ),
    "tensorboard": Entry(False, "write TensorBoard events beside metrics.jsonl"),
    "train": {
        "epochs": Entry(1, "passes over the training examples", at_least(1)),
        "num_examples": Entry(1024, "training examples", at_least(1)),
        "batch_size": Entry(128, "examples per training step", at_least(1)),
        "learning_rate": Entry(1e-3, "of the optimizer, at its largest", POSITIVE),
        "optimizer": Entry("adam", "the optimizer", one_of(*optimizer.OPTIMIZERS)),
        "schedule": Entry(
            "constant",
            f"of the learning rate; stable_decay: constant, then linear to 0 in the last {optimizer.COOLDOWN:.0%}",
            one_of(*optimizer.SCHEDULES),
        ),
        "warmup": Entry(
            0.0,
            "share of the updates in which the learning rate rises from 0",
            Check(lambda share: 0 <= share < 1, "a share within [0, 1)"),
        ),
        "clip_norm": Entry(float, "largest norm of the gradient; not set: any", POSITIVE),
        "weight_decay": Entry(0.0, "weight decay, as a part of the gradient", NON_NEGATIVE),
    },
    "data": {"dir": Entry(str, "folder of data sets prepared by TFDS; not set: TFDS's default")},
}

SEEDS = {"seeds": Entry(int, "number of seeds of this model; not set: config.seeds", at_least(1))}
LABEL = {"label": Entry(str, "name in metrics.jsonl, tables and figures; not set: the table's name")}


def merge(first: Entries, second: Entries) -> dict[str, Any]:
    """Both; where both have an entry the second one holds."""
    merged = dict(first)
    for key, entry in second.items():
        inside = isinstance(entry, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], entry) if inside else entry
    return merged


def placeholders(entries: Entries) -> dict[str, Any]:
    """The same entries, none of them set."""
    return {key: e.placeholder() if isinstance(e, Entry) else placeholders(e) for key, e in entries.items()}


def flat_entries(entries: Entries, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Entries by dotted key."""
    for key, entry in entries.items():
        if isinstance(entry, Entry):
            yield f"{prefix}{key}", entry
        else:
            yield from flat_entries(entry, f"{prefix}{key}.")


def defaults(entries: Entries) -> dict[str, Any]:
    """Default values; placeholders where an entry is not set."""
    return {
        key: defaults(entry)
        if not isinstance(entry, Entry)
        else config_dict.placeholder(entry.default)
        if isinstance(entry.default, type)
        else entry.default
        for key, entry in entries.items()
    }


def base_config(entries: Entries | None = None) -> ConfigDict:
    """The config of the defaults of `ENTRIES` and of a family's own entries, with no models and no tests yet."""
    return ConfigDict({**defaults(merge(ENTRIES, entries or {})), "models": {}, "tests": {}})
