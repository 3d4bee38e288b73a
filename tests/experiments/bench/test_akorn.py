"""AKOrN's training step: the PyTorch peer is the published network, both sides agree, and the command reports it."""

import importlib.util
import json

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import akorn, harness, jax_akorn
from tests.helpers import golden_case, golden_cases
from tests.oscnets.models.test_kuramoto_layer import last, under

TINY = {"channels": 32, "num_steps": 3, "batch_size": 2}
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra bench")


@needs_torch
@pytest.mark.parametrize("name", ["sudoku", "objs_attn_L1", "objs_conv_L1"])
def test_the_peer_computes_the_published_numbers(name, monkeypatch):
    import torch

    from experiments.bench.torch_akorn import AKOrN

    monkeypatch.delenv("OSCNETS_GOLDEN", raising=False)  # the peer is of the sizes of the suite's own files
    ((file, case),) = golden_cases(f"akorn_{name}.npz")
    cfg, arrays = golden_case(file, case)
    state = {key: torch.from_numpy(array) for key, array in under(arrays, "param/").items() if key != "x0"}
    boards = "puzzle" in arrays
    sizes = {"channels": cfg["ch"], "num_steps": cfg["T"], "components": cfg["n"], "heads": cfg["heads"]}
    if "layers.0.0.connectivity.weight" in state:
        sizes["kernel_size"] = state["layers.0.0.connectivity.weight"].shape[-1]
    noise = last(arrays["noise"])
    model = AKOrN("sudoku" if boards else "discovery", cfg.get("J", "attn").replace("attn", "attention"), **sizes)
    model.load_state_dict(state)
    with torch.no_grad():
        images = torch.from_numpy(arrays["puzzle" if boards else "image"])
        out = model(images.long() if boards else images, torch.from_numpy(np.ascontiguousarray(noise)))
    np.testing.assert_allclose(out.logits, arrays["logits" if boards else "z"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(out.states, last(arrays["x_final"]), rtol=0, atol=2e-4)


@needs_torch
@pytest.mark.parametrize("name", akorn.CASES)
def test_loss_and_gradients_are_those_of_pytorch_and_a_fault_is_seen(name, tmp_path):
    options = akorn.CASES[name] | TINY | {"path": str(tmp_path / "reference.npz")}
    with harness.Worker("experiments.bench.torch_akorn:reference", options) as worker:
        worker.ask("facts")
    with np.load(options["path"]) as stored:
        arrays = dict(stored)
    conv = "gradient/layers.0.0.connectivity.weight"
    key = conv if conv in arrays else "gradient/layers.0.0.connectivity.mat_v"
    arrays[key][2, 1] += 0.01 * np.abs(arrays[key]).max()
    np.savez(options["path"], **arrays)
    _, facts = jax_akorn.differences(**options)
    far = [name for name, value in facts["differences"].items() if not value < 1e-4]
    assert far == [f"gradient of layer_0/{'kernel' if key == conv else 'value_blocks'}"]


@pytest.mark.parametrize("name", ["sudoku", "discovery_conv"])
def test_the_step_of_the_engine(name):
    options = akorn.CASES[name] | TINY | {"all_devices": False}
    with harness.Worker("experiments.bench.jax_akorn:train", options) as worker:
        facts, again = worker.ask("facts"), worker.ask("turn")
    assert facts["devices"] == 1
    assert again["seconds"] > 0


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(akorn, "JAX_SIDE", "tests.experiments.bench.toy")
    words = ["--cases", "sudoku", "discovery_conv", "--channels=32", "--rounds=1", "--no_peer", f"--workdir={tmp_path}"]
    assert bench.main(["akorn", *words]) == 0
    cases = json.loads((tmp_path / "akorn.json").read_text())
    assert {name.removesuffix("_all_devices") for name in cases} == {"sudoku", "discovery_conv"}
    assert cases["sudoku"]["sizes"] == akorn.CASES["sudoku"] | {"channels": 32}
    assert "images/s" in capsys.readouterr().out
