"""How far a model is whose training is finished: checkpoints/NAME/done.json."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.engine import log
from experiments.engine.workdir import write_atomically


class Progress(NamedTuple):
    """What of a trained model has been measured.

    Attributes:
        step: training steps done.
        seconds: time spent, over all the runs that brought it here.
        lines: test split -> number of its lines in metrics.jsonl.
    """

    step: int
    seconds: float
    lines: Mapping[str, int]

    @classmethod
    def read(cls, workdir: Path, name: str) -> "Progress | None":
        """Of a model; None while it is in training. A split whose lines are not all there any more is not listed."""
        try:
            stored = json.loads(_path(workdir, name).read_text())
            step, seconds, lines = stored["step"], stored["seconds"], stored["lines"]
        except (OSError, ValueError, KeyError):
            return None
        present: dict[str, int] = {}
        for entry in log.read(workdir / "metrics.jsonl"):
            if entry["model"] == name:
                present[entry["split"]] = present.get(entry["split"], 0) + 1
        return cls(step, seconds, {split: count for split, count in lines.items() if present.get(split) == count})

    def missing(self, splits: Iterable[str]) -> list[str]:
        """Those that have not been measured."""
        return [split for split in splits if split not in self.lines]

    def with_split(self, split: str, lines: int, seconds: float) -> "Progress":
        """With one more split measured."""
        return Progress(self.step, self.seconds + seconds, {**self.lines, split: lines})

    def write(self, workdir: Path, name: str) -> None:
        """Keep it, atomically."""
        write_atomically(_path(workdir, name), json.dumps(self._asdict()).encode())


def _path(workdir: Path, name: str) -> Path:
    return workdir / "checkpoints" / name / "done.json"
