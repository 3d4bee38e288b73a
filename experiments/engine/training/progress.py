"""What is finished of a trained model: checkpoints/LABEL/done.json."""

import collections
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.engine.process import hosts
from experiments.engine.record import metrics_log
from experiments.engine.run.workdir import write_atomically


class Progress(NamedTuple):
    """The test sets that a trained model has been evaluated on.

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
        """Of a model; None while any of so many seeds is in training.

        A split of which lines have been lost is not listed.
        """
        stored = hosts.on_first(cls._read, workdir, name)
        return None if stored is None or stored[3] < seeds else cls(*stored)

    @staticmethod
    def _read(workdir: Path, name: str) -> tuple | None:
        try:
            stored = json.loads(_path(workdir, name).read_text(encoding="utf-8"))
            step, seconds, lines = stored["step"], stored["seconds"], stored["lines"]
            trained = stored.get("seeds")
        except (OSError, ValueError, KeyError):
            return None
        mine = [entry for entry in metrics_log.read(workdir / "metrics.jsonl") if entry["model"] == name]
        present = collections.Counter(entry["split"] for entry in mine)
        if trained is None:
            trained = len({entry["seed"] for entry in mine})
        return step, seconds, {split: count for split, count in lines.items() if present[split] == count}, trained

    def missing(self, splits: Iterable[str]) -> list[str]:
        """Those that the model has not been evaluated on."""
        return [split for split in splits if split not in self.lines]

    def with_split(self, split: str, lines: int, seconds: float) -> "Progress":
        """With one more split."""
        return self._replace(seconds=self.seconds + seconds, lines={**self.lines, split: lines})

    def write(self, workdir: Path, name: str) -> None:
        """Keep it, atomically."""
        hosts.on_first(lambda: write_atomically(_path(workdir, name), json.dumps(self._asdict()).encode()))


def _path(workdir: Path, name: str) -> Path:
    return workdir / "checkpoints" / name / "done.json"
