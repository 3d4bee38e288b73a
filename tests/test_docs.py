"""The documentation names what exists: functions, variants of configs, files, pages."""

import importlib
import re
from pathlib import Path

import pytest

from experiments.configs import gaspnet, komplexnet, waves

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CONFIGS = {"K": komplexnet, "G": gaspnet, "W": waves}


def names(text):
    """Dotted names that a page shows or links to."""
    return set(re.findall(r"^::: (\S+)", text, re.MULTILINE)) | set(re.findall(r"\]\[([\w.]+)\]", text))


def exists(name):
    """Whether a dotted name is a module, or something within one."""
    module, parts = None, name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        break
    for part in parts[length:]:
        if not hasattr(module, part):
            return False
        module = getattr(module, part)
    return module is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_names_exist(page):
    assert [name for name in names(page.read_text()) if not exists(name)] == []


def test_a_name_that_does_not_exist_is_found():
    assert exists("oscnets.dynamics.kuramoto.conv_step")
    assert not exists("oscnets.dynamics.kuramoto.conv_stop")
    assert not exists("oscnots.phase")


def test_every_equation_of_the_papers_has_a_function():
    """Those that the papers number, as the three tables of equations list them."""
    text = (ROOT / "docs" / "papers.md").read_text()
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        numbers = set()
        for cell in re.findall(r"^\| ([\d, to]+) \| [^|]+ \| .+ \|$", part.split("| table, figure")[0], re.MULTILINE):
            for piece in cell.split(", "):
                first, _, last = piece.partition(" to ")
                numbers |= set(range(int(first), int(last or first) + 1))
        found.append(numbers)
    assert found == [set(range(1, 10)), set(range(1, 8)), set(range(1, 22))]


def test_commands_name_variants_that_exist():
    text = (ROOT / "docs" / "papers.md").read_text()
    commands = re.findall(r"`([KGW]) ([\w,]+)`", text)
    assert len(commands) > 20
    assert [pair for pair in commands if not set(pair[1].split(",")) <= set(CONFIGS[pair[0]].VARIANTS)] == []
    # Every experiment but the union of all has its place.
    for letter, config in CONFIGS.items():
        told = {variant for which, variant in commands if which == letter}
        assert set(config.EXPERIMENTS) - {"all"} <= told


def test_pages_are_in_the_navigation():
    listed = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES)


def test_modules_that_are_run_exist():
    text = "".join(page.read_text() for page in (*PAGES, ROOT / "CONTRIBUTING.md"))
    modules = set(re.findall(r"python -m ((?:experiments|data_gen)[\w.]*)", text))
    assert len(modules) > 5
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
