"""A digit or fashion item over a photograph: GASPnet's CIFAR-MNIST and CIFAR-FashionMNIST.

Alamia, Muzellec, Serre and VanRullen, 2025, "CIFAR-MNIST and CIFAR-FashionMNIST Datasets". The item, 28 pixels large in
training and 24, 20, 17 or 14 in tests, lies anywhere on a picture of 32x32, half transparent; both are to be named.

Where the paper is silent: item and picture are drawn independently, with replacement; the item's frame lies wholly
inside; the item is blended where its resized picture is lit at all, and these pixels are its mask.
"""

from dataclasses import dataclass

import numpy as np

from data_gen._tools import checks, counter_rng, pixels

_CHUNK = 256  # images at a time: temporaries stay within the cache


@dataclass(frozen=True)
class Overlays:
    """N pictures, each with an item over it.

    images: float32 (N, size, size, 3) in [0, 1].
    masks: bool (N, size, size, 2), of the item and of the background; every pixel is in one of them.
    labels: int32 (N, 2), class of the item and class of the picture.
    sources: int32 (N, 2), index of the item in its base and of the picture in its own.
    corners: int32 (N, 2), top and left of the item's frame.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    corners: np.ndarray

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.images)


def generate(
    items,
    pictures,
    *,
    seed: int,
    num_examples: int,
    item_size: int = 28,
    opacity: float = 0.5,
    size: int = 32,
    start: int = 0,
) -> Overlays:
    """Make pictures number start ... start + num_examples - 1 of the endless set that the other arguments name.

    Which items lie on which pictures does not depend on item_size, so that tests of several sizes can be compared.

    Args:
      items: base of the items: images uint8 (M, H, W), black where there is none, and labels (M,).
      pictures: base of the pictures: images uint8 (M', H', W', 3) and labels (M',).
      seed: integer in [0, 2**64).
      num_examples: number of pictures, >= 0.
      item_size: side to which an item's frame is resized, bilinearly, in [1, size].
      opacity: of the item, in [0, 1]: a lit pixel is opacity * item + (1 - opacity) * picture.
      size: side of the images, in [1, 1024]; pictures of another side are resized bilinearly.
      start: number of the first picture, >= 0.
    Returns: Overlays, the same bytes on every machine; sample i does not depend on num_examples or start.
    Raises: ValueError with the value and what was expected.
    """
    checks.samples(seed, num_examples, start)
    checks.count("size", size, 1, checks.SIDE)
    checks.count("item_size", item_size, 1, size)
    checks.number("opacity", opacity, 0, 1)
    images, kinds = checks.base("items", items)
    backgrounds, scenes = checks.base("pictures", pictures, colour=True)
    overlays = _empty(num_examples, size)
    for part, samples in counter_rng.chunks(num_examples, start, _CHUNK):
        draws = counter_rng.random_bits(seed, counter_rng.OVERLAYS, samples[:, None], np.arange(4))
        item, picture = counter_rng.below(len(images), draws[:, 0]), counter_rng.below(len(backgrounds), draws[:, 1])
        corners = counter_rng.below(size - item_size + 1, draws[:, 2:])
        light = np.zeros((len(samples), size, size), np.float32)
        pixels.paste(light, pixels.resized(images[item][..., None], item_size)[..., 0], *corners.T)
        overlays.images[part] = _blend(pixels.resized(backgrounds[picture], size), light[..., None], opacity)
        overlays.masks[part] = np.stack([light > 0, light == 0], axis=-1)
        overlays.labels[part] = np.stack([kinds[item], scenes[picture]], axis=-1)
        overlays.sources[part], overlays.corners[part] = np.stack([item, picture], axis=-1), corners
    return overlays


def _blend(picture: np.ndarray, light: np.ndarray, opacity: float) -> np.ndarray:
    seen = np.float32(opacity)
    return np.where(light > 0, seen * light + (1 - seen) * picture, picture)


def _empty(count: int, size: int) -> Overlays:
    return Overlays(
        images=np.empty((count, size, size, 3), np.float32),
        masks=np.empty((count, size, size, 2), bool),
        labels=np.empty((count, 2), np.int32),
        sources=np.empty((count, 2), np.int32),
        corners=np.empty((count, 2), np.int32),
    )
