"""A convolution that a dynamics applies at every step, in the layout (H, W, C, B)."""

import math
from collections.abc import Callable
from functools import partial

from jax import Array

from oscnets._platform import sizes
from oscnets._products.conv import conv_hwcb
from oscnets.dynamics import coupling


def convolution(kernel: Array, image: tuple[int, int], batch_size: int) -> Callable[[Array], Array]:
    """`oscnets.ops.conv` with one kernel, for fields (H, W, C_in, B) -> (H, W, C_out, B) of one image size.

    What does not depend on the field is computed here, once: the kernel's spectrum, unless that is too large.

    Args:
        kernel: (kh, kw, C_in, C_out), odd sizes, of the fields' type.
        image: (H, W).
        batch_size: B, that the choice of the method is for.
    """
    if math.prod(kernel.shape[:2]) == 1 or math.prod((*image, *kernel.shape[2:])) > sizes().spectrum_numbers:
        return partial(conv_hwcb, kernel=kernel)
    return partial(coupling.neighbourhood_sum, prepared=coupling.prepare_kernel(kernel, image, batch_size=batch_size))
