"""The public face of the package: which names there are, that all of them resolve and that none hides a module."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import oscnets

# Loaded when a public module is first used, not before.
DEFERRED = ("jax", "flax", "scipy", "einops")


def public_modules(module=oscnets):
    """The package and every module that public names lead to."""
    yield module
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            yield from public_modules(value)


MODULES = {module.__name__: module for module in public_modules()}


def test_the_public_modules():
    names = "analysis dynamics grouping interop losses metrics models ops phase plotting stats weights"
    assert oscnets.__all__ == sorted([*names.split(), "pretrained"])
    assert {"oscnets.dynamics.kuramoto", "oscnets.dynamics.waves", "oscnets.ops.complex"} <= MODULES.keys()
    assert oscnets.pretrained is oscnets.weights.pretrained


@pytest.mark.parametrize("name", MODULES)
def test_dir_and_all_are_the_public_names(name):
    module = MODULES[name]
    shown = [entry for entry in dir(module) if not entry.startswith("_")]
    assert shown == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [entry for entry in module.__all__ if not hasattr(module, entry)] == []


@pytest.mark.parametrize("name", [name for name, module in MODULES.items() if hasattr(module, "__path__")])
def test_no_module_is_hidden_by_something_of_its_name(name):
    for entry in pkgutil.iter_modules(MODULES[name].__path__, f"{name}."):
        module = importlib.import_module(entry.name)
        assert getattr(MODULES[name], entry.name.rpartition(".")[2]) is module


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'oscnets' has no attribute 'model'"):
        _ = oscnets.model


def test_modules_are_imported_at_their_first_use():
    code = (
        "import sys, oscnets; before = set(sys.modules); oscnets.stats.summarize; after = set(sys.modules)\n"
        f"print(*(name in before for name in {DEFERRED}), *(name in after for name in ('scipy', 'flax')))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False"] * len(DEFERRED) + ["True", "False"]
