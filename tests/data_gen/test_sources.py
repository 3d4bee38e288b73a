"""Base images: the splits, the data sets through TFDS, the cache, and what is said where a set is missing."""

import hashlib
import importlib
import io
import json
import os
import re
import sys
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits

from data_gen import sources
from data_gen._tools import cache
from data_gen.preview import __main__ as preview
from experiments.configs import gaspnet, komplexnet, waves
from experiments.engine.run.config import leaves

SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


def write_tfds(root: Path, name: str, counts: dict[str, int], seed: int = 0) -> Path:
    """A small prepared data set as TFDS lays it out; image i has random pixels and the label i % 10."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    version = str(tfds.builder(name, data_dir=str(root / "elsewhere"), file_format="array_record").version)
    folder = root / name / version
    folder.mkdir(parents=True, exist_ok=True)
    tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=SHAPES[name]), "label": tfds.features.ClassLabel(num_classes=10)}
    ).save_config(folder)
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        writer = ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
        for i in range(count):
            writer.write(serialized(rng.integers(0, 256, SHAPES[name], dtype=np.uint8), i % 10))
        writer.close()
    info = {"name": name, "version": version, "fileFormat": "array_record"}
    info["splits"] = [
        {
            "name": split,
            "shardLengths": [str(count)],
            "numBytes": "1",
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        }
        for split, count in counts.items()
    ]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def serialized(image: np.ndarray, label: int) -> bytes:
    from tensorflow_datasets.proto import tf_example_pb2
    from tensorflow_datasets.proto import tf_feature_pb2 as feature

    png = io.BytesIO()
    Image.fromarray(image.squeeze()).save(png, "PNG")
    fields = {
        "image": feature.Feature(bytes_list=feature.BytesList(value=[png.getvalue()])),
        "label": feature.Feature(int64_list=feature.Int64List(value=[label])),
    }
    return tf_example_pb2.Example(features=feature.Features(feature=fields)).SerializeToString()


def expected_images(name: str, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, 256, SHAPES[name], dtype=np.uint8) for _ in range(count)]).squeeze()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "user_cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "oscnets"


@pytest.fixture
def no_decoding(monkeypatch):
    """From here on only a cache can answer."""

    def refuse(*_):
        raise AssertionError("decoded again")

    return lambda: monkeypatch.setattr(sources, "_stack", refuse)


def test_digits_have_the_agreed_form():
    for split, count in (("train", 1442), ("test", 355)):
        base = sources.load("digits", split)
        assert base.images.shape == (count, 28, 28) and base.images.dtype == np.uint8
        assert base.labels.shape == (count,) and base.labels.dtype == np.int32
        assert base.images.max() == 255 and base.images.min() == 0


def test_digits_splits_are_balanced_disjoint_and_complete():
    train, test = sources.load("digits", "train"), sources.load("digits", "test")
    for base, share in ((train, 0.8), (test, 0.2)):
        counts = np.bincount(base.labels, minlength=10)
        assert (abs(counts - share * np.bincount(load_digits().target)) <= 1).all()
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in test.images)
    assert len(train.labels) + len(test.labels) == 1797


def test_digits_are_the_scans_resized_bilinearly():
    scans = load_digits()
    base = sources.load("digits", "test")
    positions = np.clip((np.arange(28) + 0.5) * 10 / 28 - 0.5, 0, 9)
    grid = np.stack(np.meshgrid(positions, positions, indexing="ij"))
    fifth_zero = np.flatnonzero(scans.target == 0)[4]
    levels = ndimage.map_coordinates(np.pad(scans.images[fifth_zero], 1), grid, order=1)
    expected = np.maximum(levels - 4, 0) * 255 / 12
    first_zero = base.images[np.flatnonzero(base.labels == 0)[0]]
    np.testing.assert_allclose(first_zero, expected, atol=0.5 + 1e-9)


def test_scans_are_those_of_the_digits_as_they_are():
    """In the same order; all 17 levels stay apart."""
    whole, bases = load_digits(), [sources.load("scans", split) for split in sources.SPLITS]
    for base, split in zip(bases, sources.SPLITS, strict=True):
        np.testing.assert_array_equal(base.labels, sources.load("digits", split).labels)
        assert base.images.shape[1:] == (8, 8) and base.images.dtype == np.uint8 and base.images.max() == 255
    zeros = np.flatnonzero(whole.target == 0)
    levels = whole.images[zeros[4]] * 255 // 16
    np.testing.assert_array_equal(bases[1].images[np.flatnonzero(bases[1].labels == 0)[0]], levels)
    assert len(np.unique(bases[0].images)) == 17


def test_textures_have_the_agreed_form_and_differ():
    train, test = (sources.load("textures", split) for split in sources.SPLITS)
    for base, count in ((train, 4000), (test, 1000)):
        assert base.images.shape == (count, 32, 32, 3) and base.images.dtype == np.uint8
        assert base.labels.dtype == np.int32
        np.testing.assert_array_equal(np.bincount(base.labels), np.full(10, count // 10))
        assert 100 < base.images.mean() < 155
    assert len({image.tobytes() for image in (*train.images, *test.images)}) == 5000
    assert hashlib.sha256(train.images).hexdigest()[:16] == "f04084b64f283653"


def test_a_missing_cifar10_names_the_textures(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_obstacle", lambda: "nothing can be done")
    with pytest.raises(sources.MissingDatasetError, match="'textures' instead of 'cifar10'"):
        sources.load("cifar10", "train", data_dir=tmp_path)


@pytest.mark.parametrize("name", sorted(SHAPES))
@pytest.mark.parametrize("lost", ["set", "library"])
def test_what_is_named_as_a_remedy_exists(lost, name, tmp_path, monkeypatch):
    """The flags of the experiments, and those of the preview."""
    monkeypatch.setattr(sources, "_obstacle", lambda: "nothing can be done")
    if lost == "library":
        write_tfds(tmp_path, name, {"train": 3, "test": 3})
        monkeypatch.setitem(sys.modules, "array_record.python", None)
        monkeypatch.setattr(sources, "_stack", lambda _: importlib.import_module("array_record.python"))
    with pytest.raises(sources.MissingDatasetError) as caught:
        sources.load(name, "train", data_dir=tmp_path)
    of_experiments, of_preview = set(), set()
    for part in re.findall(r"\((--[^)]*)\)", str(caught.value)):
        experiments, _, preview_part = part.partition("; data_gen.preview: ")
        of_experiments |= {*re.findall(r"--config\.([\w.]+)=", experiments)}
        of_preview |= {*re.findall(r"--(\w+)=", preview_part)}
    known = {key for family in (gaspnet, komplexnet, waves) for key in leaves(family.get_config("smoke"))}
    assert of_experiments and of_experiments <= known
    assert of_preview and of_preview <= {*vars(preview.parser().parse_args(["--set=x", "--out=x"]))}
    assert ("data_dir" in of_preview) == ("data.dir" in of_experiments) == (lost == "set")
    assert "Install the extra" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_tfds_sets_are_read_without_tensorflow(name, tmp_path):
    loaded = "tensorflow" in sys.modules
    write_tfds(tmp_path, name, {"train": 13, "test": 5})
    for split, count in (("train", 13), ("test", 5)):
        base = sources.load(name, split, data_dir=tmp_path)
        assert base.images.dtype == np.uint8 and base.labels.dtype == np.int32
        np.testing.assert_array_equal(base.labels, np.arange(count) % 10)
    np.testing.assert_array_equal(sources.load(name, "train", data_dir=tmp_path).images, expected_images(name, 13))
    assert ("tensorflow" in sys.modules) == loaded


def test_a_second_load_comes_from_the_cache_beside_the_set(tmp_path, no_decoding, own_cache):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    first = sources.load("mnist", "test", data_dir=tmp_path)
    no_decoding()
    second = sources.load("mnist", "test", data_dir=str(tmp_path))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert (folder / "oscnets-test.npz").exists() and not own_cache.exists()
    assert not list(folder.glob(".partial*"))


def test_a_read_only_set_is_cached_in_the_users_folder(tmp_path, no_decoding, own_cache):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    folder.chmod(0o555)
    sources.load("mnist", "test", data_dir=tmp_path)
    assert not list(folder.glob("*.npz")) and len(list(own_cache.glob("mnist-test-*.npz"))) == 1
    no_decoding()
    assert len(sources.load("mnist", "test", data_dir=tmp_path).labels) == 3


def test_no_place_for_a_cache_is_no_failure(tmp_path, own_cache):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    folder.chmod(0o555)
    own_cache.parent.write_text("a file where the folder should be")
    for _ in range(2):
        assert len(sources.load("mnist", "test", data_dir=tmp_path).labels) == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "pickle", "foreign arrays"])
def test_a_damaged_cache_is_not_trusted(tmp_path, damage):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    expected = sources.load("mnist", "test", data_dir=tmp_path)
    path = folder / "oscnets-test.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    with np.load(path) as stored:
        fingerprint = str(stored["fingerprint"])
    if damage == "pickle":
        np.savez(path, fingerprint=fingerprint, images=np.array([{}], dtype=object), labels=np.zeros(3, np.int32))
    elif damage == "foreign arrays":
        np.savez(path, fingerprint=fingerprint, pictures=np.zeros(3))
    else:
        path.write_bytes({"truncated": content[:500], "flipped": content, "empty": b"", "text": b"not npz"}[damage])
    again = sources.load("mnist", "test", data_dir=tmp_path)
    np.testing.assert_array_equal(again.images, expected.images)
    np.testing.assert_array_equal(again.labels, expected.labels)


def test_a_changed_set_is_decoded_anew(tmp_path):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    sources.load("mnist", "train", data_dir=tmp_path)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_tfds(tmp_path, "mnist", {"train": 3, "test": 3}, seed=7)
    for path, time in times.items():
        os.utime(path, ns=(time, time))
    changed = sources.load("mnist", "train", data_dir=tmp_path)
    np.testing.assert_array_equal(changed.images, expected_images("mnist", 3, seed=7))


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert cache.write(tmp_path / "x.npz", "f", {"a": np.zeros(2)}) is False
    assert list(tmp_path.iterdir()) == []


def test_a_missing_set_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_obstacle", lambda: "preparing it takes TensorFlow, which is not installed")
    with pytest.raises(sources.MissingDatasetError) as caught:
        sources.load("fashion_mnist", "train", data_dir=tmp_path)
    message = str(caught.value)
    assert "'fashion_mnist'" in message and str(tmp_path / "fashion_mnist") in message
    assert "TensorFlow" in message and "--config.data.source=digits" in message and "\n" not in message


@pytest.mark.parametrize(
    ("tensorflow", "answer", "expected"),
    [
        (None, None, "takes TensorFlow"),
        ("found", OSError("no route to host"), r"no network to download it \(no route to host\)"),
        ("found", TimeoutError("timed out"), "no network"),
        ("found", HTTPError("https://x", 403, "forbidden", None, None), None),
        ("found", io.BytesIO(), None),
    ],
)
def test_obstacles_are_known_before_anything_is_tried(tensorflow, answer, expected, monkeypatch):
    def urlopen(*_, **__):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: tensorflow)
    monkeypatch.setattr(sources.urllib.request, "urlopen", urlopen)
    obstacle = sources._obstacle()
    assert obstacle is None if expected is None else re.search(expected, obstacle)


class Downloadable:
    """A builder whose set appears, or not, when it is prepared."""

    def __init__(self, root, error=None):
        self.data_dir, self.root, self.error = str(root / "mnist" / "3.0.1"), root, error

    def download_and_prepare(self, download_config):
        assert download_config.force_checksums_validation
        if self.error:
            raise self.error
        write_tfds(self.root, "mnist", {"train": 4, "test": 2})

    def as_data_source(self, split):
        import tensorflow_datasets as tfds

        return tfds.builder("mnist", data_dir=str(self.root), file_format="array_record").as_data_source(split)


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(sources, "_obstacle", lambda: None)


def test_an_absent_set_is_prepared_where_that_is_possible(tmp_path, monkeypatch, online):
    monkeypatch.setattr(sources, "_builder", lambda name, data_dir: Downloadable(data_dir))
    assert len(sources.load("mnist", "train", data_dir=tmp_path).labels) == 4


def test_a_failed_download_names_its_cause(tmp_path, monkeypatch, online):
    failing = Downloadable(tmp_path, ConnectionError("server is gone"))
    monkeypatch.setattr(sources, "_builder", lambda name, data_dir: failing)
    with pytest.raises(sources.MissingDatasetError, match=r"server is gone.*source=digits"):
        sources.load("mnist", "train", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "first"), [("mnist", "train-images"), ("fashion_mnist", "train-images"), ("cifar10", "cifar-10-binary")]
)
def test_a_download_that_is_not_the_one_known_is_refused(name, first, tmp_path, online):
    """A file that lies where TFDS looks before it asks the network."""
    from tensorflow_datasets.core.download import checksums

    known = (Path(url).name for url in checksums.get_all_url_infos())
    place = tmp_path / "downloads" / "manual"
    place.mkdir(parents=True)
    for file in known:
        if file.startswith(first):
            (place / file).write_bytes(b"something else")
    with pytest.raises(sources.MissingDatasetError, match=rf"'{name}' not found .* has wrong checksum"):
        sources.load(name, "train", data_dir=tmp_path)


def test_a_download_that_nobody_knows_is_refused(tmp_path, monkeypatch, online):
    builder = sources._builder("mnist", tmp_path)
    monkeypatch.setattr(type(builder), "URL", "https://elsewhere.invalid/mnist/")
    monkeypatch.setattr(sources, "_builder", lambda *_: builder)
    with pytest.raises(sources.MissingDatasetError, match=r"Missing checksums url: https://elsewhere\.invalid"):
        sources.load("mnist", "train", data_dir=tmp_path)


def test_nothing_is_read_from_damaged_shards_that_was_not_written(tmp_path):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    path = next(folder.glob("*-test.array_record*"))
    whole, refused = path.read_bytes(), 0
    rng = np.random.default_rng(0)
    for place in rng.choice(np.flatnonzero(np.frombuffer(whole, np.uint8)), 15):  # zeros fill the blocks up
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            found = sources.load("mnist", "test", data_dir=tmp_path)
        except sources.MissingDatasetError:
            refused += 1
        else:
            np.testing.assert_array_equal(found.images, expected_images("mnist", 6)[3:])
        path.write_bytes(whole[:place])
        with pytest.raises(sources.MissingDatasetError, match=r"'mnist' in .* cannot be read"):
            sources.load("mnist", "test", data_dir=tmp_path)
    assert refused > 10


def test_a_damaged_description_is_an_error_that_names_the_set(tmp_path):
    folder = write_tfds(tmp_path, "mnist", {"train": 3, "test": 3})
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(sources.MissingDatasetError, match="'mnist'"):
        sources.load("mnist", "test", data_dir=tmp_path)


@pytest.mark.parametrize(("name", "split"), [("minst", "train"), ("mnist", "validation"), ("", "test")])
def test_unknown_names_and_splits(name, split):
    with pytest.raises(ValueError, match=r"must be one of .*got '"):
        sources.load(name, split)
