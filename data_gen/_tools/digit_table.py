"""Digits of a base set, cropped to their bounding boxes: drawn by class, compared bit by bit, painted on a canvas."""

import numpy as np

from data_gen._tools import checks, counter_rng, pixels


class DigitTable:
    """The base, checked, with the bounding box of every digit and its members by class.

    Attributes: images uint8 (M, H, W); labels (M,); boxes int64 (M, 4), top, left, height, width; side: the largest
      height or width of a box.
    """

    def __init__(self, base, num_digits: int) -> None:
        """ValueError unless images are uint8, at most 64 pixels per side, none black, of num_digits classes or more."""
        self.images, self.labels = checks.base("base", base)
        if max(self.images.shape[1:]) > pixels.WORD:
            raise ValueError(f"base must hold images of 1 to {pixels.WORD} pixels per side, got {self.images.shape}")
        self.boxes = pixels.bounding_boxes(self.images)
        self.side = int(self.boxes[:, 2:].max())
        self.members = np.argsort(self.labels, kind="stable")
        _, self.first, self.count = np.unique(self.labels[self.members], return_index=True, return_counts=True)
        if len(self.first) < num_digits:
            raise ValueError(f"num_digits = {num_digits} needs as many classes in the base, got {len(self.first)}")

    def choose(self, seed: int, purpose: int, samples: np.ndarray, rounds: np.ndarray, num_digits: int) -> np.ndarray:
        """Indices (P, n) of digits of different classes, each class and each digit of a class equally likely."""
        scenes = np.arange(len(samples))
        classes = np.tile(np.arange(len(self.first)), (len(samples), 1))
        chosen = np.empty((len(samples), num_digits), np.int64)
        draws = counter_rng.random_bits(seed, purpose, samples[:, None], rounds[:, None], np.arange(2 * num_digits))
        for k in range(num_digits):
            swap = k + counter_rng.below(len(self.first) - k, draws[:, 2 * k])
            kind = classes[scenes, swap]
            classes[scenes, swap] = classes[:, k]
            chosen[:, k] = self.members[self.first[kind] + counter_rng.below(self.count[kind], draws[:, 2 * k + 1])]
        return chosen

    def crops(self, chosen: np.ndarray) -> np.ndarray:
        """The digits' boxes, uint8 (P, side, side), in the upper-left corner of zeros."""
        return pixels.crop(self.images[chosen], self.boxes[chosen, 0], self.boxes[chosen, 1], self.side)

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Lit pixels (> 0) of the crops by row, uint64 (..., side), as `pixels.row_words` has them."""
        words = pixels.row_words(self.crops(chosen.reshape(-1)) > 0)
        return words.reshape(*chosen.shape, self.side)

    def paint(
        self, chosen: np.ndarray, boxes: np.ndarray, canvas: int, size: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sum digits (P, n) at boxes (P, n, 4) on black canvases, clip, and resize to `size`.

        Returns: pictures float32 (P, size, size) in [0, 1], bilinear; masks bool (P, size, size, n), one per digit,
          without overlaps, and pixels lit by two digits or more, bool (P, size, size), both of the nearest pixel.
        """
        count, num_digits = chosen.shape
        light = np.zeros((count, canvas + self.side, canvas + self.side), np.uint16)
        owners = np.zeros_like(light)  # bit k: lit by digit k
        for k in range(num_digits):
            crops = self.crops(chosen[:, k])
            pixels.paste(light, crops, boxes[:, k, 0], boxes[:, k, 1])
            pixels.paste(owners, (crops > 0).astype(np.uint16) << k, boxes[:, k, 0], boxes[:, k, 1])
        sums, divisor = pixels.bilinear_sums(np.minimum(light[:, :canvas, :canvas], 255), size)
        pictures = sums.astype(np.float32) / np.float32(255 * divisor)
        index = pixels.nearest_index(canvas, size)
        owners = owners[:, index[:, None], index]
        masks = owners[..., None] == 1 << np.arange(num_digits, dtype=np.uint16)
        return pictures, masks, (owners & (owners - (owners > 0))) != 0
