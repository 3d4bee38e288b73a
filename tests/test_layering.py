"""Imports run one way, and `import oscnets` needs jax, flax and numpy only."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("oscnets", "experiments", "data_gen")


class Rule(NamedTuple):
    """What a part of the project may import; None stands for anything."""

    inside: tuple[str, ...] | None  # of the project, besides itself
    outside: tuple[str, ...] | None  # of other people's packages
    deferred: tuple[str, ...] = ()  # of them inside functions only
    faces: tuple[str, ...] = ()  # packages of which it may import the package itself, and no module below


PURE = ("jax", "numpy", "einops")
BELOW_MODELS = (
    "oscnets._inputs",
    "oscnets._platform",
    "oscnets._sharding",
    "oscnets.phase",
    "oscnets._products",
    "oscnets.dynamics",
    "oscnets.ops",
)
ROOMS = {
    "process": (),
    "run": ("experiments.engine.process",),
    "record": ("experiments.engine.process", "experiments.engine.run", "oscnets.plotting", "oscnets.stats"),
    "training": tuple(f"experiments.engine.{room}" for room in ("process", "run", "record")),
}
RULES = {
    "oscnets._sharding": Rule((), PURE),
    "oscnets._inputs": Rule((), PURE),
    "oscnets._platform": Rule((), PURE),
    "oscnets.phase": Rule(("oscnets._inputs",), PURE),
    "oscnets._products": Rule(("oscnets._inputs", "oscnets._platform", "oscnets.phase"), PURE),
    "oscnets.dynamics": Rule(
        ("oscnets._inputs", "oscnets._platform", "oscnets._sharding", "oscnets.phase", "oscnets._products"), PURE
    ),
    "oscnets.ops": Rule(
        ("oscnets._inputs", "oscnets._platform", "oscnets._sharding", "oscnets.phase", "oscnets._products"), PURE
    ),
    "oscnets.models": Rule(BELOW_MODELS, (*PURE, "flax")),
    "oscnets._groups": Rule(("oscnets._inputs", "oscnets._sharding", "oscnets.phase"), PURE),
    "oscnets.losses": Rule(
        ("oscnets._inputs", "oscnets._platform", "oscnets._sharding", "oscnets._groups", "oscnets.phase"), PURE
    ),
    "oscnets.metrics": Rule(("oscnets._inputs", "oscnets._sharding", "oscnets._groups", "oscnets.phase"), PURE),
    "oscnets.grouping": Rule(
        ("oscnets._inputs", "oscnets._sharding", "oscnets.phase", "oscnets.dynamics"),
        PURE,
        deferred=("sklearn", "threadpoolctl"),
    ),
    "oscnets.analysis": Rule(("oscnets._inputs", "oscnets.phase"), PURE),
    "oscnets._state_dict": Rule((), ("numpy",)),
    "oscnets.interop": Rule((*BELOW_MODELS, "oscnets._state_dict", "oscnets.models"), (*PURE, "flax")),
    "oscnets.weights": Rule(("oscnets.models",), (*PURE, "flax")),
    "oscnets.plotting": Rule(("oscnets._inputs", "oscnets.phase", "oscnets.stats"), PURE, deferred=("matplotlib",)),
    "oscnets.stats": Rule((), ("numpy", "scipy")),  # jax brings scipy along
    "data_gen": Rule((), None),
    **{f"experiments.engine.{room}": Rule(inside, None) for room, inside in ROOMS.items()},
    "experiments.engine": Rule((), None),  # its public face imports the rooms
    "experiments": Rule(None, None, faces=("experiments.engine",)),
}
PUBLIC = Rule(("oscnets",), ())  # oscnets/__init__.py itself, not the modules below it


class Import(NamedTuple):
    line: int
    target: str
    deferred: bool  # inside a function, or read by type checkers only


def is_within(module: str, parent: str) -> bool:
    return module == parent or module.startswith(parent + ".")


def walk(node: ast.AST, deferred: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether it stands where an import of the module does not run it."""
    for child in ast.iter_child_nodes(node):
        lazy = deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            lazy = True
        yield child, lazy
        yield from walk(child, lazy)


