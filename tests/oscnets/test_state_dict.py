"""Files of state dicts: of every kind of network, in every format, and what is said of files that are not right."""

import builtins
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import interop
from tests.helpers import golden_case, golden_cases
from tests.oscnets import test_interop_waves as waves
from tests.oscnets.test_interop import small_state

NAMES = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}


def write_safetensors(path, arrays):
    """As the format describes it: length of the header, header, data."""
    header, data = {}, b""
    for key, array in arrays.items():
        ends = [len(data), len(data) + array.nbytes]
        header[key] = {"dtype": NAMES[array.dtype.name], "shape": list(array.shape), "data_offsets": ends}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_npz(path, arrays):
    np.savez(path, **arrays)


def write_torch(path, arrays):
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {key: torch.tensor(array) for key, array in arrays.items()}}, path)


PUBLISHED = {
    "akorn": "akorn_sudoku.npz",
    "itrsa": "akorn_itrsa_sudoku.npz",
    "rotating_features": "rf_autoencoder_rgb.npz",
    "complex_autoencoder": "cae_autoencoder.npz",
}
WRITERS = {".safetensors": write_safetensors, ".npz": write_npz, ".ckpt": write_torch, ".pt": write_torch}


def network(kind):
    if kind == "komplexnet":
        return small_state(), {}
    if kind in PUBLISHED:
        case = golden_case(*golden_cases(PUBLISHED[kind])[0])[1]
        return {key.removeprefix("param/"): x for key, x in case.items() if key.startswith("param/")}, {}
    name = {"wave_machine": "wave_fft_c2", "conv_lstm": "lstm_linear_c2", "cnn": "cnn8", "unet": "unet3"}[kind]
    _, keywords, state, _ = waves.load(name)
    return state, keywords


def assert_same(found, expected):
    assert found[0] == expected[0]
    assert jax.tree.structure(found[1]) == jax.tree.structure(expected[1])
    assert jax.tree.all(jax.tree.map(np.array_equal, found[1], expected[1]))


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("kind", interop._KINDS)
def test_a_file_is_read_as_its_state_dict(kind, ending, tmp_path):
    state, keywords = network(kind)
    path = tmp_path / f"published 1{ending}"
    WRITERS[ending](path, state)
    expected = interop.from_torch(kind, state, **keywords)
    for place in (path, str(path)):
        assert_same(interop.from_torch(kind, place, **keywords), expected)


def test_a_tilde_and_an_ending_in_capitals(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_safetensors(tmp_path / "a.SafeTensors", small_state())
    assert_same(interop.from_torch("komplexnet", "~/a.SafeTensors"), interop.from_torch("komplexnet", small_state()))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_types_of_a_file(dtype, tmp_path):
    rounded = {key: array.astype(jnp.dtype(dtype)) for key, array in small_state().items()}
    write_safetensors(tmp_path / "a.safetensors", rounded | {"n_averaged": np.array(3)})
    _, variables = interop.from_torch("komplexnet", tmp_path / "a.safetensors")
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    expected = rounded["convA.norm.bias"].astype(np.float32)
    np.testing.assert_array_equal(variables["params"]["head"]["conv_shift"], expected)


@pytest.mark.parametrize("ending", WRITERS)
def test_keys_that_are_left_over_are_one_error(ending, tmp_path):
    state = small_state() | {"b.one": np.zeros(2), "a.two": np.zeros(2)}
    del state["convA.norm.bias"]
    WRITERS[ending](tmp_path / f"a{ending}", state)
    with pytest.raises(ValueError, match=r"missing convA\.norm\.bias; unexpected a\.two, b\.one$"):
        interop.from_torch("komplexnet", tmp_path / f"a{ending}")


def test_what_is_left_over_need_not_be_an_array():
    state = small_state() | {"hyper_parameters": {"depth": 3}, "callbacks": None}
    with pytest.raises(ValueError, match=r"unexpected callbacks, hyper_parameters$"):
        interop.from_torch("komplexnet", state)


@pytest.mark.parametrize("name", ["a.h5", "a", "safetensors"])
def test_another_ending_is_refused_with_those_that_are_read(name, tmp_path):
    with pytest.raises(
        ValueError, match=rf"{name} must end in one of \.safetensors, \.npz, \.pt, \.pth, \.ckpt, \.bin$"
    ):
        interop.from_torch("komplexnet", tmp_path / name)


@pytest.mark.parametrize("ending", WRITERS)
def test_a_file_that_is_not_there_or_damaged(ending, tmp_path):
    path = tmp_path / f"a{ending}"
    if ending in (".pt", ".ckpt"):
        pytest.importorskip("torch")
    with pytest.raises(FileNotFoundError, match=path.name):
        interop.from_torch("komplexnet", path)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read: "):
        interop.from_torch("komplexnet", path)


def test_a_file_without_names_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(3), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt must hold a state dict, got Tensor"):
        interop.from_torch("komplexnet", tmp_path / "a.pt")


class Runs:
    def __reduce__(self):
        return builtins.exec, ("raise AssertionError('code of a checkpoint was run')",)


def test_no_code_of_a_checkpoint_is_run(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {}, "callbacks": Runs()}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"a\.ckpt cannot be read: UnpicklingError"):
        interop.from_torch("komplexnet", tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("module", "ending", "remedy"),
    [
        ("safetensors", ".safetensors", r"needs the package safetensors: pip install 'oscnets\[safetensors\]'"),
        ("torch", ".pt", r"needs the package torch: pip install torch, or give the state dict"),
    ],
)
def test_without_its_library_the_remedy_is_named(module, ending, remedy, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"a\{ending} {remedy}"):
        interop.from_torch("komplexnet", tmp_path / f"a{ending}")
