"""Contact sheets: what they show, and what is said when they cannot be drawn."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_gen.preview import __main__ as preview
from data_gen.preview import drawing, sheets

ROOT = Path(__file__).parents[3]


def draw(path: Path, *flags: str) -> np.ndarray:
    assert preview.main([f"--out={path}", *flags]) == 0
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def share_of(picture: np.ndarray, colour: str) -> float:
    return (abs(picture - 255 * drawing.rgb(colour)) <= 1).all(axis=-1).mean()


def test_a_sheet_shows_each_digit_and_the_overlap_in_its_colour(tmp_path):
    sheet = draw(tmp_path / "a.png", "--set=multi_mnist", "--num_digits=3", "--max_overlap=0.4", "--num_examples=5")
    for colour in sheets.COLOURS[:3]:
        assert share_of(sheet, colour) > 0.005
    assert share_of(sheet, sheets.COLOURS[3]) == 0
    assert share_of(sheet, "#000000") > 0.1 and share_of(sheet, drawing._UNCOVERED) > 0.1


def test_a_tile_is_the_picture_beside_its_masks():
    picture = np.array([[0.5, 0.0, 1.0], [0.0, 0.0, 0.0]])
    masks = np.array([[[1, 0], [0, 0], [0, 1]], 3 * [[0, 0]]], bool)
    overlap = np.array([[False, True, False], 3 * [False]])
    tile = drawing.tile_of(sheets.Sample(picture, masks, overlap, ()), sheets.COLOURS)
    np.testing.assert_array_equal(tile[0, :3, 0], picture[0])
    expected = [sheets.COLOURS[0], drawing._OVERLAP, sheets.COLOURS[1]]
    np.testing.assert_allclose(tile[0, -3:], [drawing.rgb(colour) for colour in expected])


def test_masks_lie_below_a_wide_picture():
    tile = drawing.tile_of(sheets.Sample(np.full((2, 9), 0.5), np.ones((2, 9, 1), bool), None, ()), sheets.COLOURS)
    assert tile.shape == (4 + drawing._GAP, 9, 3)
    np.testing.assert_allclose(tile[-2:], np.broadcast_to(drawing.rgb(sheets.COLOURS[0]), (2, 9, 3)))


@pytest.mark.parametrize("name", sorted(set(sheets.SETS) - {"mnist", "fashion_mnist", "cifar10"}))
def test_every_set_has_a_sheet_without_a_download(name):
    options = preview.parser().parse_args([f"--set={name}", "--out=-", "--num_examples=3"])
    sheet = sheets.of(options)
    assert len(sheet.samples) == 3 and sheet.title.startswith(name) and len(sheet.colours) >= len(sheet.names)
    for picture, masks, overlap, captions in sheet.samples:
        assert picture.min() >= 0 and picture.max() <= 1 and captions
        if masks is not None:
            assert masks.shape == (*picture.shape[:2], len(sheet.names)) and masks.any()
            assert max(mask for _, mask in captions) < len(sheet.names)
        if overlap is not None:
            assert not masks[overlap].any()


def test_the_seed_and_the_size_of_a_sheet(tmp_path):
    flags = ["--set=multi_mnist", "--num_examples=2"]
    one, again, other = (draw(tmp_path / "a.png", *flags, f"--seed={seed}") for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert draw(tmp_path / "b.png", "--set=multi_mnist", "--num_examples=9").shape[0] > one.shape[0]


def test_a_workdir_is_made_and_holds_the_sheet(tmp_path):
    assert preview.main(["--set=digits", "--num_examples=1", f"--workdir={tmp_path / 'new' / 'folder'}"]) == 0
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["digits.png"]


@pytest.mark.parametrize(("ending", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_the_ending_names_the_format(ending, start, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert preview.main(["--set=digits", "--num_examples=1", f"--out=~/a.{ending}"]) == 0
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(start)


def test_nine_digits_and_base_images(tmp_path):
    draw(tmp_path / "a.png", "--set=multi_mnist", "--num_digits=9", "--num_examples=1", "--split=train")
    assert draw(tmp_path / "b.png", "--set=digits", "--num_examples=10").std() > 20


def test_a_wrong_name_ends_the_program_with_the_nearest(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "data_gen.preview", "--set=mutli_mnist", "--out=x.png"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert "'mutli_mnist'" in done.stderr and "did you mean 'multi_mnist'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set=digit"], "did you mean 'digits'"),
        (["--set=multi_mnist", "--num_digits=11"], "num_digits must be an integer in [2, 9], got 11"),
        (["--set=multi_mnist", "--max_overlap=2"], "max_overlap must lie in [0, 1], got 2"),
        (["--set=multi_mnist", "--source=digts"], "source must be one of"),
        (["--set=multi_mnist", "--num_examples=0"], "num_examples must be at least 1"),
        (["--set=multi_mnist", "--num_examples=-1"], "num_examples must be an integer in"),
        (["--set=digits", "--num_examples=-1"], "num_examples must be at least 1"),
        (["--set=digits", "--out=no/such/folder/x.png"], "no/such/folder"),
        (["--set=digits", "--out=x.bmp"], "x.bmp must end in one of "),
        (["--set=digits", "--out=x"], "x must end in one of "),
        (["--set=digits", "--out=~nobody_at_all/x.png"], "~nobody_at_all/x.png: there is no home folder"),
        (["--set=digits", "--workdir=here"], "expected one of --workdir=DIR and --out=FILE"),
        (["--set=digits", "--seed=one"], "--seed: invalid int value: 'one'"),
        (["--set=digits", "--sed=1"], "unrecognized arguments: --sed=1"),
        ([], "the following arguments are required: --set"),
    ],
)
def test_misuse_is_one_line(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert preview.main(["--out=x.png", *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_data_set_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sheets.sources, "_obstacle", lambda: "nothing can be done")
    assert preview.main(["--set=mnist", f"--data_dir={tmp_path}", f"--out={tmp_path / 'x.png'}"]) == 2
    said = capsys.readouterr().err
    assert "'mnist'" in said and str(tmp_path) in said and said.count("\n") == 1
    assert "data_gen.preview: --data_dir=DIR" in said and "data_gen.preview: --set=digits or --source=digits" in said
