"""One training step of KomplexNet in JAX against the same step in eager PyTorch.

The parent's part: it starts the sides, checks that their results agree, lets them take turns, and reports.
"""

import importlib.util
import itertools
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench import harness, machine

JAX_SIDE = "experiments.bench.jax_komplexnet"
TORCH_SIDE = "experiments.bench.torch_komplexnet"
PLAIN_SIDE = "experiments.bench.torch_komplexnet_plain"
MACHINE_SIDE = "experiments.bench.machine"
EVERYWHERE, PEER, PLAIN, COMPILED = "_all_devices", "_peer", "_plain", "_compiled"  # suffixes of the workers' names
PEAKS = ("product", "copy")
TOLERANCE = 1e-3
SIZE = 32  # pixels


class MismatchError(RuntimeError):
    """The results of the two sides differ."""


def scenes(batch_size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Two disks per scene: images (B, 32, 32, 1), masks (B, 32, 32, 2), labels (B, 2)."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), -1)[None, :, :, None, :]
    centres = rng.uniform((7, 7), (SIZE - 7, 9), (batch_size, 1, 1, 2, 2))
    centres[..., 1, 1] += SIZE - 16
    masks = np.linalg.norm(grid - centres, axis=-1) < rng.uniform(4, 7, (batch_size, 1, 1, 2))
    images = masks.any(-1, keepdims=True) * rng.uniform(0.2, 1, (batch_size, SIZE, SIZE, 1))
    labels = (rng.integers(0, 10, (batch_size, 1)) + np.array([0, 3])) % 10
    return {"images": images.astype(np.float32), "masks": masks, "labels": labels.astype(np.int32)}


def compare(*, rounds: int, peer: bool, compiled: bool = False, **sizes: int) -> dict[str, dict[str, Any]]:
    """`measure` of this model without and with feedback; sizes: batch_size, num_steps, kernel_size."""
    models = {"komplexnet": {"feedback": False}, "komplexnet_feedback": {"feedback": True}}
    options = {"rounds": rounds, "peer": peer, "compiled": compiled}
    return measure(models, JAX_SIDE, TORCH_SIDE, PLAIN_SIDE, **options, **sizes)


def measure(
    models: Mapping[str, Mapping[str, Any]],
    jax_side: str,
    torch_side: str,
    plain_side: str | None = None,
    *,
    rounds: int,
    peer: bool,
    compiled: bool = False,
    **sizes: int,
) -> dict[str, dict[str, Any]]:
    """Time the sides of all models in turns.

    Args:
        models: options of each model, by the name of its cases.
        jax_side, torch_side: modules with the sides.
        plain_side: a second peer, PyTorch as the equations read where `torch_side` is written for speed; its figures
            are a case's `plain`, with `images_per_second`, `ratio`, `milliseconds`.
        rounds: turns of each side, see `harness.alternate`.
        peer: whether to run PyTorch too; without it the figures of the comparison are None.
        compiled: whether to run `torch_side` compiled by PyTorch too; its figures are a case's `compiled`, as `plain`.
        **sizes: the options that all sides take, batch_size among them.

    Returns:
        One entry per case: MODEL on one device, MODEL_all_devices where there are several. `machine` of each has the
        machine's peaks, measured in turns with the sides, `shares` what the JAX side reaches of them.

    Raises:
        MismatchError: losses or gradients of the sides differ by more than 1e-3 on the same weights and inputs.
        ModuleNotFoundError: PyTorch is asked for and not installed.
        SideError: a side failed.
    """
    load = os.getloadavg()[0]
    if peer:
        require_torch()
        for side, options in itertools.product(filter(None, (torch_side, plain_side)), models.values()):
            check(f"{side}:reference", f"{jax_side}:differences", **sizes, **options)
    workers = {}
    with ExitStack() as stack:
        for name, (side, options) in _sides(models, jax_side, torch_side, plain_side, peer, compiled).items():
            # In sequence, so that nothing else runs while a side compiles.
            worker = stack.enter_context(harness.Worker(side, sizes | options))
            if worker.ask("facts").get("devices") != 1 or not name.endswith(EVERYWHERE):
                workers[name] = worker
        peaks = {name: stack.enter_context(harness.Worker(f"{MACHINE_SIDE}:{name}", {})) for name in PEAKS}
        seconds = harness.alternate(workers | peaks, rounds)
        facts = {name: worker.ask("facts") for name, worker in (workers | peaks).items()}
    cases = [name for name in workers if not name.endswith((PEER, PLAIN, COMPILED))]
    return {name: _case(name, seconds, facts, sizes) | {"load": load} for name in cases}


def _case(
    name: str, seconds: Mapping[str, list[float]], facts: Mapping[str, dict[str, Any]], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """The entry of a JAX side: against its peers, and against the machine's peaks."""
    model = name.removesuffix(EVERYWHERE)
    against = partial(harness.case, seconds[name], sizes=sizes, facts=facts[name])
    case = against(seconds.get(model + PEER), peer_facts=facts.get(model + PEER, {}))
    for kind, side in (("plain", model + PLAIN), ("compiled", model + COMPILED)):
        if side in seconds:
            figures = against(seconds[side], peer_facts=facts[side])
            case[kind] = {
                "images_per_second": figures["peer_images_per_second"],
                "milliseconds": figures["peer_milliseconds"],
                "ratio": figures["ratio"],
            }
    peaks = machine.facts(seconds, facts)
    # The work is that of one device; of several each has a part, and some do work twice.
    return case | {"machine": peaks, "shares": machine.shares(case["milliseconds"], facts[model], peaks)}


def measure_cases(
    cases: Mapping[str, Mapping[str, Any]], jax_side: str, torch_side: str, **how: Any
) -> dict[str, dict[str, Any]]:
    """`measure` of one case after the other: options of all sides by the case's name; how: rounds, peer, compiled."""
    results = {}
    for name, options in cases.items():
        results |= measure({name: {}}, jax_side, torch_side, **how, **options)
    return results


def _sides(
    models: Mapping[str, Mapping[str, Any]],
    jax_side: str,
    torch_side: str,
    plain_side: str | None,
    peer: bool,
    compiled: bool,
) -> dict[str, Any]:
    """Worker's name -> (side, its options)."""
    sides = {}
    for model, options in models.items():
        sides[model] = f"{jax_side}:train", {"all_devices": False, **options}
        sides[model + EVERYWHERE] = f"{jax_side}:train", {"all_devices": True, **options}
        if peer:
            sides[model + PEER] = f"{torch_side}:train", dict(options)
        if peer and plain_side:
            sides[model + PLAIN] = f"{plain_side}:train", dict(options)
        if peer and compiled:
            sides[model + COMPILED] = f"{torch_side}:train", {"compiled": True, **options}
    return sides


def check(reference: str, differences: str, **sizes: int) -> None:
    """Compare the losses and gradients of two sides on a few scenes.

    Args:
        reference: the side that writes its results to a `path`.
        differences: the side that compares them with its results, and reports the `differences` by name.
        **sizes: as for `compare`.

    Raises:
        MismatchError: names the arrays that differ by more than 1e-3.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = sizes | {"batch_size": min(8, sizes["batch_size"]), "path": str(Path(folder) / "reference.npz")}
        for side in (reference, differences):
            with harness.Worker(side, options) as worker:
                facts = worker.ask("facts")
    far = [f"{name} by {value:.2g}" for name, value in facts["differences"].items() if not value <= TOLERANCE]
    if far:
        raise MismatchError(f"the two sides differ by more than {TOLERANCE:g}: {', '.join(far)}")


def require_torch() -> None:
    """Raise ModuleNotFoundError with the remedy where PyTorch is missing."""
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError(
            "the comparison needs PyTorch, which is not installed: pip install 'oscnets[bench]', "
            "or time JAX alone with --no_peer"
        )
