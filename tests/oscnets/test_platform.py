"""What is chosen for an accelerator computes the same; here on a CPU, which only takes itself for one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _platform, losses, models
from oscnets._products import stencil
from tests.helpers import assert_close


def loss(variables, module, images, phases, targets):
    run = module.apply(variables, images, phases0=phases, method="synchronize")

    def of_step(shared, state, targets):
        logits = module.apply(shared[0], state, shared[1], method="classify_step")
        return losses.binary_cross_entropy(logits, targets).mean()

    return losses.mean_over_time(of_step, (variables, run.context), run.states, targets)


def test_a_training_step_of_komplexnet(monkeypatch):
    rng = np.random.default_rng(0)
    module = models.KomplexNet(channels=2, hidden=3, num_classes=4, kernel_size=3, num_steps=3)
    images = jnp.asarray(rng.uniform(size=(2, 6, 6, 1)), jnp.float32)
    phases = jnp.asarray(rng.uniform(-3, 3, (2, 6, 6, 2)), jnp.float32)
    targets = jnp.eye(4)[:2]
    variables = module.init(jax.random.key(0), images, phases0=phases)
    found = []
    for backend in ("cpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        jax.clear_caches()  # of programs for the other
        assert _platform.on_cpu() == (backend == "cpu")
        step = jax.jit(jax.value_and_grad(loss), static_argnums=1)
        found.append(step(variables, module, images, phases, targets))
    assert_close(*found, 1e-5)
    assert min(jnp.abs(x).max() for x in jax.tree.leaves(found[0][1])) > 0


@pytest.mark.parametrize("boundary", ["clamped", "periodic"])
def test_small_kernels(boundary, monkeypatch):
    rng = np.random.default_rng(0)
    shapes = ((2, 4, 5, 3), (3, 1, 2, 4), (4, 4, 5, 3))
    field, kernel, ct_out = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    found = []
    for backend in ("cpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        jax.clear_caches()
        out, pull = jax.vjp(partial(stencil.stencil_sum, boundary=boundary), field, kernel)
        found.append((out, pull(ct_out), stencil.stencil_gradients(field, kernel, ct_out, boundary=boundary)))
    assert_close(*found, 1e-5)


def test_small_gradients_are_summed_beside_large_ones():
    rng = np.random.default_rng(0)
    sizes = {"small": (), "large": (300,), "other": (2, 3), "another": (257,)}
    shared = {name: jnp.asarray(rng.normal(size=size), jnp.float32) for name, size in sizes.items()}
    xs = jnp.asarray(rng.normal(size=4), jnp.float32)

    def term(shared, x, _):
        return sum(jnp.sin(x * leaf).sum() for leaf in jax.tree.leaves(shared)), ()

    plain = lambda shared: sum(term(shared, x, ())[0] for x in xs)  # noqa: E731
    found = jax.grad(lambda shared: losses.streaming_sum(term, shared, xs)[0])(shared)
    assert_close(found, jax.grad(plain)(shared), 1e-5)