def base_of(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The absolute name after `from`."""
    if not node.level:
        return node.module
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def imports(source: str, module: str, is_package: bool, modules: frozenset[str]) -> Iterator[Import]:
    """Every import of a source text; `from a import b` aims at a.b where that is one of `modules`, at a otherwise."""
    for node, deferred in walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, deferred) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, module, is_package)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(node.lineno, full if full in modules else base, deferred)


def part_of(module: str) -> tuple[str, Rule] | None:
    """The part a module belongs to and its rule: the longest name in RULES that holds it."""
    if module == "oscnets":
        return "oscnets", PUBLIC
    names = [name for name in RULES if is_within(module, name)]
    return max(((name, RULES[name]) for name in names), key=lambda pair: len(pair[0]), default=None)


def is_allowed(item: Import, part: str, rule: Rule) -> bool:
    top = item.target.split(".")[0]
    if any(is_within(item.target, face) and item.target != face for face in rule.faces):
        return False
    if top in PACKAGES:
        return rule.inside is None or any(is_within(item.target, name) for name in (part, *rule.inside))
    if top in sys.stdlib_module_names or rule.outside is None:
        return True
    return top in rule.outside or (item.deferred and top in rule.deferred)


def respects_privacy(target: str, module: str) -> bool:
    """Whether a module with an underscore in front stays within its package, or goes to the benchmarks."""
    parts = target.split(".")
    private = parts[0] in PACKAGES and any(part.startswith("_") and not part.endswith("__") for part in parts)
    return not private or is_within(module, parts[0]) or is_within(module, "experiments.bench")


def breaches(path: str, source: str, module: str, modules: frozenset[str]) -> Iterator[str]:
    owner = part_of(module)
    if owner is None:
        yield f"{path} belongs to no part that has a rule: {', '.join(RULES)}"
        return
    for item in imports(source, module, path.endswith("__init__.py"), modules):
        if not is_allowed(item, *owner) or not respects_privacy(item.target, module):
            yield f"{path}:{item.line} imports {item.target}, which {owner[0]} may not"


def violations(sources: Mapping[str, str]) -> list[str]:
    """What breaks the rules in {path: source text}, one sentence each."""
    names = {path: path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in sources}
    modules = frozenset(names.values())
    return [text for path, source in sources.items() for text in breaches(path, source, names[path], modules)]


def project_sources() -> dict[str, str]:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


def test_project_keeps_the_rules():
    sources = project_sources()
    assert "oscnets/__init__.py" in sources
    assert violations(sources) == []


# A small tree that the examples below are put into, so that submodules resolve.
TREE = dict.fromkeys(
    [
        "oscnets/__init__.py",
        "oscnets/phase.py",
        "oscnets/models/__init__.py",
        "oscnets/models/komplexnet.py",
        "oscnets/dynamics/__init__.py",
        "oscnets/dynamics/_unroll.py",
        "oscnets/dynamics/kuramoto.py",
        "oscnets/stats.py",
        "data_gen/__init__.py",
        "experiments/__init__.py",
        "experiments/engine/__init__.py",
        "experiments/engine/run/__init__.py",
        "experiments/engine/run/config.py",
        "experiments/engine/record/__init__.py",
        "experiments/komplexnet.py",
    ],
    "",
)


@pytest.mark.parametrize(
    ("path", "source", "target"),
    [
        ("oscnets/phase.py", "import oscnets.dynamics.kuramoto", "oscnets.dynamics.kuramoto"),
        ("oscnets/phase.py", "def f():\n    from . import stats", "oscnets.stats"),
        ("oscnets/dynamics/kuramoto.py", "from ..models.komplexnet import KomplexNet", "oscnets.models.komplexnet"),
        ("oscnets/dynamics/__init__.py", "from .. import models", "oscnets.models"),
        ("oscnets/dynamics/kuramoto.py", "import flax.linen as nn", "flax.linen"),
        ("oscnets/ops/complex.py", "from oscnets import phase, dynamics", "oscnets.dynamics"),
        ("oscnets/ops/complex.py", "from oscnets.dynamics._unroll import unroll", "oscnets.dynamics._unroll"),
        ("oscnets/_products/conv.py", "from oscnets.ops import norm", "oscnets.ops"),
        ("experiments/komplexnet.py", "from oscnets.dynamics import _unroll", "oscnets.dynamics._unroll"),
        ("experiments/export.py", "import oscnets._products.conv", "oscnets._products.conv"),
        ("oscnets/losses.py", "if True:\n    from oscnets.models import komplexnet", "oscnets.models.komplexnet"),
        ("oscnets/models/komplexnet.py", "import oscnets", "oscnets"),
        ("oscnets/models/komplexnet.py", "import optax", "optax"),
        ("oscnets/stats.py", "from sklearn import metrics", "sklearn"),
        ("oscnets/plotting.py", "import matplotlib.pyplot as plt", "matplotlib.pyplot"),
        ("oscnets/__init__.py", "from experiments import engine", "experiments.engine"),
        ("data_gen/sources.py", "from oscnets import phase", "oscnets.phase"),
        ("experiments/engine/training/a.py", "def f():\n    from oscnets.models import KomplexNet", "oscnets.models"),
        ("experiments/engine/training/a.py", "from experiments.komplexnet import specs", "experiments.komplexnet"),
        ("experiments/engine/training/a.py", "from ... import komplexnet", "experiments.komplexnet"),
        ("experiments/engine/training/a.py", "from experiments import engine", "experiments.engine"),
        ("experiments/engine/run/config.py", "from ..record import results", "experiments.engine.record"),
        ("experiments/komplexnet.py", "from experiments.engine.run import config", "experiments.engine.run.config"),
        ("experiments/komplexnet.py", "from experiments.engine import run", "experiments.engine.run"),
    ],
)
def test_an_import_against_the_rules_is_found(path, source, target):
    (found,) = violations(TREE | {path: source})
    assert found.startswith(f"{path}:{len(source.splitlines())} imports {target},")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("oscnets/dynamics/kuramoto.py", "import math\nimport jax.numpy as jnp\nfrom oscnets import phase"),
        ("oscnets/models/komplexnet.py", "import flax.linen as nn\nfrom ..dynamics import kuramoto"),
        ("oscnets/models/komplexnet.py", "from oscnets.dynamics._unroll import unroll\nfrom einops import rearrange"),
        ("experiments/bench/waves.py", "from oscnets.dynamics._unroll import unroll"),
        ("oscnets/plotting.py", "def draw():\n    import matplotlib.pyplot as plt"),
        ("oscnets/plotting.py", "import typing\nif typing.TYPE_CHECKING:\n    from matplotlib.figure import Figure"),
        ("oscnets/__init__.py", "from oscnets import phase\nfrom .models import komplexnet"),
        ("experiments/engine/record/a.py", "import optax\nfrom oscnets import stats\nfrom ..run import config"),
        ("experiments/engine/__init__.py", "from experiments.engine.run import config"),
        ("experiments/komplexnet.py", "import data_gen\nimport oscnets.models\nfrom experiments import engine"),
    ],
)
def test_an_import_within_the_rules_passes(path, source):
    assert violations(TREE | {path: source}) == []


def test_a_module_without_a_rule_is_found():
    (found,) = violations(TREE | {"oscnets/utils.py": ""})
    assert found.startswith("oscnets/utils.py belongs to no part")


HEAVY = ("matplotlib", "sklearn", "tensorflow_datasets", "tensorflow", "torch", "ml_collections", "tqdm", "PIL")


def loaded(statement: str) -> set[str]:
    """Which of HEAVY, `experiments` and `data_gen` a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split()) & {*HEAVY, "experiments", "data_gen"}


def test_importing_oscnets_is_light():
    assert loaded("import oscnets") == set()


def test_a_heavy_import_is_noticed():
    assert loaded("import oscnets, tqdm") == {"tqdm"}
