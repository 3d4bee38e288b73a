"""The tables of the comparison's runs that are kept, written anew from their records; the page quotes them."""

import json
from pathlib import Path

import pytest

from experiments import engine
from experiments.compare import figures
from experiments.compare.specs import FAMILY

PAGE = Path("experiments/results/compare/README.md")
RUNS = sorted(PAGE.parent.glob("*/config.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_the_table_is_that_of_the_records(path):
    folder = path.parent
    experiment = engine.experiment_of(FAMILY, folder)
    spent = {label: min(rounds) for label, rounds in json.loads((folder / "speed.json").read_text()).items()}
    text = figures.table(experiment.models, experiment.tests, engine.load_metrics(folder), spent)
    assert text == (folder / "tables.md").read_text()
    page = PAGE.read_text(encoding="utf-8").replace("**", "")
    assert text in page


def test_updates_that_the_page_names_are_those_of_the_configs():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    train = engine.load_config_file("experiments/configs/compare.py:digits").train
    updates = train.num_examples // train.batch_size * train.epochs
    assert f"{train.epochs} epochs of batch {train.batch_size}: {updates:,} updates per seed" in text
    published = {"komplexnet": (0.8, "{:,} updates of {}"), "gaspnet": (1, "{:,} of {}"), "waves": (1, "{:,} of {}")}
    for name, (share, form) in published.items():
        own = engine.load_config_file(f"experiments/configs/{name}.py:paper").train
        updates = int(share * own.num_examples) // own.batch_size * own.epochs
        assert form.format(updates, own.batch_size) in text, name
