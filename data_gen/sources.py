"""Base images: digits of scikit-learn, textures made here, and MNIST, Fashion-MNIST and CIFAR-10 through TFDS."""

import contextlib
import hashlib
import importlib.util
import logging
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_gen import textures
from data_gen._tools import cache, checks, counter_rng, paths, pixels

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", "textures", "scans")
SPLITS = ("train", "test")
_TEST_EVERY = 5
_DIGITS_SIDE = 28
_DIGITS_WHITE = 16  # scikit-learn's digits have 17 levels of grey
# Resizing smears faint ink over gaps and round the strokes. Levels up to a quarter of white become black (those above
# are stretched), so that the lit pixels are the strokes, as in MNIST, and holes stay open. The scans fill their frame:
# a rim of one black pixel lets strokes end inside the picture.
_DIGITS_BLACK = 4
_PROBE = "https://storage.googleapis.com"  # where TFDS and the largest of the sets are kept
_PROBE_SECONDS = 5
_PACKED = "1"  # fingerprint of arrays that `pack` wrote


class Base(NamedTuple):
    """images: uint8 (N, H, W), or (N, H, W, 3) in colour. labels: int32 (N,), 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


class MissingDatasetError(RuntimeError):
    """A data set is neither on this machine nor can be fetched."""


def load(name: str, split: str, *, data_dir: str | Path | None = None) -> Base:
    """Load one split of a base set, always in the same order.

    Args:
      name: "digits" (1,797 scans of 8x8, in a rim of 1, resized bilinearly to 28x28, the faintest quarter of the
        levels black; no download), "mnist", "fashion_mnist", "cifar10", "textures" (`textures.make`: 32x32 in colour,
        in place of "cifar10"; no download), or "scans" (those of "digits" as they are, 8x8; no download).
      split: "train" or "test". The splits share no image. Of "digits" every fifth scan of a class is for testing.
      data_dir: folder of data sets prepared by TFDS, or of arrays by `pack`; None: the default folder of TFDS. Sets
        without a download are not looked for there.
    Returns: Base.
    Raises: ValueError for an unknown name or split; MissingDatasetError if the set is not in the folder and cannot be
      prepared there (that takes TensorFlow and a network), a download differs from TFDS's SHA-256 of it, or a file
      is damaged: each record is compared with the hash beside it.
    """
    if name not in NAMES:
        raise ValueError(f"source must be one of {', '.join(NAMES)}; got {name!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    if name == "digits":
        return _load_digits(split)
    if name == "scans":
        levels, labels = _scans(split)
        return Base((levels * 255 // _DIGITS_WHITE).astype(np.uint8), labels)
    return Base(*textures.make(split)) if name == "textures" else _load_tfds(name, split, data_dir)


def load_split(
    name: str,
    split: str,
    *,
    every: int | None = None,
    share: float | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
) -> Base:
    """`load` with a third split, "validation", held out of the training images.

    Args:
      name, data_dir: as for `load`.
      split: "train" (without the images held out), "validation" (these) or "test".
      every, share, seed: as for `hold_out`.
    Returns: Base.
    Raises: as `load` and `hold_out`.
    """
    if split == "test":
        return load(name, "test", data_dir=data_dir)
    if split not in ("train", "validation"):
        raise ValueError(f"split must be one of train, validation, test; got {split!r}")
    rest, held_out = hold_out(load(name, "train", data_dir=data_dir), every=every, share=share, seed=seed)
    return held_out if split == "validation" else rest


def pack(name: str, folder: str | Path, *, data_dir: str | Path | None = None) -> None:
    """Write both splits of a set to a folder as arrays, which `load` finds there without TFDS.

    Args:
      name: as for `load`.
      folder: given to `load` as `data_dir`, on this machine or another.
      data_dir: as for `load`, where the set is now.
    Raises: as `load`; OSError if the folder cannot be written to.
    """
    for split in SPLITS:
        path = _packed(folder, name, split)
        if not cache.write(path, _PACKED, load(name, split, data_dir=data_dir)._asdict(), compress=True):
            raise OSError(f"cannot write {path}")


def _packed(folder: str | Path, name: str, split: str) -> Path:
    return paths.user_path(folder) / f"{name}-{split}.npz"


def hold_out(base: Base, *, every: int | None = None, share: float | None = None, seed: int = 0) -> tuple[Base, Base]:
    """Part a base in two, by one of two rules: the rest and the images held out, both in the order of the base.

    Args:
      base: N images and labels.
      every: hold out images number every - 1, 2 every - 1, ... (5: every fifth); an integer >= 1.
      share: hold out round(share * N) images drawn at random; in [0, 1]. Of MNIST's 60,000 images 9,000 (0.15) are
        held out where the waves' models are trained (Jacobs et al., 2025, appendix).
      seed: of the draw of `share`; an integer in [0, 2**64).
    Returns: (rest, held out).
    Raises: ValueError unless exactly one of every and share is given, and for a value out of range.
    """
    if (every is None) == (share is None):
        raise ValueError(f"give exactly one of every and share, got every={every}, share={share}")
    numbers = np.arange(len(base.labels))
    if every is not None:
        checks.count("every", every, 1, 2**31)
        held = numbers % every == every - 1
    else:
        checks.number("share", share, 0, 1)
        order = np.argsort(counter_rng.random_bits(seed, counter_rng.HELD_OUT, numbers), kind="stable")
        held = np.zeros(len(numbers), bool)
        held[order[: round(share * len(numbers))]] = True
    return Base(base.images[~held], base.labels[~held]), Base(base.images[held], base.labels[held])


def _scans(split: str) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: levels int32 (N, 8, 8), 0 to 16, and labels (N,)."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    labels = scans.target.astype(np.int32)
    rank = np.zeros(len(labels), np.int64)  # how many scans of its class come before each scan
    for kind in range(10):
        rank[labels == kind] = np.arange(np.count_nonzero(labels == kind))
    keep = (rank % _TEST_EVERY == _TEST_EVERY - 1) == (split == "test")
    return scans.images[keep].astype(np.int32), labels[keep]


def _load_digits(split: str) -> Base:
    scans, labels = _scans(split)
    framed = np.pad(scans, ((0, 0), (1, 1), (1, 1)))
    sums, divisor = pixels.bilinear_sums(framed, _DIGITS_SIDE)
    black, white = _DIGITS_BLACK * divisor, _DIGITS_WHITE * divisor
    levels = (np.maximum(sums - black, 0) * 255 + (white - black) // 2) // (white - black)
    return Base(levels.astype(np.uint8), labels)


def _load_tfds(name: str, split: str, data_dir: str | Path | None) -> Base:
    if data_dir is not None:
        with contextlib.suppress(RuntimeError):  # a folder of no user, which is reported below
            if (base := _as_base(cache.read(_packed(data_dir, name, split), _PACKED))) is not None:
                return base
    with _quiet():
        builder = _builder(name, data_dir)
        folder = Path(builder.data_dir)
        if folder.parts[0] == "~":  # which TFDS would make a folder of
            raise _missing(name, folder, "there is no home folder ~")
        if not _shards(folder, split):
            _prepare(builder, name, folder)
        fingerprint = _fingerprint(folder, split)
        places = [folder / f"oscnets-{split}.npz"]
        if (of_user := cache.user_folder()) is not None:
            places.append(of_user / f"{name}-{split}-{fingerprint[:16]}.npz")
        for path in places:
            if (base := _as_base(cache.read(path, fingerprint))) is not None:
                return base
        base = _decode(builder, name, split, folder)
    any(cache.write(path, fingerprint, base._asdict()) for path in places)  # in the first place where that works
    return base


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of TFDS and its imports, which do not concern the caller."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _builder(name: str, data_dir: str | Path | None) -> Any:
    """The TFDS builder of a set; the one place that touches TFDS."""
    try:
        folder = None if data_dir is None else str(paths.user_path(data_dir).absolute())
    except RuntimeError as error:
        raise _missing(name, str(data_dir), str(error)) from error
    try:
        import tensorflow_datasets as tfds

        return tfds.builder(name, data_dir=folder, file_format="array_record")
    except Exception as error:
        raise _missing(name, folder or "the default folder of TFDS", f"TFDS cannot open it ({error})") from error


def _prepare(builder: Any, name: str, folder: Path) -> None:
    if (obstacle := _obstacle()) is not None:
        raise _missing(name, folder, obstacle)
    try:
        import tensorflow_datasets as tfds

        # TFDS compares files with the SHA-256 that it has; with this it also refuses files of which it has none.
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(force_checksums_validation=True))
    except Exception as error:
        raise _missing(name, folder, f"downloading and preparing it failed ({error})") from error


def _obstacle() -> str | None:
    """Why TFDS cannot prepare a set here, or None; checked first, because TFDS tries for minutes before it fails."""
    if importlib.util.find_spec("tensorflow") is None:
        return "preparing it takes TensorFlow (the extra 'data'), which is not installed"
    try:
        urllib.request.urlopen(urllib.request.Request(_PROBE, method="HEAD"), timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return None  # the server answered
    except OSError as error:
        return f"there is no network to download it ({error})"
    return None


def _missing(name: str, folder: str | Path, reason: str) -> MissingDatasetError:
    return MissingDatasetError(
        f"data set {name!r} not found in {folder}, and {reason}. Name a folder prepared by TFDS in the ArrayRecord "
        f"format (--config.data.dir=DIR; data_gen.preview: --data_dir=DIR), or use {_offline(name)}"
    )


def _offline(name: str) -> str:
    """Set to use instead, and its flags of the experiments and of the preview."""
    if name == "cifar10":
        other, entries, flags = "textures", ("pictures", "background"), ("set", "background")
    else:
        other, entries, flags = "digits", ("source",), ("set", "source")
    of_config = " or ".join(f"--config.data.{entry}={other}" for entry in entries)
    of_preview = " or ".join(f"--{flag}={other}" for flag in flags)
    return f"{other!r} instead of {name!r}, without a download ({of_config}; data_gen.preview: {of_preview})"


def _shards(folder: Path, split: str) -> list[Path]:
    return sorted(folder.glob(f"*-{split}.array_record-*"))


def _fingerprint(folder: Path, split: str) -> str:
    """SHA-256 over everything that decoding reads: another content, another fingerprint."""
    digest = hashlib.sha256(b"1")
    for path in [folder / "dataset_info.json", folder / "features.json", *_shards(folder, split)]:
        digest.update(path.name.encode())
        if path.exists():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _decode(builder: Any, name: str, split: str, folder: Path) -> Base:
    try:
        return _stack(builder.as_data_source(split=split))
    except ImportError as error:
        raise MissingDatasetError(
            f"reading data set {name!r} takes array_record, Pillow and importlib_resources ({error}). "
            f"Install what is missing, or use {_offline(name)}"
        ) from error
    except Exception as error:
        raise MissingDatasetError(
            f"{name!r} in {folder} cannot be read ({error}). Prepare it anew, or use {_offline(name)}"
        ) from error


def _stack(examples: Iterable[dict[str, Any]]) -> Base:
    images, labels = [], []
    for example in examples:
        images.append(example["image"])
        labels.append(example["label"])
    stacked = np.stack(images).astype(np.uint8)
    return Base(stacked[..., 0] if stacked.shape[-1] == 1 else stacked, np.array(labels, np.int32))


def _as_base(arrays: dict[str, np.ndarray] | None) -> Base | None:
    if arrays is None or set(arrays) != set(Base._fields):
        return None
    return Base(**arrays)
