"""Checkpoints of one model's state: written by Orbax, verified byte for byte, the damaged ones skipped."""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from jax.sharding import SingleDeviceSharding

from experiments.engine.process import files, hosts
from experiments.engine.process.errors import CheckpointError
from experiments.engine.run.workdir import write_atomically

Leaves = dict[str, np.ndarray]

_KEEP = 3  # two spares, should the newest be damaged
_MANIFEST = "files.json"  # absent where a kill came between Orbax's commit and it


def flatten(tree: Any) -> Leaves:
    """A pytree of arrays -> numpy arrays by dotted path; shapes with dtypes stay what they are."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): _on_host(leaf) for path, leaf in paths}


def _on_host(leaf):
    return leaf if isinstance(leaf, jax.ShapeDtypeStruct) else np.asarray(leaf)


def unflatten(leaves: Leaves, like: Any) -> Any:
    """The inverse of `flatten`, for the structure of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in flatten(like)])


class Store:
    """The checkpoints of one model.

    Args:
        directory: where they lie, one folder per step; made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = files.user_path(directory).absolute()
        absl_logging.set_verbosity(absl_logging.WARNING)  # Orbax logs every step of every save
        hosts.on_first(self._open)

    def _open(self):
        # Of several processes the first alone has checkpoints: Orbax must not wait for the others.
        alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEEP,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            create=False,
            **({} if hosts.count() == 1 else {"multiprocessing_options": alone}),
        )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self.directory, options=options)
        except OSError as error:
            raise CheckpointError(f"cannot use {self.directory} for checkpoints: {error}") from error

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, whole or not, the newest first."""
        names = (path.name for path in self.directory.iterdir() if path.is_dir())
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def save(self, step: int, leaves: Leaves, seconds: float = 0.0) -> None:
        """Write a checkpoint and wait until it is complete; a step that is there already is left as it is.

        Args:
            step: number of training steps done.
            leaves: arrays by dotted path.
            seconds: time spent on it so far, to be had back from `restore`.

        Raises:
            CheckpointError: it could not be written (a full disk, say). Its files are removed, and the checkpoints
                before it are as they were.
        """
        hosts.on_first(self._save, step, leaves, seconds)

    def _save(self, step, leaves, seconds):
        if step in self.steps():
            return
        filled = {name: leaf for name, leaf in leaves.items() if leaf.size}  # Orbax refuses empty arrays
        meta = {"step": step, "seconds": seconds, "leaves": _table(leaves), "digest": digest(leaves)}
        args = ocp.args.Composite(state=ocp.args.StandardSave(filled), meta=ocp.args.JsonSave(meta))
        try:
            saved = self._manager.save(step, args=args)
            if saved:
                folder = self.directory / str(step)
                write_atomically(folder / _MANIFEST, json.dumps(_file_digests(folder)).encode())
        except Exception as error:
            self._discard(step)
            kept = self.steps()
            raise CheckpointError(
                f"cannot write checkpoint {step} to {self.directory}: {_first_line(error)}; "
                + (f"checkpoint {kept[0]} is intact" if kept else "there is none before it")
                + "; make room and run the same command again"
            ) from error
        if not saved:
            raise CheckpointError(f"Orbax declined to write checkpoint {step} to {self.directory}")

    def restore(self, like: Leaves) -> tuple[int, Leaves, float] | None:
        """The newest checkpoint that is whole, (step, leaves, seconds); None where there is no checkpoint at all.

        A damaged one is reported on stderr and in the log, moved aside (`damaged-STEP`), and the one before is tried.
        The leading axis of all leaves, over the seeds, is as long as it was saved.

        Args:
            like: arrays, or shapes with dtypes, that name the leaves expected; the length of the leading axis is open.

        Raises:
            CheckpointError: every checkpoint is damaged, or a whole one holds other leaves, shapes or dtypes.
        """
        leaves: Leaves = {}
        restored = hosts.on_first(lambda: self._restore(like, leaves))
        return None if restored is None else (restored[0], hosts.arrays_on_first(lambda: leaves), restored[1])

    def _restore(self, like, into):
        """Step and seconds; the leaves go into a dict."""
        for step in self.steps():
            try:
                leaves, seconds = self._read(step, like)
                into.update(leaves)
                return step, seconds
            except _DamagedError as error:
                self._set_aside(step, error)
        damaged = sorted(path.name for path in self.directory.glob("damaged-*"))
        if damaged:
            raise CheckpointError(
                f"every checkpoint of {self.directory} is damaged: {', '.join(damaged)} there. Delete that directory "
                "to train this model from the start"
            )
        return None

    def close(self) -> None:
        """Close Orbax's manager."""
        hosts.on_first(lambda: self._manager.close())

    def _read(self, step, like):
        self._verify_files(step)
        meta = self._fetch(step, meta=ocp.args.JsonRestore()).meta
        if not ({"leaves", "digest", "seconds"} <= meta.keys() and isinstance(meta["leaves"], dict)):
            raise _DamagedError("its description is incomplete")
        like = _resized(like, meta["leaves"])
        _compare(meta["leaves"], _table(like), self.directory / str(step))
        device = SingleDeviceSharding(jax.local_devices()[0])
        target = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)
            for name, leaf in like.items()
            if leaf.size
        }
        state = self._fetch(step, state=ocp.args.StandardRestore(target)).state
        leaves = {name: np.asarray(state.get(name, np.zeros(leaf.shape, leaf.dtype))) for name, leaf in like.items()}
        if digest(leaves) != meta["digest"]:
            raise _DamagedError("its arrays are not those that were written")
        return leaves, meta["seconds"]

    def _fetch(self, step, **items):
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))
        except Exception as error:
            raise _DamagedError(_first_line(error)) from error

    def _verify_files(self, step):
        """Compare every file with its digest before Orbax reads it, which overlooks some damage."""
        folder = self.directory / str(step)
        if not (folder / _MANIFEST).exists():
            return
        try:
            expected = dict(json.loads((folder / _MANIFEST).read_text(encoding="utf-8")))
        except ValueError as error:
            raise _DamagedError(f"{_MANIFEST} is unreadable") from error
        present = _file_digests(folder)
        different = sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
        if different:
            raise _DamagedError(f"not as written: {', '.join(different)}")

    def _set_aside(self, step, error):
        place = self.directory / f"damaged-{step}"
        shutil.rmtree(place, ignore_errors=True)
        os.rename(self.directory / str(step), place)
        message = f"checkpoint {step} of {self.directory} is damaged and is skipped: {error}; moved to {place.name}"
        print(f"WARNING: {message}", file=sys.stderr, flush=True)
        logging.getLogger(__name__).warning(message)
        self._manager.close()
        self._open()

    def _discard(self, step):
        """Remove a step; writes of it that are still under way may bring it back, or keep a folder from going."""
        for _ in range(20):
            for path in self._parts(step):
                shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.05)
            if not self._parts(step):
                return

    def _parts(self, step):
        return [*self.directory.glob(str(step)), *self.directory.glob(f"{step}.*")]


