"""Batches on a mesh of four devices: Explicit axes, on which every operation must say its sharding, Auto and Manual."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from oscnets._sharding import WHOLE, batch_sharded
from oscnets.dynamics import coupling
from tests.helpers import assert_close, random_variables
from tests.oscnets.models.test_program import KEYS, KOMPLEX, MODELS

# Their gradients are of layers as Flax has them, inside the same wrapper as the others'.
PLAIN = ("feedforward", "lstm", "cnn", "unet", "real", "transformer", "iterated attention")

IMAGES = np.random.default_rng(0).uniform(size=(4, 16, 16, 1)).astype(np.float32)
P = PartitionSpec


def mesh_of(kind):
    return jax.make_mesh((4,), ("data",), axis_types=(kind,))


def on(mesh, x, *spec):
    return jax.device_put(x, NamedSharding(mesh, P(*spec)))


def loss(model, variables, images):
    output = model.apply(variables, images, rngs=KEYS)
    return (getattr(output, "logits", getattr(output, "reconstruction", output)) ** 2).mean(), output


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("random", "learned phases")])
def test_models_on_explicit_axes(name):
    """Outputs and gradients, also in the images, of one device; outputs are sharded as the batch is."""
    model, mesh = MODELS[name], mesh_of(AxisType.Explicit)
    variables = random_variables(lambda: model.init(KEYS, IMAGES))
    of_model = partial(loss, model)
    gradient = jax.grad(of_model, (0, 1), has_aux=True)
    fn = jax.jit(lambda *args: of_model(*args) if name in PLAIN else gradient(*args))
    expected = fn(variables, IMAGES)
    with jax.set_mesh(mesh):
        found = fn(on(mesh, variables), on(mesh, IMAGES, "data"))
        shapes = jax.eval_shape(lambda x: model.init_with_output(KEYS, x), on(mesh, IMAGES, "data"))
    assert_close(found, expected, 1e-5)
    output = found[1]
    for x in jax.tree.leaves(output):
        # Of the axes of size 4, the number of images, one is the batch.
        assert "data" in x.sharding.spec or x.ndim == 0
    found, _ = shapes
    assert [x.shape for x in jax.tree.leaves(found)] == [x.shape for x in jax.tree.leaves(output)]


@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto])
def test_the_parts_of_a_call_outside_jit(kind):
    mesh = mesh_of(kind)
    variables = random_variables(lambda: KOMPLEX.init(KEYS, IMAGES))

    def logits(variables, images):
        run = KOMPLEX.apply(variables, images, rngs=KEYS, method="synchronize")
        return KOMPLEX.apply(variables, run.phases, run.context, method="classify_step")

    expected = logits(variables, IMAGES)
    with jax.set_mesh(mesh):
        assert_close(logits(on(mesh, variables), on(mesh, IMAGES, "data")), expected, 1e-5)
    assert_close(logits(variables, on(mesh, IMAGES, "data")), expected, 1e-5)


def test_a_model_inside_shard_map():
    model = MODELS["cnn"]
    variables = random_variables(lambda: model.init(KEYS, IMAGES))
    expected = model.apply(variables, IMAGES).logits
    mesh = mesh_of(AxisType.Explicit)
    part = lambda variables, images: model.apply(variables, images).logits  # noqa: E731
    mapped = jax.shard_map(part, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data"), check_vma=False)
    assert_close(jax.jit(mapped)(on(mesh, variables), on(mesh, IMAGES, "data")), expected, 1e-5)


@pytest.mark.parametrize("channels", [8, 32])
def test_gradients_of_a_coupling_inside_shard_map(channels):
    """As JAX's default has it, which checks over what axes an array varies: those of the kernel are summed."""
    rng, mesh = np.random.default_rng(0), mesh_of(AxisType.Auto)
    field = rng.normal(size=(4, 4, channels, 4)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, channels, channels)).astype(np.float32)

    def total(kernel, field):
        return jnp.sin(coupling.neighbourhood_sum(field, coupling.prepare_kernel(kernel, (4, 4)))).sum()

    both = lambda kernel, field: jax.lax.psum(total(kernel, field), "data")  # noqa: E731
    mapped = jax.shard_map(both, mesh=mesh, in_specs=(P(), P(None, None, None, "data")), out_specs=P())
    found = jax.jit(jax.grad(mapped, (0, 1)))(kernel, field)
    assert_close(found, jax.grad(total, (0, 1))(kernel, field), 1e-4)


@batch_sharded("x", core=1, out=(1, WHOLE))
def merged(x, scale=1.0):
    """Merges its batch axes: a function that Explicit axes refuse."""
    flat = x.reshape(-1, x.shape[-1]) * scale
    return jnp.stack([flat, -flat]).reshape(2, *x.shape), flat.sum()


def test_a_decorated_function():
    x = np.arange(24.0, dtype=np.float32).reshape(2, 4, 3)
    mesh = mesh_of(AxisType.Explicit)
    expected = merged(x, scale=2.0)
    with jax.set_mesh(mesh):
        for fn in (merged, jax.jit(merged)):
            found = fn(on(mesh, x, None, "data"), scale=2.0)
            assert found[0].sharding.spec[:3] == (None, None, "data")
            assert_close(found, expected, 1e-6)
    assert jax.typeof(merged(jnp.asarray(x))[0]).shape == (2, 2, 4, 3)
