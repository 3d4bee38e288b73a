"""Every model as a Flax module: outputs while it is initialized, inside larger modules, under their transformations."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from oscnets import models
from tests.helpers import assert_close, random_like

KOMPLEX = {"channels": 2, "hidden": 5, "num_classes": 4, "kernel_size": 3, "num_steps": 3}
SEGMENTER = {"hidden": (6,), "num_classes": 4, "mid_channels": 3}
WAVES = models.NeuralWaveMachine(num_steps=8, **SEGMENTER)
MODELS = {
    "komplexnet": models.KomplexNet(**KOMPLEX),
    "feedback": models.KomplexNet(**KOMPLEX, feedback=("l2", "l4")),
    "random phases": models.KomplexNet(**KOMPLEX, phases="random"),
    "gaspnet": models.GASPnet(channels=(3, 4, 2), hidden=5, num_classes=3, dim=2, num_steps=2),
    "two heads": models.GASPnet(channels=(3, 4, 2), num_heads=2, input_phases=True, start="learned"),
    "waves": WAVES,
    "waves unmerged": WAVES.clone(hidden=(14,), gradient="checkpoint"),
    "waves reversed": WAVES.clone(gradient="reverse"),
    "waves without states": WAVES.clone(keep="readout"),
    "waves without states, reversed": WAVES.clone(keep="readout", readout="max", gradient="reverse"),
    "lstm": models.ConvLSTM(num_steps=3, readout="fft", **SEGMENTER),
    "cnn": models.CNN(depth=2, channels=3, bins=3, hidden=(6,), num_classes=4),
    "unet": models.UNet(width=2, num_classes=4),
    "akorn": models.discovery_akorn(channels=8, heads=2, num_steps=2, num_layers=2),
    "akorn, classes": models.classification_akorn(channels=4, kernel_size=3, num_steps=2, num_classes=4),
    "iterated": models.ItrConv(head="discovery", channels=4, num_steps=2),
}
IMAGES = np.random.default_rng(0).uniform(size=(2, 16, 16, 1)).astype(np.float32)
KEYS = {name: jax.random.key(i) for i, name in enumerate(("params", "phases", "noise"))}


class Larger(nn.Module):
    """A model whose logits go through another layer."""

    model: nn.Module

    @nn.compact
    def __call__(self, images):
        return nn.Dense(2)(self.model(images).logits)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_at_init_have_the_structure_of_apply_in_a_larger_module_too(name):
    module = MODELS[name]
    output, variables = jax.eval_shape(lambda: module.init_with_output(KEYS, IMAGES))
    applied = jax.eval_shape(lambda variables: module.apply(variables, IMAGES, rngs=KEYS), variables)
    chex.assert_trees_all_equal_shapes_and_dtypes(output, applied)
    logits, outer = jax.eval_shape(lambda: Larger(module).init_with_output(KEYS, IMAGES))
    assert logits.shape == (*output.logits.shape[:-1], 2)
    chex.assert_trees_all_equal_shapes_and_dtypes(outer["params"]["model"], variables["params"])


class Wrapped(nn.Module):
    """A model under one of Flax's transformations; `split` in its two parts."""

    model: nn.Module
    how: str

    def __call__(self, images, phases):
        call = lambda model, images, phases: model(images, phases0=phases).logits  # noqa: E731
        if self.how == "remat":
            return nn.remat(call)(self.model, images, phases)
        if self.how == "vmap":
            axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "axis_size": 2}
            return nn.vmap(call, in_axes=None, **axes)(self.model, images, phases)[0]
        run = self.model.synchronize(images, phases0=phases)
        return jnp.stack([self.model.classify_step(state, run.context) for state in run.states])


@pytest.mark.parametrize("name", ["komplexnet", "feedback"])
def test_under_the_transformations_of_flax(name):
    """Of the module that unbinds its parts to run them inside loops."""
    model = MODELS[name].clone(parent=None)
    images, phases = IMAGES[:, :6, :8], np.random.default_rng(1).uniform(-3, 3, (2, 6, 8, 2)).astype(np.float32)
    variables = random_like(lambda: model.init(KEYS, images, phases0=phases))
    expected = jax.jit(model.apply)(variables, images, phases0=phases).logits
    for how in ("remat", "split", "vmap"):
        wrapped = Wrapped(model, how)
        params = {"params": {"model": variables["params"]}}
        if how == "vmap":
            params = jax.tree.map(lambda x: np.stack([x, 0 * x]), params)
        shapes = jax.eval_shape(lambda wrapped=wrapped: wrapped.init(KEYS, images, phases))
        chex.assert_trees_all_equal_shapes_and_dtypes(shapes, params)
        assert_close(jax.jit(wrapped.apply)(params, images, phases), expected, 1e-5)
