"""Every public function and model, and its gradient, is lowered for a TPU and a CUDA GPU; neither is needed."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import export

from oscnets import models
from tests.oscnets.functions import CASES
from tests.oscnets.models import test_modules, test_sequences
from tests.oscnets.models.test_program import IMAGES, KEYS
from tests.oscnets.models.test_program import MODELS as OF_IMAGES

PLATFORMS = ("tpu", "cuda")
MODELS = {
    **{name: (model, IMAGES) for name, model in (OF_IMAGES | test_modules.MODELS).items()},
    **{name: (model, test_sequences.SEQUENCES) for name, model in test_sequences.MODELS.items()},
}
PARTS = {models.KuramotoLayer, models.NormReadout}  # of AKOrN, and lowered with it


def lower(fn, *args):
    """Lower for all platforms at once. Every product is of the highest precision, unless another one is set."""
    exported = export.export(jax.jit(fn), platforms=PLATFORMS)(*args)
    assert exported.platforms == PLATFORMS
    products = re.findall(r"stablehlo\.(?:dot_general|convolution).*", exported.mlir_module())
    assert [line for line in products if line.count("HIGHEST") != 2] == []
    return exported


def squares(tree):
    """Of every floating result."""
    floating = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return sum(jnp.square(x).sum() for x in floating)


def shapes(arrays):
    return tuple(jax.ShapeDtypeStruct(x.shape, np.float32) for x in arrays)


def gradient(fn, argnums):
    """The gradient in some arguments of the sum of squares of a function's results, and these."""

    def loss(*args):
        out = fn(*args)
        return squares(out), out

    return jax.grad(loss, argnums, has_aux=True)


@pytest.mark.parametrize("name", CASES)
def test_functions(name):
    """With their gradients where they are smooth."""
    case = CASES[name]
    if not case.smooth:
        lower(case.fn, *shapes(case.arrays))
        return
    exported = lower(gradient(case.fn, range(len(case.arrays))), *shapes(case.arrays))
    assert [x.shape for x in exported.out_avals[: len(case.arrays)]] == [x.shape for x in case.arrays]


def test_every_model_is_lowered():
    public = (getattr(models, name) for name in models.__all__)
    modules = {value for value in public if isinstance(value, type) and issubclass(value, nn.Module)}
    assert modules - PARTS <= {type(model) for model, _ in MODELS.values()}


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    """Outputs and gradients in parameters and images."""
    model, inputs = MODELS[name]
    variables = jax.eval_shape(lambda: model.init(KEYS, inputs))
    images = jax.ShapeDtypeStruct(inputs.shape, inputs.dtype)
    apply = lambda variables, images: model.apply(variables, images, rngs=KEYS)  # noqa: E731
    exported = lower(gradient(apply, (0, 1)), variables, images)
    expected = [x.shape for x in jax.tree.leaves((variables, images))]
    assert [x.shape for x in exported.out_avals[: len(expected)]] == expected


def test_what_a_platform_lacks_is_noticed():
    with pytest.raises(NotImplementedError, match="MLIR translation rule"):
        lower(jnp.linalg.eigvals, jax.ShapeDtypeStruct((3, 3), np.float32))
