"""Scenes of several digits on photographs: KomplexNet's multi-MNIST with CIFAR-10 images in the background.

Muzellec, Alamia, Serre and VanRullen, TMLR 2025, section 4 (greyscaled images) and appendix (in colour, figure 18). The
scene is added to the picture and the sum clipped. Where the paper is silent: any scene may have any background.
"""

from dataclasses import replace

import numpy as np

from data_gen import multi_mnist
from data_gen._tools import checks, counter_rng, pixels

_CHUNK = 512
_LUMA = (299, 587, 114)  # thousandths of red, green and blue: ITU-R BT.601


def generate(
    digits, pictures, *, seed: int, num_examples: int, colour: bool = False, start: int = 0, **settings
) -> multi_mnist.Scenes:
    """`multi_mnist.generate(digits, ...)` on a background picture per scene; masks and labels are the digits'.

    Args:
      digits: base of the scenes, as `multi_mnist.generate` takes it.
      pictures: base of the backgrounds: images uint8 (M, H, W, 3), labels (M,). For training scenes pictures for
        training, for test scenes pictures for testing.
      seed: integer in [0, 2**64), of the scenes and of the choice of pictures.
      num_examples: number of scenes, >= 0.
      colour: images have three channels, not one; grey is 0.299 red + 0.587 green + 0.114 blue, rounded to a level.
      start: number of the first scene, >= 0.
      settings: of `multi_mnist.generate`. Pictures of another size than the scenes are resized bilinearly.
    Returns: Scenes with images float32 (N, size, size, 1 or 3) in [0, 1].
    Raises: ValueError and RuntimeError as `multi_mnist.generate`, and ValueError for pictures of another form.
    """
    images, _ = checks.base("pictures", pictures, colour=True)
    scenes = multi_mnist.generate(digits, seed=seed, num_examples=num_examples, start=start, **settings)
    size = scenes.images.shape[1]
    summed = np.empty((num_examples, size, size, 3 if colour else 1), np.float32)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        chosen = images[counter_rng.below(len(images), counter_rng.random_bits(seed, counter_rng.BACKGROUNDS, samples))]
        background = pixels.resized(chosen if colour else grey(chosen)[..., None], size)
        summed[part] = np.minimum(scenes.images[part] + background, 1.0)
    return replace(scenes, images=summed)


def grey(images: np.ndarray) -> np.ndarray:
    """Luma of colour images (N, H, W, 3), uint8 to uint8 (N, H, W)."""
    return ((images.astype(np.uint32) @ np.array(_LUMA, np.uint32) + 500) // 1000).astype(np.uint8)
