"""How far a model is whose training is finished: checkpoints/NAME/done.json."""

import collections
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.engine.process import hosts
from experiments.engine.record import metrics_log as log
from experiments.engine.run.workdir import write_atomically


class Progress(NamedTuple):
    """What of a trained model has been measured.

    Attributes:
        step: training steps done.
        seconds: time spent, over all the runs that brought it here.
        lines: test split -> number of its lines in metrics.jsonl.
        seeds: number of seeds that are trained; None in files of before it was kept.
    """

    step: int
    seconds: float
    lines: Mapping[str, int]
    seeds: int | None = None

    @classmethod
    def read(cls, workdir: Path, name: str, seeds: int = 1) -> "Progress | None":
        """Of a model; None while it is in training, of any of so many seeds.

        A split whose lines are not all there any more is not listed.
        """
        found = hosts.on_first(cls._read, workdir, name)
        return None if found is None or found[3] < seeds else cls(*found)

    @staticmethod
    def _read(workdir: Path, name: str) -> tuple | None:
        try:
            stored = json.loads(_path(workdir, name).read_text())
            step, seconds, lines = stored["step"], stored["seconds"], stored["lines"]
            trained = stored.get("seeds")
        except (OSError, ValueError, KeyError):
            return None
        mine = [entry for entry in log.read(workdir / "metrics.jsonl") if entry["model"] == name]
        present = collections.Counter(entry["split"] for entry in mine)
        if trained is None:
            trained = len({entry["seed"] for entry in mine})
        return step, seconds, {split: count for split, count in lines.items() if present[split] == count}, trained

    def missing(self, splits: Iterable[str]) -> list[str]:
        """Those that have not been measured."""
        return [split for split in splits if split not in self.lines]

    def with_split(self, split: str, lines: int, seconds: float) -> "Progress":
        """With one more split measured."""
        return self._replace(seconds=self.seconds + seconds, lines={**self.lines, split: lines})

    def write(self, workdir: Path, name: str) -> None:
        """Keep it, atomically."""
        hosts.on_first(lambda: write_atomically(_path(workdir, name), json.dumps(self._asdict()).encode()))


def _path(workdir: Path, name: str) -> Path:
    return workdir / "checkpoints" / name / "done.json"
