"""GASPnet's training step: both sides compute the same, and the command reports it."""

import importlib.util
import json

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import gaspnet, harness, jax_gaspnet

TINY = {"batch_size": 4, "num_steps": 2}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra bench")
def test_loss_and_gradients_are_those_of_pytorch_and_a_fault_is_seen(tmp_path):
    path = tmp_path / "reference.npz"
    with harness.Worker("experiments.bench.torch_gaspnet:reference", TINY | {"path": str(path)}) as worker:
        worker.ask("facts")
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["gradient/maps.1.weight"][3, 5] += 0.01 * np.abs(arrays["gradient/maps.1.weight"]).max()
    np.savez(path, **arrays)
    _, facts = jax_gaspnet.differences(path=str(path), batch_size=TINY["batch_size"])
    far = [name for name, value in facts["differences"].items() if not value < 1e-3]
    assert len(facts["differences"]) == 1 + 2 * 5 + 2 * 5
    assert far == ["gradient of block2_query"]


def test_scenes_have_a_background():
    scenes = gaspnet.scenes(8)
    assert scenes["masks"].shape == (8, 16, 16, 3)
    assert scenes["masks"].any((1, 2)).all()
    assert (scenes["masks"][..., 0] == ~scenes["masks"][..., 1:].any(-1)).all()


def test_the_step_of_the_experiment():
    with harness.Worker("experiments.bench.jax_gaspnet:train", TINY | {"all_devices": False}) as worker:
        facts, again = worker.ask("facts"), worker.ask("turn")
    assert facts["devices"] == 1
    assert facts["compile_seconds"] > 0
    assert again["seconds"] > 0


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gaspnet, "JAX_SIDE", "tests.experiments.bench.toy")
    words = ["--batch_size=4", "--num_steps=2", "--rounds=1", "--no_peer", f"--workdir={tmp_path}"]
    assert bench.main(["gaspnet", *words]) == 0
    cases = json.loads((tmp_path / "gaspnet.json").read_text())
    assert set(cases) == {"gaspnet", "gaspnet_all_devices"}
    assert cases["gaspnet"]["sizes"] == TINY
    assert "images/s" in capsys.readouterr().out
