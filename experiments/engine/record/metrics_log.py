"""metrics.jsonl, the record of a run, and the progress bar.

A line is {"model", "seed", "step", "split", "name", "value"}; the value is a number, or for a metric over the T steps
of the dynamics a list of T numbers, null where it is undefined. Runs that began before there were lists have T lines
with names NAME@1 ... NAME@T in place of one. Results that are kept have metrics.jsonl.gz in its place; the oldest have
summary.json alone, with the last values.
"""

import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from experiments.engine.process import files, hosts
from experiments.engine.process.errors import RunError, UsageError
from experiments.engine.run.workdir import write_atomically

Line = dict[str, Any]

NOT_FINITE = "not_finite"  # the number of examples of a split with values that are not finite; its means are undefined
_KINDS = {"model": str, "seed": int, "step": int, "split": str, "name": str, "value": int | float | list | None}


def line(model: str, seed: int, step: int, split: str, name: str, value: ArrayLike) -> Line | None:
    """One line of metrics.jsonl for a value () or (T,); None where all of it is undefined (NaN)."""
    value = np.asarray(value, np.float64)
    if np.isnan(value).all():
        return None
    plain = [None if np.isnan(entry) else float(entry) for entry in value] if value.ndim else float(value)
    return {"model": model, "seed": int(seed), "step": int(step), "split": split, "name": name, "value": plain}


class MetricsLog:
    """Appends to metrics.jsonl; a resumed run's file equals an uninterrupted one's.

    Of several processes the first alone writes.

    Args:
        path: the file; made where it is missing. An incomplete last line, of a process that was killed, is removed.
        tensorboard: directory for TensorBoard events beside it, or None.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self.path = files.user_path(path) if hosts.is_first() else Path(os.devnull)
        tensorboard = files.user_path(tensorboard) if tensorboard and hosts.is_first() else None
        self._drop_partial_line()
        self._events = _event_writer(tensorboard) if tensorboard else None
        self._file = self._append()

    def write(self, lines: Iterable[Line]) -> None:
        """Append lines and hand them to the system; TensorBoard gets the last value of a list.

        Raises:
            RunError: they could not be written (a full disk, say).
        """
        lines = list(lines)
        data = memoryview("".join(json.dumps(entry) + "\n" for entry in lines).encode())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}; the same command continues") from error
        if self._events:
            for entry in lines:
                tag = "{model}/{split}/{name}/seed{seed}".format(**entry)
                last = entry["value"][-1] if isinstance(entry["value"], list) else entry["value"]
                if last is not None:
                    self._events.add_scalar(tag, last, entry["step"])

    def keep(self, wanted: Callable[[Line], bool]) -> None:
        """Drop the lines that are not wanted, in one atomic replacement of the file.

        Raises:
            RunError: it could not be written; the file is as before.
        """
        lines = read(self.path)
        kept = [entry for entry in lines if wanted(entry)]
        if len(kept) == len(lines):
            return
        self._file.close()  # Windows replaces no file that is open
        try:
            write_atomically(self.path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())
        finally:
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
    """The complete lines of a metrics.jsonl, or of the metrics.jsonl.gz beside it; [] where there is neither.

    Raises:
        RunError: a complete line is no line of these, or what is compressed is damaged; names it.
    """
    path = files.user_path(path)
    if path.exists():
        data = path.read_bytes()
    elif (packed := compressed(path)).exists():
        data, path = _unpacked(packed), packed
    else:
        return []
    lines = []
    for number, text in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if not _is_line(entry):
            raise RunError(f"{path}: line {number} is damaged: {text[:80].decode(errors='replace')!r}")
        lines.append(entry)
    return lines


def read_or_last(path: Path) -> list[Line]:
    """The same; where there is neither, the last values of the summary.json beside it, and [] without that.

    Raises:
        RunError: the record or the summary is damaged; names it.
    """
    path = files.user_path(path)
    beside = path.with_name("summary.json")
    if path.exists() or compressed(path).exists() or not beside.exists():
        return read(path)
    try:
        return list(_last_values(json.loads(beside.read_text(encoding="utf-8"))))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{beside} is damaged: {error}") from error


def _last_values(summary: dict[str, Any]) -> Iterator[Line]:
    """Lines of every number of a summary, those of tests at the training step whose parameters were tested."""
    for model, trained in summary["training"].items():
        for split, names in trained["metrics"].items():
            for name, found in names.items():
                yield from _lines(model, split, name, found, lambda seed, step=trained["step"]: step)
    for split, names in summary["results"].items():
        for name, by_model in names.items():
            for model, found in by_model.items():
                steps = summary["best_step"][model]
                yield from _lines(model, split, name, found, lambda seed, steps=steps: steps[str(seed)])


def _lines(model, split, name, found, step_of) -> Iterator[Line]:
    for seed, values in zip(found["seeds"], found["values"], strict=True):
        value = np.array(values if found["steps"] else values[0], np.float64)
        if (entry := line(model, seed, step_of(seed), split, name, value)) is not None:
            yield entry


def compressed(path: Path) -> Path:
    """Where the compressed form of a metrics.jsonl lies."""
    return path.with_name(path.name + ".gz")


def compress(path: Path, folder: Path) -> None:
    """Write the compressed form of a metrics.jsonl into a folder; the same lines give the same bytes."""
    write_atomically(compressed(folder / path.name), gzip.compress(files.user_path(path).read_bytes(), mtime=0))


def _unpacked(path):
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _is_line(entry):
    if not (isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in _KINDS.items())):
        return False
    value = entry["value"]
    return not isinstance(value, list) or (bool(value) and all(isinstance(v, int | float | None) for v in value))


def progress_bar(total: int, stream: TextIO | None = None) -> tqdm:
    """The run's one bar, in images; where stderr is no terminal it is drawn twice a minute only."""
    stream = stream or sys.stderr
    terminal = stream.isatty()
    hidden = not hosts.is_first()
    return tqdm(
        total=total, unit="images", unit_scale=True, file=stream, dynamic_ncols=terminal, smoothing=0.1,
        mininterval=0.5 if terminal else 30.0, miniters=1, disable=hidden,
    )  # fmt: skip


def skip(bar: tqdm, images: int) -> None:
    """Advance the bar over images of an earlier call, without counting them as speed."""
    if bar.disable:
        return
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
