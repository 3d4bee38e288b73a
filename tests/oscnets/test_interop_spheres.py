"""Published networks of oscillators on spheres, read without PyTorch: moving averages, sizes, state dicts not right."""

import jax
import numpy as np
import pytest

from oscnets import interop
from tests.helpers import golden_case, golden_cases


def state_of(pattern):
    """The state dict of the first case, with random numbers: whatever the case."""
    arrays = golden_case(*golden_cases(pattern)[0])[1]
    return {key.removeprefix("param/"): x for key, x in arrays.items() if key.startswith("param/")}


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("akorn", "akorn_sudoku.npz"), ("akorn", "akorn_classifier.npz"), ("itrsa", "akorn_itrsa_sudoku.npz")],
)
def test_of_a_moving_average_the_average_is_taken(kind, pattern):
    state = state_of(pattern)
    file = {
        **{f"online_model.{key}": np.zeros_like(x) for key, x in state.items()},
        **{f"ema_model.{key}": x for key, x in state.items()},
        "initted": np.array(True),
        "step": np.array(7),
    }
    expected = interop.from_torch(kind, state)
    for given in (file, {"epoch": 3, "model_state_dict": file}):
        module, variables = interop.from_torch(kind, given)
        assert module == expected[0]
        assert jax.tree.all(jax.tree.map(np.array_equal, variables, expected[1]))


def test_what_the_arrays_do_not_tell_comes_by_keyword():
    state = state_of("akorn_sudoku.npz")
    module, _ = interop.from_torch("akorn", state, num_steps=128, grid=(3, 27))
    assert (module.num_steps, module.grid) == (128, (3, 27))
    assert interop.from_torch("akorn", state)[0].num_steps == 16


@pytest.mark.parametrize(
    ("pattern", "change", "keywords", "message"),
    [
        ("akorn_sudoku.npz", {"gamma": None}, {}, "missing gamma"),
        ("akorn_sudoku.npz", {"layers.0.2.weight": (1,)}, {}, r"unexpected layers\.0\.2\.weight"),
        ("akorn_sudoku.npz", {}, {"grid": (9, 8)}, r"grid must be .* 81 positions, got \(9, 8\)"),
        ("akorn_sudoku.npz", {}, {"channels": 5}, "channels cannot be overridden"),
        ("akorn_sudoku.npz", {"out.1.bias": (8,)}, {}, r"out\.1\.bias must have shape \(9\)"),
        ("akorn_objs_attn_L1.npz", {"patchfy.1.bias": None}, {}, r"missing patchfy\.1\.bias"),
    ],
)
def test_bad_states(pattern, change, keywords, message):
    state = state_of(pattern) | {key: np.zeros(shape) for key, shape in change.items() if shape}
    state = {key: x for key, x in state.items() if change.get(key, ()) is not None}
    with pytest.raises(ValueError, match=message):
        interop.from_torch("akorn", state, **keywords)
