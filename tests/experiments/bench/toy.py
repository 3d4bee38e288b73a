"""Sides of a comparison for the tests, run in processes of their own."""

import os
import sys
import time
from pathlib import Path

import numpy as np


def note(*, name, path, seconds=0.0):
    """Each run adds the side's name to a file."""

    def run():
        with Path(path).open("a") as file:
            file.write(f"{name}\n")
        time.sleep(seconds)

    return run, {"name": name, "process": os.getpid()}


def chatter():
    """Prints wherever a library could."""
    sys.stdout.write("hello from the start\n")

    def run():
        sys.stdout.write("hello from a run\n")
        sys.stdout.flush()
        os.write(1, b"and from below Python\n")
        time.sleep(0.1)

    return run, {}


def hungry(*, megabytes):
    """Holds memory for a moment only."""

    def run():
        np.ones(megabytes * 2**17)

    return run, {}


def broken(*, when):
    """Dies while it is built, or in its first run."""
    if when == "start":
        raise RuntimeError("no device")

    def run():
        raise RuntimeError("out of memory")

    return run, {}


def train(*, all_devices=None, **_):
    """A side of the comparison of training steps; without `all_devices` it is the peer, which is slower."""
    facts = {"compile_seconds": 1.0, "devices": 2 if all_devices else 1, "device": "toy", "threads": 1}
    facts |= {"flops": 4e6, "bytes": 1e6}
    peer = all_devices is None
    return lambda: time.sleep(0.1 if peer else 0.01), facts | {"torch" if peer else "jax": "0"}


def reference(*, path, **_):
    """Writes what `differences` reads."""
    np.savez(path, loss=1.0)
    return lambda: None, {}


def differences(*, path, **_):
    """Agrees with the reference."""
    return lambda: None, {"differences": {"loss": float(np.load(path)["loss"]) - 1}}


def far(**_):
    """Differs in one gradient, and came to NaN in another."""
    found = {"loss": 1e-6, "gradient of a/kernel": 0.25, "gradient of b": float("nan"), "gradient of c": 0.0}
    return lambda: None, {"differences": found}


def dying(**_):
    """Is killed while it is built, as for want of memory."""
    os.kill(os.getpid(), 9)


def product(**_):
    """A machine that does 1e9 operations a second."""
    return lambda: time.sleep(0.01), {"amount": 1e7}


copy = product
