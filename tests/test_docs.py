"""The documentation names what exists: functions, variants of configs, files, pages."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.configs import akorn, gaspnet, komplexnet, sequences, waves

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CONFIGS = {"K": komplexnet, "G": gaspnet, "W": waves, "A": akorn, "S": sequences}


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
    """Those that the first three papers number, as their tables of equations list them."""
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
    assert found == [set(range(1, 10)), set(range(1, 8)), set(range(1, 22)), set(), set()]


def test_commands_name_variants_that_exist():
    text = (ROOT / "docs" / "papers.md").read_text()
    commands = re.findall(r"`([KGWAS]) ([\w,]+)`", text)
    assert len(commands) > 20
    assert [pair for pair in commands if not set(pair[1].split(",")) <= set(CONFIGS[pair[0]].VARIANTS)] == []
    # Every experiment but the union of all has its place.
    for letter, config in CONFIGS.items():
        named = {variant for which, variants in commands if which == letter for variant in variants.split(",")}
        assert set(config.EXPERIMENTS) - {"all"} <= named


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


def test_where_to_add_what_is_short_and_names_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.split("## Where to add what")[1].split("\n## ")[0].strip().splitlines()
    assert len(section) <= 40
    words = re.findall(r"`([\w.]+/[\w./]*)`", "\n".join(section))
    assert len(words) > 15
    for word in words:
        family = word.replace("FAMILY", "gaspnet")
        parent = ROOT / re.sub(r"/[^/]*(NAME|PATH)[^/]*$", "", family.replace("PACKAGE", "oscnets"))
        assert parent.exists() or (ROOT / f"{family}.py").is_file(), word


SIMULATIONS = (ROOT / "docs" / "dynamics.md").read_text()


def test_the_code_of_simulations_runs_from_the_top():
    """But for the block of diffrax, which is an extra with tests of its own; and gives what the page says."""
    names = {}
    for block in re.findall(r"```python\n(.*?)```", SIMULATIONS, re.DOTALL):
        if "import diffrax" not in block:
            exec(block, names)
    assert abs(names["r"][-50:].mean() - names["expected"]) < 0.05
    assert names["expected"] == pytest.approx(0.71, abs=5e-3)
    assert names["away"] < 0.06
    assert names["growth"][4] == pytest.approx(0, abs=1e-3) and names["growth"][6] == pytest.approx(1.24, abs=5e-3)
    assert names["exponents"] == pytest.approx([0, -1, -1, -1], abs=0.02)
    assert abs(names["gradient"]) > 1e-3


def test_tests_that_simulations_name_exist():
    folder = ROOT / "tests" / "oscnets" / "dynamics"
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)", SIMULATIONS)
    named += [("test_physics.py", name) for name in re.findall(r"`(test_\w+)`", SIMULATIONS)]
    assert len(named) > 15
    assert [pair for pair in named if f"def {pair[1]}(" not in (folder / pair[0]).read_text()] == []


@pytest.mark.slow
def test_the_experiment_of_the_page_runs(tmp_path):
    """The example of docs/extend.md, from training to more test sets."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extend.md").read_text(), re.DOTALL)
    (source,) = [block for block in blocks if "engine.main" in block]
    (tmp_path / "mine.py").write_text(source)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for arguments in (["--config=mine.py"], ["--evaluate=noise0.2"]):
        command = [sys.executable, "mine.py", "--workdir=run", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "### noise0.2: accuracy" in (tmp_path / "run" / "summary.md").read_text()


def test_links_of_pages_lead_to_files():
    """Of README, the docs and the pages of results; those with a scheme lead elsewhere."""
    pages = (ROOT / "README.md", *PAGES, *sorted((ROOT / "experiments" / "results").rglob("*.md")))
    links = re.compile(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)")
    targets = [(page, target) for page in pages for target in links.findall(page.read_text(encoding="utf-8"))]
    assert len(targets) > 100
    assert not [(page.name, target) for page, target in targets if not (page.parent / target).exists()]
