"""Training steps of the recurrent segmenters: the PyTorch peers are the published networks, both sides agree."""

import importlib.util
import json

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import harness, jax_waves, komplexnet, waves
from tests.oscnets.test_interop_waves import FILES, load

TINY = {"size": 6, "channels": 2, "hidden": [5], "num_steps": 4, "batch_size": 2}
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra bench")


@needs_torch
@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("wave", "lstm"))])
def test_the_peer_computes_the_published_numbers(name):
    import torch

    from experiments.bench.torch_waves import Segmenter

    kind, _, state, arrays = load(name)
    hidden = [len(state[key]) for key in state if "fc_readout" in key and key.endswith("bias")]
    sizes = {"classes": hidden.pop(), "hidden": hidden, "colours": arrays["x"].shape[1], "how": name.split("_")[1]}
    sizes["num_steps"] = state["classifier.fc_time.weight"].shape[1]
    model = Segmenter(kind, channels=len(state["classifier.hy_encoder.6.bias"]), **sizes)
    model.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    with torch.no_grad():
        logits, states = model(torch.from_numpy(arrays["x"]))
    assert np.abs(logits.numpy() - arrays["logits"]).max() <= 1e-4 * np.abs(arrays["logits"]).max()
    found = torch.stack(states, 1).numpy()[:, arrays.get("steps", slice(None))]
    assert np.abs(found - arrays["states"]).max() <= 1e-4 * np.abs(arrays["states"]).max()


@needs_torch
@pytest.mark.parametrize("kind", jax_waves.MODULES)
def test_loss_and_gradients_are_those_of_pytorch_and_a_fault_is_seen(kind, tmp_path):
    options = TINY | {"kind": kind, "path": str(tmp_path / "reference.npz")}
    with harness.Worker("experiments.bench.torch_waves:reference", options) as worker:
        worker.ask("facts")
    with np.load(options["path"]) as stored:
        arrays = dict(stored)
    arrays["gradient/classifier.fc_time.weight"][1, 2] += np.abs(arrays["gradient/classifier.fc_time.weight"]).max()
    np.savez(options["path"], **arrays)
    _, facts = jax_waves.differences(**options)
    far = [name for name, value in facts["differences"].items() if not value < 1e-3]
    assert far == ["gradient of head/time_kernel"]


def test_the_step_of_the_engine():
    """Of the ConvLSTM; the wave machine: see test_scaling."""
    options = TINY | {"kind": "conv_lstm", "all_devices": False}
    with harness.Worker("experiments.bench.jax_waves:train", options) as worker:
        facts, again = worker.ask("facts"), worker.ask("turn")
    assert facts["devices"] == 1
    assert again["seconds"] > 0


def test_scenes_show_a_disk_of_one_class():
    scenes = waves.scenes(8, 20)
    assert scenes["images"].shape == (8, 20, 20, 1)
    assert ((scenes["labels"] > 0) == (scenes["images"][..., 0] > 0)).all()
    for labels in scenes["labels"]:
        assert len(np.unique(labels)) == 2
    assert scenes["labels"].max() < waves.NUM_CLASSES


def test_the_report_has_one_entry_per_case_with_its_sizes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(komplexnet, "require_torch", lambda: None)
    monkeypatch.setattr(waves, "TORCH_SIDE", "tests.experiments.bench.toy")
    monkeypatch.setattr(waves, "JAX_SIDE", "tests.experiments.bench.toy")
    words = ["--cases", "wave_machine", "conv_lstm", "--size=8", "--rounds=2", f"--workdir={tmp_path}"]
    assert bench.main(["waves", *words]) == 0
    cases = json.loads((tmp_path / "waves.json").read_text())
    assert {name.removesuffix("_all_devices") for name in cases} == {"wave_machine", "conv_lstm"}
    assert cases["wave_machine"]["sizes"] == waves.CASES["wave_machine"] | {"size": 8}
    assert cases["conv_lstm"]["sizes"]["num_steps"] == 20
    assert "ratio" in capsys.readouterr().out


def test_an_unknown_case_exits_with_2(capsys):
    assert bench.main(["waves", "--cases", "unet"]) == 2
    assert "invalid choice: 'unet'" in capsys.readouterr().err
