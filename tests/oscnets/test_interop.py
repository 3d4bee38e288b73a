"""Published PyTorch weights, read without PyTorch: golden outputs, layouts, and state dicts that are not right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import interop, losses
from tests.helpers import golden_files

SMALL = {
    "downsampling.weight": (4, 3, 3, 3),
    "kernel_kuramoto": (4, 4, 5, 5),
    "convA.kernel_conv.weight": (4, 4, 3, 3),
    "convA.kernel_conv.bias": (4,),
    "convA.norm.weight": (4,),
    "convA.norm.bias": (4,),
    "classif1.1.weights.weight": (6, 4 * 7 * 7),
    "classif1.1.weights.bias": (6,),
    "classif1.1.norm.weight": (6,),
    "classif1.1.norm.bias": (6,),
    "classif2.weights.weight": (3, 6),
    "classif2.weights.bias": (3,),
}


def small_state():
    """A network on 14 x 14 colour images, with sizes that all differ."""
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in SMALL.items()}


def channels_last(array):
    return np.moveaxis(array, 1, -1)


@pytest.fixture(scope="module")
def golden():
    with np.load(*golden_files("komplexnet.npz")) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def rebuilt(golden):
    state = {key.removeprefix("state/"): array for key, array in golden.items() if key.startswith("state/")}
    return interop.from_torch("komplexnet", state, rate=float(golden["rate"]), epsilon=float(golden["epsilon"]))


@pytest.fixture(scope="module")
def output(golden, rebuilt):
    module, variables = rebuilt
    run = jax.jit(lambda x, phases: module.apply(variables, x, phases0=phases, num_steps=15))
    return run(channels_last(golden["x"]), channels_last(golden["phases0"]))


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= 1e-4 * np.max(np.abs(expected))


def test_logits_of_every_step_are_the_published_ones(golden, output):
    assert_close(output.logits, golden["logits"])


def test_phases_and_amplitude_are_the_published_ones(golden, output):
    assert_close(output.phases, channels_last(golden["phases_last"]))
    assert_close(output.trajectory[0], channels_last(golden["phases_first"]))
    assert_close(output.amplitude, channels_last(golden["amplitude"]))


def test_synchrony_is_the_published_one(golden, output):
    masks = channels_last(golden["masks"])
    found = losses.cluster_synchrony(output.phases, masks, output.amplitude, silent="zero")
    assert_close(found, golden["synchrony"])


def test_count_of_parameters(rebuilt):
    assert sum(leaf.size for leaf in jax.tree.leaves(rebuilt[1])) == 114_548


def test_the_module_makes_the_same_tree_of_parameters():
    module, variables = interop.from_torch("komplexnet", small_state())
    images, phases = np.zeros((1, 14, 14, 3), np.float32), np.zeros((1, 14, 14, 4), np.float32)
    own = jax.eval_shape(lambda: module.init(jax.random.key(0), images, phases0=phases))
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (own, variables))
    assert shapes[0] == shapes[1]
    assert (module.channels, module.hidden, module.num_classes, module.kernel_size) == (4, 6, 3, 5)


def test_axes_go_where_they_belong():
    state = small_state()
    params = interop.from_torch("komplexnet", state)[1]["params"]
    c_out, c_in, y, x = 1, 2, 3, 4
    assert params["coupling_kernel"][y, x, c_in, c_out] == state["kernel_kuramoto"][c_out, c_in, y, x]
    unit, channel, row, column = 5, 3, 2, 6
    dense = state["classif1.1.weights.weight"].reshape(6, 4, 7, 7)
    at = (row * 7 + column) * 4 + channel
    assert params["head"]["hidden_kernel"][at, unit] == dense[unit, channel, row, column]
    np.testing.assert_array_equal(params["head"]["output_kernel"], state["classif2.weights.weight"].T)


class Tensor:
    """What a PyTorch tensor that requires gradients lets one do."""

    def __init__(self, array):
        self.array = array

    def __array__(self, *_args, **_kwargs):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


def test_tensors_are_read_like_arrays():
    arrays = small_state()
    tensors = {key: Tensor(array) for key, array in arrays.items()}
    found, expected = (interop.from_torch("komplexnet", state)[1] for state in (tensors, arrays))
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


def test_the_unused_norm_may_be_there_or_not():
    state = small_state()
    extra = {"classif2.norm.weight": np.ones(3), "classif2.norm.bias": np.zeros(3)}
    found, expected = (interop.from_torch("komplexnet", one)[1] for one in (state | extra, state))
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


def test_overrides_reach_the_module():
    module, _ = interop.from_torch("komplexnet", small_state(), rate=0.5, epsilon=0.25, num_steps=4)
    assert (module.rate, module.epsilon, module.num_steps) == (0.5, 0.25, 4)


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match=r"one of komplexnet.*'komplexnett'"):
        interop.from_torch("komplexnett", small_state())


def test_missing_and_unexpected_keys_are_named():
    state = small_state()
    del state["convA.norm.bias"]
    state["kernel_kuramoto_l5"] = np.zeros((4, 6))
    with pytest.raises(ValueError, match=r"missing convA\.norm\.bias; unexpected kernel_kuramoto_l5$"):
        interop.from_torch("komplexnet", state)


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        ("classif1.1.norm.weight", (5,), r"classif1\.1\.norm\.weight must have shape \(hidden\) = \(6,\), got \(5,\)"),
        ("kernel_kuramoto", (4, 4, 5, 3), r"kernel_kuramoto must .* = \(4, 4, 5, 5\), got \(4, 4, 5, 3\)"),
        ("downsampling.weight", (4, 3, 9), r"downsampling\.weight must .*\(channels, colours, 3, 3\).*got \(4, 3, 9\)"),
        ("classif1.1.weights.weight", (6, 4 * 7 * 6), "must be a square image of 4 channels, got 168"),
    ],
)
def test_a_wrong_shape_names_the_array_and_both_shapes(key, shape, message):
    with pytest.raises(ValueError, match=message):
        interop.from_torch("komplexnet", small_state() | {key: np.zeros(shape, np.float32)})


def test_attributes_of_the_arrays_cannot_be_overridden():
    with pytest.raises(ValueError, match=r"kernel_size cannot be overridden: the arrays have \{'kernel_size': 5\}"):
        interop.from_torch("komplexnet", small_state(), kernel_size=7)


def test_an_override_that_the_module_does_not_have():
    with pytest.raises(TypeError, match="epsilonn"):
        interop.from_torch("komplexnet", small_state(), epsilonn=0.2)


def published_state():
    """The published module registers epsilon and the rates as parameters; here with feedback from l2 and l4."""
    state = small_state() | {
        "kernel_kuramoto_l2": np.zeros((4, 4, 3, 3), np.float32),
        "kernel_kuramoto_l4": np.zeros((4, 3), np.float32),
    }
    scalars = {"epsilon": 0.35, "lr_kuramoto": 0.011, "lr_kuramoto_l2": 0.002, "lr_kuramoto_l4": 0.003}
    scalars |= {f"epsilon_{layer}": 0.0 for layer in ("l2", "l3", "l4")}
    return state | {key: np.array([value], np.float32) for key, value in scalars.items()}


def test_rates_and_epsilon_that_the_state_dict_holds_are_read():
    module, _ = interop.from_torch("komplexnet", published_state())
    assert module.feedback == ("l2", "l4")
    np.testing.assert_allclose([module.rate, module.epsilon], [0.011, 0.35], rtol=1e-6)
    np.testing.assert_allclose(module.feedback_rates, [0.002, 0.0, 0.003], rtol=1e-6)
    state = small_state() | {"epsilon": np.float32(0.35), "lr_kuramoto": np.array([0.011], np.float32)}
    module, _ = interop.from_torch("komplexnet", state, num_steps=3)
    assert (module.num_steps, module.feedback) == (3, ())
    np.testing.assert_allclose([module.rate, module.epsilon], [0.011, 0.35], rtol=1e-6)


def test_rates_that_are_given_too_must_agree():
    module, _ = interop.from_torch("komplexnet", published_state(), rate=0.011, feedback_rates=(0.002, 0.0, 0.003))
    np.testing.assert_allclose(module.rate, 0.011, rtol=1e-6)
    with pytest.raises(ValueError, match=r"rate cannot be overridden: the arrays have \{'rate': 0\.01[01]"):
        interop.from_torch("komplexnet", published_state(), rate=0.012)
    with pytest.raises(ValueError, match="feedback_rates cannot be overridden"):
        interop.from_torch("komplexnet", published_state(), feedback_rates=(0.005, 0.0, 0.003))


def test_a_desynchronizing_term_of_the_feedback_is_refused():
    with pytest.raises(ValueError, match=r"expected 0, got \{'epsilon_l2': 0\.5\}"):
        interop.from_torch("komplexnet", published_state() | {"epsilon_l2": np.array([0.5], np.float32)})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"epoch": 29, "global_step": 1, "state_dict": state},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"model._orig_mod.{key}": value for key, value in state.items()}},
        lambda state: {"n_averaged": np.array(7), **{f"module.{key}": value for key, value in state.items()}},
    ],
)
def test_wrappings_of_training_frameworks_are_taken_off(wrap):
    expected, found = (interop.from_torch("komplexnet", state) for state in (small_state(), wrap(small_state())))
    assert found[0] == expected[0]
    assert jax.tree.all(jax.tree.map(np.array_equal, found[1], expected[1]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "bool"])
def test_arrays_of_other_types_become_float32(dtype):
    state = {key: jnp.asarray(10 * array, dtype) for key, array in small_state().items()}
    as_numpy = {key: np.asarray(array) for key, array in state.items()}
    _, variables = interop.from_torch("komplexnet", as_numpy)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(variables["params"]["head"]["conv_bias"], np.float32(state["convA.kernel_conv.bias"]))


class HalfTensor(Tensor):
    """A tensor of bfloat16, which NumPy lacks."""

    def float(self):
        return Tensor(self.array).numpy()

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_tensors_of_bfloat16_are_read():
    arrays = small_state()
    found, expected = (
        interop.from_torch("komplexnet", state)[1]
        for state in ({key: HalfTensor(array) for key, array in arrays.items()}, arrays)
    )
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


def test_what_is_no_array_of_numbers_is_named():
    with pytest.raises(ValueError, match=r"convA\.norm\.bias must be an array of real numbers, got"):
        interop.from_torch("komplexnet", small_state() | {"convA.norm.bias": np.array(["a"] * 4)})