class _DamagedError(Exception):
    pass


def digest(leaves: Leaves) -> str:
    """Hex SHA-256 over every leaf's name, dtype, shape and bytes."""
    total = hashlib.sha256()
    for name in sorted(leaves):
        leaf = np.ascontiguousarray(leaves[name])
        total.update(f"{name}\0{leaf.dtype.str}\0{leaf.shape}\0".encode())
        total.update(leaf.tobytes())
    return total.hexdigest()


def _file_digests(folder):
    """SHA-256 of every file of a checkpoint but the manifest itself, by its path there."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _MANIFEST)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _table(leaves):
    return {name: f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _resized(like, stored):
    """Structs of the leaves expected, with as many seeds as the stored table says in the first leaf they share."""
    lengths = (re.match(r"\w+\[(\d+)", stored[name]) for name in sorted(like) if name in stored and like[name].ndim)
    length = next((int(match[1]) for match in lengths if match), None)

    def resize(leaf):
        return leaf.shape if length is None or not leaf.ndim else (length, *leaf.shape[1:])

    return {name: jax.ShapeDtypeStruct(resize(leaf), leaf.dtype) for name, leaf in like.items()}


def _compare(stored, expected, place):
    names = sorted(stored.keys() | expected.keys())
    different = [name for name in names if stored.get(name) != expected.get(name)]
    if different:
        shown = "; ".join(f"{n} is {stored.get(n, 'absent')}, not {expected.get(n, 'absent')}" for n in different[:4])
        raise CheckpointError(f"checkpoint {place} is of another model: {shown} ({len(different)} leaves differ)")


def _first_line(error):
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
