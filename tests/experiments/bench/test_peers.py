"""The two PyTorch peers of a model, one written for speed and one as the equations read, compute the same."""

import importlib

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra bench")

KOMPLEXNET = {"batch_size": 3, "num_steps": 4, "kernel_size": 5}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("komplexnet", KOMPLEXNET | {"feedback": False}),
        ("komplexnet", KOMPLEXNET | {"feedback": True}),
        ("gaspnet", {"batch_size": 3, "num_steps": 2}),
    ],
)
def test_both_peers_compute_the_same(tmp_path, model, options):
    fast, plain = (importlib.import_module(f"experiments.bench.torch_{model}{end}") for end in ("", "_plain"))
    assert plain.reference is not fast.reference
    arrays = []
    for module in (fast, plain):
        path = tmp_path / f"{module.__name__}.npz"
        module.reference(path=str(path), **options)
        with np.load(path) as stored:
            arrays.append(dict(stored))
    assert arrays[0].keys() == arrays[1].keys()
    for name, expected in arrays[0].items():
        assert np.abs(arrays[1][name] - expected).max() <= 1e-4 * max(np.abs(expected).max(), 1e-3), name
