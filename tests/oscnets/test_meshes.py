"""Every public function of a batch takes one that is sharded over a mesh with Explicit axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from tests.oscnets.test_functions import BATCHED, CASES, leaves, values_and_gradient


@pytest.mark.parametrize("name", BATCHED)
def test_a_batch_may_be_sharded_over_a_mesh_with_explicit_axes(name):
    case, mesh = CASES[name], jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    arrays = [jnp.asarray(x, jnp.float32) for x in case.arrays]
    pairs = zip(arrays, case.batched, strict=True)
    split = [axis is not None and x.shape[axis] == 2 for x, axis in pairs]
    places = [jax.P(*[None] * axis, "data") if s else jax.P() for s, axis in zip(split, case.batched, strict=True)]
    fn = values_and_gradient(name)
    values, gradient = fn(*arrays)
    with jax.set_mesh(mesh):
        sharded = [jax.device_put(x, NamedSharding(mesh, place)) for x, place in zip(arrays, places, strict=True)]
        found, of_sharded = fn(*sharded)
    for a, b in zip(leaves(found), leaves(values), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    for a, b in zip(of_sharded, gradient, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
