"""The two fast layouts: where an entry goes, and back."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets._products.layout import from_chwb, from_hwcb, to_chwb, to_hwcb


@pytest.mark.parametrize("lead", [(2, 3), (6,), (), (0, 3)], ids=str)
@pytest.mark.parametrize(
    ("to", "back", "axes"),
    [(to_hwcb, from_hwcb, (1, 2, 3, 0)), (to_chwb, from_chwb, (3, 1, 2, 0))],
    ids=["hwcb", "chwb"],
)
def test_layouts_and_back(to, back, axes, lead):
    x = np.arange(np.prod(lead) * 4 * 5 * 6, dtype=np.float32).reshape(*lead, 4, 5, 6)
    fast = to(x)
    np.testing.assert_array_equal(fast, x.reshape(int(np.prod(lead)), 4, 5, 6).transpose(axes))
    np.testing.assert_array_equal(back(fast, lead), x)
    over_time = back(np.stack([fast, fast + 1]), lead)
    chex.assert_shape(over_time, (2, *x.shape))
    np.testing.assert_array_equal(over_time[1], x + 1)


@pytest.mark.parametrize(("to", "back"), [(to_hwcb, from_hwcb), (to_chwb, from_chwb)], ids=["hwcb", "chwb"])
def test_a_conversion_moves_the_numbers_once(to, back):
    """One transposition each in what XLA gets; the rest are reshapes."""
    x = jnp.zeros((2, 3, 4, 5, 6))
    for fn, given in ((to, x), (lambda x: back(x, (2, 3)), to(x))):
        assert str(jax.make_jaxpr(fn)(given)).count("transpose") == 1
