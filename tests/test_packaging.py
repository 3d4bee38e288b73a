"""What is released: the wheel's files, one version, types."""

import re
import tomllib
from pathlib import Path

import pytest

import oscnets

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel():
    """Path in the wheel -> size in bytes."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="the wheel's files are listed by hatchling")
    files = builders.WheelBuilder(str(ROOT)).recurse_included_files()
    return {file.distribution_path: Path(file.path).stat().st_size for file in files}


def test_the_wheel_holds_the_three_packages_alone(wheel):
    assert {path.split("/")[0] for path in wheel} == {"oscnets", "experiments", "data_gen"}
    assert sum(wheel.values()) < 5e6


def test_the_wheel_holds_no_tests_results_or_data(wheel):
    strange = [path for path in wheel if re.search(r"(^|/)(tests?|golden|results|runs)/|\.ipynb$|test_", path)]
    assert strange == []
    arrays = [path for path in wheel if path.endswith((".npz", ".npy", ".gz", ".png", ".gif"))]
    assert [path for path in arrays if not path.startswith("oscnets/weights/")] == []


def test_packages_are_regular(wheel):
    folders = {path.rpartition("/")[0] for path in wheel if path.endswith(".py")}
    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in wheel] == []


def test_the_readme_mentions_every_part_of_the_wheel(wheel):
    readme = (ROOT / "README.md").read_text()
    parts = {path.split("/")[1].removesuffix(".py") for path in wheel if path.startswith(("oscnets/", "experiments/"))}
    public = sorted(part for part in parts if not part.startswith("_") and part != "py.typed")
    # A module like drum_figure belongs to the program drum.
    assert [part for part in public if not re.search(rf"\b{part.split('_')[0]}\b", readme)] == []


def test_the_wheel_holds_what_is_no_python(wheel):
    folders = {"oscnets/weights": (".npz", ".json"), "experiments/report/assets": (".html", ".css", ".js")}
    for folder, suffixes in folders.items():
        wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).iterdir() if path.suffix in suffixes}
        assert wanted
        assert wanted <= wheel.keys()
    assert "oscnets/py.typed" in wheel
    assert "experiments/configs/komplexnet.py" in wheel


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", oscnets.__version__)
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "oscnets/__init__.py"
    assert "version:" not in (ROOT / "CITATION.cff").read_text().removeprefix("cff-version:")


def test_floors_of_jax_are_those_of_hosted_notebooks():
    """An install there must not move jax."""
    needed = PROJECT["project"]["dependencies"]
    assert {"jax>=0.7.2", "flax>=0.11.2"} <= set(needed)
    assert not [line for line in needed if "==" in line or "<" in line]
