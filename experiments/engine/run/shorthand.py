"""Shorthand for tables, where a person types them: NAME[LEVEL][+CHANGE ...][@STEPS].

`noise0.2+digits3@60` -> ("noise0_2_digits3_60", {"kind": "noise", "variance": 0.2, "num_digits": 3, "num_steps": 60,
"label": "noise0.2+digits3@60"}).
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.engine.process.errors import UsageError
from experiments.engine.run.entries import Entries, Entry, Table

_LEVEL = re.compile(r"(?P<name>.*?)_?(?P<level>[0-9]*\.?[0-9]+)")


class Shorthand(NamedTuple):
    """What may be typed for the tables of a family.

    Attributes:
        names: NAME -> table. A name that is here as it was typed wins over NAME and LEVEL.
        level: NAME -> the entry that LEVEL sets, for the names that take one; "_" before the level is dropped.
        changes: CHANGE -> entries that it sets, or the one entry that its own level sets (`+digits3`).
        steps: the entry that @STEPS sets; None: there are no steps.
    """

    names: Mapping[str, Table]
    level: Mapping[str, str] = {}
    changes: Mapping[str, "Table | str"] = {}
    steps: str | None = None

    def parse(self, text: str, entries: Entries) -> tuple[str, Table]:
        """Name and table of what was typed.

        The name is the text with "_" in place of ".", "+" and "@"; where it differs, the text is the label.

        Args:
            text: for example `noise0.2+digits3@60`.
            entries: of the table, whose types the levels take.

        Raises:
            UsageError: it is not of this grammar, or has a name or change that is not here; names those there are.
        """
        rest, at, steps = text.partition("@")
        head, *changes = rest.split("+")
        table = self._head(head, text, entries)
        for change in changes:
            self._merge(table, self._change(change, text, entries), text)
        if at:
            if self.steps is None or not re.fullmatch("[1-9][0-9]*", steps):
                raise self._refusal(text)
            self._merge(table, {self.steps: int(steps)}, text)
        name = re.sub(r"\W", "_", text)
        return name, table if name == text else {**table, "label": text}

    def _head(self, head, text, entries):
        if head in self.names:
            return dict(self.names[head])
        match = _LEVEL.fullmatch(head)
        if match is None or match["name"] not in self.level:
            raise self._refusal(text)
        entry = self.level[match["name"]]
        return {**self.names[match["name"]], entry: self._number(match["level"], entries[entry], text)}

    def _change(self, change, text, entries):
        if isinstance(found := self.changes.get(change), Mapping):
            return found
        match = _LEVEL.fullmatch(change)
        entry = self.changes.get(match["name"]) if match else None
        if not isinstance(entry, str):
            raise self._refusal(text)
        return {entry: self._number(match["level"], entries[entry], text)}

    def _number(self, digits: str, entry: Entry, text: str) -> Any:
        try:
            return entry.type(digits)
        except ValueError as error:
            raise UsageError(f"{text!r}: {digits} must be of type {entry.type.__name__}") from error

    def _merge(self, table, more, text):
        for key, value in more.items():
            if isinstance(value, Mapping) and isinstance(table.get(key, {}), Mapping):
                table[key] = dict(table.get(key, {}))
                self._merge(table[key], value, text)
            elif key in table:
                raise UsageError(f"{text!r} sets {key} twice")
            else:
                table[key] = value

    def describe(self) -> str:
        """All that may be typed, on one line."""
        names = ", ".join(f"{name}[LEVEL]" if name in self.level else name for name in self.names)
        changes = "".join(f"[+{name}{'LEVEL' if isinstance(of, str) else ''}]" for name, of in self.changes.items())
        steps = "[@STEPS]" if self.steps else ""
        return f"{names}; each with {changes}{steps}" if changes or steps else names

    def _refusal(self, text):
        near = difflib.get_close_matches(text, self.names, 1)
        offered = f"; did you mean {near[0]!r}?" if near else ""
        return UsageError(f"no {text!r}; there are: {self.describe()}{offered}")
