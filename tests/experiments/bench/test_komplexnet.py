"""The comparison of training steps: both sides compute the same, the report has what it should, faults are told."""

import json

import numpy as np
import pytest

from experiments.bench import __main__ as bench
from experiments.bench import harness, jax_komplexnet, komplexnet, machine
from experiments.engine.process import devices as mesh
from tests.helpers import golden_files

TINY = ["--batch_size=4", "--num_steps=2", "--kernel_size=3", "--rounds=2"]
KEYS = {"images_per_second", "peer_images_per_second", "ratio", "compile_seconds", "peak_rss_mb"}


@pytest.fixture
def toys(monkeypatch):
    """Both sides are toys, with or without PyTorch on the machine."""
    monkeypatch.setattr(komplexnet, "require_torch", lambda: None)
    monkeypatch.setattr(komplexnet, "TORCH_SIDE", "tests.experiments.bench.toy")
    monkeypatch.setattr(komplexnet, "PLAIN_SIDE", "tests.experiments.bench.toy")
    monkeypatch.setattr(komplexnet, "JAX_SIDE", "tests.experiments.bench.toy")
    monkeypatch.setattr(komplexnet, "MACHINE_SIDE", "tests.experiments.bench.toy")


@pytest.mark.parametrize(
    ("name", "feedback", "arrays"), [("komplexnet_gradients", False, 13), ("komplexnet_feedback_gradients", True, 16)]
)
def test_loss_and_gradients_are_those_of_pytorch_and_a_fault_is_seen(tmp_path, name, feedback, arrays):
    """Of what `torch_komplexnet.reference` wrote for batch_size=4, num_steps=15, kernel_size=13."""
    with np.load(*golden_files(f"{name}.npz")) as stored:
        changed = dict(stored)
    changed["gradient/convA.norm.bias"][3] *= 1.01
    np.savez(tmp_path / "reference.npz", **changed)
    _, facts = jax_komplexnet.differences(path=str(tmp_path / "reference.npz"), batch_size=4, feedback=feedback)
    far = {name: value for name, value in facts["differences"].items() if not value < 1e-4}
    assert len(facts["differences"]) == arrays
    assert list(far) == ["gradient of head/conv_shift"]


def test_the_self_check_names_what_is_far():
    with pytest.raises(komplexnet.MismatchError, match=r"0\.001: gradient of a/kernel by 0\.25, gradient of b by nan$"):
        komplexnet.check("tests.experiments.bench.toy:reference", "tests.experiments.bench.toy:far", batch_size=4)


def test_scenes_show_two_objects_apart():
    scenes = komplexnet.scenes(16)
    assert scenes["images"].shape == (16, 32, 32, 1)
    assert scenes["masks"].shape == (16, 32, 32, 2)
    assert scenes["masks"].any((1, 2)).all()
    assert not scenes["masks"].all(-1).any()
    assert ((scenes["images"][..., 0] > 0) == scenes["masks"].any(-1)).all()
    assert (scenes["labels"][:, 0] != scenes["labels"][:, 1]).all()


def test_the_report_has_one_entry_per_case(toys, tmp_path, capsys):
    assert bench.main(["komplexnet", *TINY, f"--workdir={tmp_path}"]) == 0
    cases = json.loads((tmp_path / "komplexnet.json").read_text())
    assert set(cases) == {
        *("komplexnet", "komplexnet_all_devices"),
        *("komplexnet_feedback", "komplexnet_feedback_all_devices"),
    }
    for case in cases.values():
        assert set(case) >= KEYS
        assert case["images_per_second"] > case["peer_images_per_second"] > 0
        assert case["ratio"] == pytest.approx(case["images_per_second"] / case["peer_images_per_second"])
        assert len(case["milliseconds"]) == len(case["peer_milliseconds"]) == len(case["plain"]["milliseconds"]) == 2
        assert case["plain"]["ratio"] > 1
        rate = case["machine"]["product_flops_per_second"]
        assert case["shares"]["product"] == pytest.approx(4e6 / (np.median(case["milliseconds"]) / 1e3) / rate)
        assert case["shares"]["product"] == pytest.approx(0.4, rel=0.5)  # 0.4 and 0.1 of 1e7 in as many seconds
        assert case["shares"]["copy"] == pytest.approx(0.1, rel=0.5)
        assert case["machine"]["processor"] == machine.processor()
    assert cases["komplexnet_all_devices"]["facts"]["devices"] == 2
    printed = capsys.readouterr().out
    for word in (
        "ms per step",
        "images/s",
        "ratio",
        "as the equations read",
        "compiled in 1.0 s",
        "peak memory",
        "threads",
        "of the rate of a large product",
        f"{machine.instruction_set()}: a large product",
    ):
        assert word in printed


def test_without_a_peer_nothing_is_compared(toys, tmp_path, capsys):
    assert bench.main(["komplexnet", *TINY, "--no_peer", f"--workdir={tmp_path}"]) == 0
    case = json.loads((tmp_path / "komplexnet.json").read_text())["komplexnet"]
    assert case["images_per_second"] > 0
    assert (case["peer_images_per_second"], case["ratio"], case["peer_milliseconds"]) == (None, None, [])
    assert "ratio" not in capsys.readouterr().out


def test_the_step_of_the_experiment():
    """With feedback and on all devices; one device and no feedback: see test_scaling."""
    options = {"batch_size": 4, "num_steps": 2, "kernel_size": 3, "all_devices": True, "feedback": True}
    with harness.Worker("experiments.bench.jax_komplexnet:train", options) as worker:
        facts, again = worker.ask("facts"), worker.ask("turn")
    assert (facts["devices"] > 1) == (mesh.usable_cores() > 1)
    assert facts["compile_seconds"] > 0
    assert facts["flops"] > 1e6 and facts["bytes"] > 1e6
    assert facts["peak_rss_mb"] > 100
    assert again["seconds"] > 0


def test_without_pytorch_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(komplexnet.importlib.util, "find_spec", lambda name: None)
    assert bench.main(["komplexnet"]) == 2
    assert "oscnets[bench]" in capsys.readouterr().err


def test_a_side_that_fails_ends_the_comparison(toys, monkeypatch, capsys):
    monkeypatch.setattr(komplexnet, "TORCH_SIDE", "tests.experiments.bench.nowhere")
    assert bench.main(["komplexnet", *TINY]) == 1
    assert "bench.nowhere:reference ended with status 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["drums"], "invalid choice: 'drums'"),
        (["komplexnet", "--round=3"], "unrecognized arguments: --round=3"),
        (["komplexnet", "--rounds=0"], "must be at least 1, got 0"),
        (["komplexnet", "--batch_size=-4"], "must be at least 1, got -4"),
        (["komplexnet", "--kernel_size=12"], "must be odd, for a kernel to have a centre, got 12"),
        (["komplexnet", "--num_steps=many"], "invalid positive value: 'many'"),
        (["coupling", "--kernel_sizes", "3", "4"], "must be odd, for a kernel to have a centre, got 4"),
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments, said, capsys):
    assert bench.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_a_workdir_that_cannot_be_made_is_an_error_before_the_measurements(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert bench.main(["komplexnet", f"--workdir={tmp_path / 'file' / 'below'}"]) == 2
    assert "below: Not a directory" in capsys.readouterr().err
