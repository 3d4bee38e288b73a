"""Published segmenters by waves and their peers, read without PyTorch: golden outputs, sizes, state dicts not right."""

import jax
import numpy as np
import pytest

from oscnets import interop
from tests.helpers import golden_files
from tests.oscnets.test_interop import Tensor

KINDS = {"wave": "wave_machine", "lstm": "conv_lstm", "cnn8": "cnn", "unet3": "unet"}
FILES = [
    "wave_last_c2",
    "wave_mean_c2",
    "wave_max_c2",
    "wave_fft_c2",
    "wave_linear_c2",
    "wave_linear_c16",
    "lstm_fft_c2",
    "lstm_linear_c2",
    "cnn8",
    "unet3",
]


def load(name):
    """Kind, keywords, state dict and the other arrays of a golden file; `steps` are those whose states it holds."""
    with np.load(*golden_files(f"{name}.npz")) as file:
        arrays = dict(file)
    state = {key.removeprefix("state/"): array for key, array in arrays.items() if key.startswith("state/")}
    family, *rest = name.split("_")
    keywords = {"readout": rest[0]} if rest else {}
    if family == "wave":
        keywords["dt"] = float(arrays["dt"])
    return KINDS[family], keywords, state, arrays


@pytest.mark.parametrize("name", FILES)
def test_published_numbers(name):
    kind, keywords, state, arrays = load(name)
    module, variables = interop.from_torch(kind, state, **keywords)
    out = jax.jit(module.apply)(variables, np.moveaxis(arrays["x"], 1, -1))
    logits = np.moveaxis(arrays["logits"], 1, -1)
    assert out.logits.shape == logits.shape
    assert np.abs(out.logits - logits).max() <= 1e-5 * np.abs(logits).max()
    if "states" not in arrays:
        assert out.states is None
        return
    states = arrays["states"].transpose(1, 0, 3, 4, 2)
    found = np.asarray(out.states)[arrays.get("steps", slice(None))]
    assert found.shape == states.shape
    assert np.abs(found - states).max() <= 1e-5 * np.abs(states).max()


@pytest.mark.parametrize("name", FILES)
def test_the_module_makes_the_same_tree_of_variables(name):
    kind, keywords, state, arrays = load(name)
    module, variables = interop.from_torch(kind, state, **keywords)
    images = np.zeros((1, 16, 16, arrays["x"].shape[1]), np.float32)
    own = jax.eval_shape(lambda: module.init(jax.random.key(0), images))
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (own, variables))
    assert shapes[0] == shapes[1]


def test_sizes_come_from_the_arrays():
    module, _ = interop.from_torch(*load("wave_linear_c16")[::2])
    assert (module.channels, module.num_classes, module.num_steps, module.mid_channels) == (16, 11, 100, 16)
    assert module.hidden == (32,) * 5
    module, _ = interop.from_torch(*load("cnn8")[::2])
    assert (module.depth, module.channels, module.out_channels, module.bins) == (8, 16, 2, 49)
    module, _ = interop.from_torch(*load("unet3")[::2])
    assert (module.width, module.num_classes) == (3, 11)


def test_axes_go_where_they_belong():
    state = load("wave_linear_c2")[2]
    params = interop.from_torch("wave_machine", state)[1]["params"]
    assert params["kernel"][2, 0, 1, 0] == state["classifier.cell.Wy.weight"][0, 1, 2, 0]
    assert params["head"]["time_kernel"][70, 3] == state["classifier.fc_time.weight"][3, 70]
    assert params["damping_encoder"]["kernel_0"][0, 2, 0, 5] == state["classifier.alpha_encoder.0.weight"][5, 0, 0, 2]
    state = load("unet3")[2]
    params = interop.from_torch("unet", state)[1]["params"]
    assert params["kernel_up_3"][0, 1, 40, 20] == state["up1.up.weight"][40, 20, 0, 1]


def test_tensors_are_read_like_arrays():
    kind, _, state, _ = load("cnn8")
    found, expected = (
        interop.from_torch(kind, given)[1] for given in ({key: Tensor(a) for key, a in state.items()}, state)
    )
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


def test_steps_that_only_a_keyword_tells():
    state = load("wave_last_c2")[2]
    module, variables = interop.from_torch("wave_machine", state, readout="last")
    assert module.num_steps == 30
    assert "time_kernel" not in variables["params"]["head"]
    assert interop.from_torch("wave_machine", state, readout="mean", num_steps=7)[0].num_steps == 7
    del state["classifier.fc_time.weight"]
    assert interop.from_torch("wave_machine", state, readout="last")[0].num_steps == 100
    assert interop.from_torch("wave_machine", load("wave_linear_c2")[2], num_steps=100)[0].num_steps == 100


@pytest.mark.parametrize(
    ("name", "change", "keywords", "message"),
    [
        ("wave_linear_c2", {}, {"num_steps": 50}, r"num_steps cannot be overridden: .*100"),
        ("wave_linear_c2", {}, {"readout": "last"}, "'last' of 100 steps and 2 channels gives 2 features.* takes 102"),
        ("wave_linear_c2", {}, {"readout": "median"}, "readout must be one of .*'median'"),
        ("wave_linear_c2", {"classifier.fc_time.weight": None}, {}, r"missing classifier\.fc_time\.weight"),
        (
            "wave_linear_c2",
            {"classifier.cell.Wy.weight": (2, 2, 5, 5)},
            {},
            r"= \(2, 2, 3, 3\), got \(2, 2, 5, 5\)",
        ),
        ("wave_linear_c2", {"classifier.more": (1,)}, {}, r"unexpected classifier\.more"),
        ("lstm_linear_c2", {"classifier.recurrent_cell.cell.conv.bias": (7,)}, {}, r"\(gates\) = \(8,\), got \(7,\)"),
        (
            "cnn8",
            {"encoder.16.weight": (97, 2, 1, 1), "encoder.16.bias": (97,)},
            {},
            "features must be a multiple of the 2 channels, got 97",
        ),
        ("unet3", {"outc.conv.bias": None}, {}, r"missing outc\.conv\.bias"),
    ],
)
def test_bad_states(name, change, keywords, message):
    kind, _, state, _ = load(name)
    state |= {key: np.zeros(shape, np.float32) for key, shape in change.items() if shape}
    state = {key: array for key, array in state.items() if change.get(key, ()) is not None}
    if "97" in message:
        state["readout.0.weight"] = np.zeros((256, 97), np.float32)
    with pytest.raises(ValueError, match=message):
        interop.from_torch(kind, state, **keywords)
