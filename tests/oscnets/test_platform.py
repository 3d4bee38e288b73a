"""What is chosen for an accelerator computes the same; here on a CPU, which only takes itself for one."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets import _platform, losses, models
from oscnets._products import conv, stencil
from oscnets.dynamics import kuramoto
from tests.helpers import assert_close, random_like


def loss(variables, module, images, phases, targets):
    run = module.apply(variables, images, phases0=phases, method="synchronize")

    def of_step(shared, state, targets):
        logits = module.apply(shared[0], state, shared[1], method="classify_step")
        return losses.binary_cross_entropy(logits, targets).mean()

    return losses.mean_over_time(of_step, (variables, run.context), run.states, targets)


SMALL = models.KomplexNet(channels=2, hidden=3, num_classes=4, kernel_size=3, num_steps=3)


@pytest.mark.parametrize(
    ("module", "backends"), [(SMALL, ("cpu", "tpu", "gpu")), (SMALL.clone(feedback=("l2", "l4")), ("cpu", "gpu"))]
)
def test_a_training_step_of_komplexnet(module, backends, monkeypatch):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(size=(2, 6, 6, 1)), jnp.float32)
    phases = jnp.asarray(rng.uniform(-3, 3, (2, 6, 6, 2)), jnp.float32)
    targets = jnp.eye(4)[:2]
    variables = random_like(lambda: module.init(jax.random.key(0), images, phases0=phases))
    found = []
    for backend in backends:
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        jax.clear_caches()  # of programs for the other
        assert _platform.on_cpu() == (backend == "cpu")
        step = jax.jit(jax.value_and_grad(loss), static_argnums=1)
        found.append(step(variables, module, images, phases, targets))
    for other in found[1:]:
        assert_close(other, found[0], 1e-5)
    assert min(jnp.abs(x).max() for x in jax.tree.leaves(found[0][1])) > 0


def test_a_call_of_komplexnet_with_feedback(monkeypatch):
    """From layers of an earlier run."""
    rng = np.random.default_rng(0)
    module = SMALL.clone(feedback=("l3", "l4"), feedback_rates=(0.1, 0.2, 0.3), num_steps=2)
    images = jnp.asarray(rng.uniform(size=(2, 6, 6, 1)), jnp.float32)
    variables = random_like(lambda: module.init({"params": jax.random.key(0), "phases": jax.random.key(1)}, images))
    found = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        jax.clear_caches()
        first = module.apply(variables, images, rngs={"phases": jax.random.key(2)})
        found.append(module.apply(variables, images, phases0=first.phases, layers0=first.layers))
    assert_close(*found, 1e-5)


def test_gaspnet_and_its_gradients(monkeypatch):
    rng = np.random.default_rng(0)
    module = models.GASPnet(channels=(3, 4, 2), hidden=5, num_classes=3, dim=2, num_steps=2)
    images = jnp.asarray(rng.uniform(size=(2, 8, 8, 1)), jnp.float32)
    phases = jnp.asarray(rng.normal(size=(2, sum(map(math.prod, module.layers((8, 8)))))), jnp.float32)
    variables = random_like(lambda: module.init(jax.random.key(0), images, phases0=phases))

    def value(variables, phases):
        out = module.apply(variables, images, phases0=phases)
        return jnp.sum(out.logits**2) + jnp.sum(jnp.sin(out.phases)), out

    found = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        jax.clear_caches()
        found.append(jax.jit(jax.grad(value, (0, 1), has_aux=True))(variables, phases))
    assert_close(*found, 1e-5)


def test_sums_over_a_matrix(monkeypatch):
    """Two products, or one: shared and of each run."""
    rng = np.random.default_rng(0)
    for shape in ((5, 5), (2, 5, 5)):
        phases, coupling, weights = (jnp.asarray(rng.normal(size=x), jnp.float32) for x in ((2, 5), shape, (2, 5)))
        found = []
        for backend in ("cpu", "gpu"):
            monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
            jax.clear_caches()
            value = lambda *x, weights=weights: (kuramoto.vector_field(*x) * weights).sum()  # noqa: E731
            found.append((kuramoto.vector_field(phases, coupling), jax.grad(value, (0, 1))(phases, coupling)))
        assert_close(*found, 1e-5)


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


def test_convolutions_with_strides(monkeypatch):
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((4, 6, 2, 3), (3, 5, 2, 4)))
    for convolve in (partial(conv.conv_hwcb, strides=2), conv.conv_transpose_hwcb):
        found = []
        for backend in ("cpu", "tpu"):
            monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
            jax.clear_caches()
            value = lambda x, kernel, convolve=convolve: jnp.sum(convolve(x, kernel) ** 2)  # noqa: E731
            found.append((convolve(x, kernel), jax.grad(value, (0, 1))(x, kernel)))
        assert_close(*found, 1e-4)


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


def test_a_tpu_convolves_eight_channels_and_transforms_fewer(monkeypatch):
    cases = [((32, 32), (13, 13, 8, 8)), ((32, 32), (3, 7, 1, 1)), ((32, 32), (3, 3, 8, 4)), ((32, 256), (3, 3, 1, 1))]
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert [_platform.coupling_method(*case) for case in cases] == ["direct", "transform", "transform", "fft"]


def test_a_coupling_transforms_the_height_alone_on_a_gpu_of_many_small_images(monkeypatch):
    cases = [((32, 32), 8, 256), ((64, 32), 8, 128), ((32, 32), 8, 127), ((32, 64), 8, 256), ((32, 32), 8, None)]
    assert [_platform.coupling_axes(*case) for case in cases] == [2] * len(cases)
    rng = np.random.default_rng(0)
    shapes = ((2, 3, 6, 4, 1), (2, 3, 6, 4, 1), (3, 3, 1, 1))
    phases, amplitude, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    options = {"rate": 0.1, "epsilon": 0.1, "num_steps": 3, "method": "transform"}
    found, compiled = [], []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        jax.clear_caches()
        run = jax.jit(lambda *arrays: jnp.sin(kuramoto.conv_trajectory(*arrays, **options)).sum())
        compiled.append(run.lower(phases, amplitude, kernel).as_text())
        found.append(jax.value_and_grad(run, (0, 1, 2))(phases, amplitude, kernel))
    assert [_platform.coupling_axes(*case) for case in cases] == [1, 1, 2, 2, 2]
    assert compiled[0] != compiled[1]
    assert_close(*found, 1e-5)
