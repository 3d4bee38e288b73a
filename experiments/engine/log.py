"""The record of a run: metrics.jsonl, and what a person watches meanwhile."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from experiments.engine.errors import RunError, UsageError

Line = dict[str, Any]


def line(model: str, seed: int, step: int, split: str, name: str, value: float) -> Line:
    """One line of metrics.jsonl."""
    return {
        "model": model, "seed": int(seed), "step": int(step), "split": split, "name": name, "value": float(value),
    }  # fmt: skip


class MetricsLog:
    """Appends to metrics.jsonl; a resumed run's file equals an uninterrupted one's.

    Args:
        path: the file; made where it is missing. What a killed process left of its last line is removed.
        tensorboard: directory for TensorBoard events beside it, or None.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = Path(path)
        self._drop_partial_line()
        self._events = _event_writer(tensorboard) if tensorboard else None
        self._file = self._append()

    def write(self, lines: Iterable[Line]) -> None:
        """Append the lines whose value is defined (not NaN) and hand them to the system.

        Raises:
            RunError: they could not be written (a full disk, say).
        """
        lines = [entry for entry in lines if not math.isnan(entry["value"])]
        data = memoryview("".join(json.dumps(entry) + "\n" for entry in lines).encode())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}; the same command continues") from error
        if self._events:
            for entry in lines:
                tag = "{model}/{split}/{name}/seed{seed}".format(**entry)
                self._events.add_scalar(tag, entry["value"], entry["step"])

    def keep(self, wanted: Callable[[Line], bool]) -> None:
        """Drop the lines that are not wanted, in one atomic replacement of the file."""
        lines = read(self.path)
        kept = [entry for entry in lines if wanted(entry)]
        if len(kept) == len(lines):
            return
        fresh = self.path.with_suffix(".tmp")
        fresh.write_text("".join(json.dumps(entry) + "\n" for entry in kept))
        self._file.close()
        os.replace(fresh, self.path)
        self._file = self._append()

    def close(self) -> None:
        """Close the file, and TensorBoard's."""
        self._file.close()
        if self._events:
            self._events.close()

    def _append(self):
        return open(self.path, "ab", buffering=0)

    def _drop_partial_line(self):
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        complete = data.rfind(b"\n") + 1
        if complete < len(data):
            os.truncate(self.path, complete)


def read(path: Path) -> list[Line]:
    """The complete lines of a metrics.jsonl, [] where there is none.

    Raises:
        RunError: a complete line is not JSON; names the line.
    """
    if not Path(path).exists():
        return []
    text = Path(path).read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    try:
        return [json.loads(entry) for entry in lines]
    except json.JSONDecodeError as error:
        bad = next(number for number, entry in enumerate(lines, 1) if not _is_json(entry))
        raise RunError(f"{path}: line {bad} is damaged: {lines[bad - 1][:80]!r}") from error


def _is_json(text):
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def progress_bar(total: int, stream: TextIO | None = None) -> tqdm:
    """The run's one bar, in images; where stderr is no terminal it is drawn twice a minute only."""
    stream = stream or sys.stderr
    terminal = stream.isatty()
    return tqdm(
        total=total, unit="images", unit_scale=True, file=stream, dynamic_ncols=terminal, smoothing=0.1,
        mininterval=0.5 if terminal else 30.0, miniters=1,
    )  # fmt: skip


def skip(bar: tqdm, images: int) -> None:
    """Advance the bar over what was done before, without counting it as speed."""
    bar.initial += images
    bar.last_print_n += images
    bar.n += images
    bar.refresh()


def _event_writer(directory):
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UsageError("config.tensorboard=True needs the package tensorboardX: pip install tensorboardX") from error
    return SummaryWriter(str(directory))
