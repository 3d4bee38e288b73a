"""Local sums against a loop over taps and against NumPy's own shifts; their gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oscnets._products.stencil import Frame, correlate, stencil_sum
from tests.helpers import assert_adjoints, assert_close

MODES = {"clamped": "constant", "periodic": "wrap"}


def naive(field, kernel, boundary, origin=None):
    """Pixel by pixel on a padded image."""
    taps_h, taps_w, _, c_out = kernel.shape
    _, height, width, batch = field.shape
    above, left = origin or (taps_h // 2, taps_w // 2)
    pads = [(0, 0), (above, taps_h - 1 - above), (left, taps_w - 1 - left), (0, 0)]
    wide = np.pad(field, pads, mode=MODES[boundary])
    out = np.zeros((c_out, height, width, batch))
    for y in range(height):
        for x in range(width):
            patch = wide[:, y : y + taps_h, x : x + taps_w]
            out[:, y, x] = np.einsum("iyxn,yxio->on", patch, kernel)
    return out


def case(c_in, c_out, size=(3, 3), image=(5, 4), batch=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(c_in, *image, batch)), rng.normal(size=(*size, c_in, c_out))


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize("channels", [(3, 4), (1, 4), (4, 1)])  # gathered by rows, by all taps, by none
@pytest.mark.parametrize("size", [(3, 3), (1, 5)])
def test_sum_and_gradients(boundary, channels, size):
    field, kernel = case(*channels, size)
    found = assert_adjoints(partial(stencil_sum, boundary=boundary), field, kernel)
    assert_close(found, naive(field, kernel, boundary), 1e-13)


@pytest.mark.parametrize("boundary", MODES)
@pytest.mark.parametrize("channels", [(3, 4), (1, 4), (4, 1)])
@pytest.mark.parametrize(("size", "origin"), [((2, 3), (0, 2)), ((3, 4), (2, 1)), ((2, 2), (1, 0))])
def test_kernels_of_any_size_and_origin(boundary, channels, size, origin):
    field, kernel = case(*channels, size)
    found = assert_adjoints(partial(correlate, Frame(boundary, origin)), field, kernel)
    assert_close(found, naive(field, kernel, boundary, origin), 1e-13)


def test_under_vmap_over_kernels():
    field, kernel = case(3, 4)
    kernels = np.stack([kernel, 2 * kernel]).astype(np.float32)
    run = jax.jit(jax.vmap(partial(stencil_sum, boundary="periodic"), (None, 0)))
    assert_close(
        run(field.astype(np.float32), kernels)[1], naive(field, kernels[1], "periodic").astype(np.float32), 1e-5
    )


@pytest.mark.parametrize(
    ("field", "kernel", "boundary", "message"),
    [
        ((2, 5, 4), (3, 3, 2, 2), "clamped", r"field must be \(C_in, H, W, B\), got shape \(2, 5, 4\)"),
        ((2, 5, 4, 1), (3, 3, 3, 2), "clamped", r"kernel must be \(kh, kw, 2, C_out\).*got \(3, 3, 3, 2\)"),
        ((2, 5, 4, 1), (3, 2, 2, 2), "clamped", "odd height and width, got 3 x 2"),
        ((2, 5, 4, 1), (3, 11, 2, 2), "periodic", r"kernel of \(3, 11\) reaches around an image of \(5, 4\)"),
        ((2, 5, 4, 1), (3, 3, 2, 2), "open", "one of clamped, periodic, got 'open'"),
    ],
)
def test_bad_input(field, kernel, boundary, message):
    with pytest.raises(ValueError, match=message):
        stencil_sum(jnp.zeros(field), jnp.zeros(kernel), boundary=boundary)
