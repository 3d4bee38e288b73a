"""`python -m experiments.separation --workdir=DIR`: whether the phases of the packaged networks part two digits.

KomplexNet and GASPnet by the same scores, on test scenes of their families: the order parameter of each digit, the
angle between two digits, and whether clusters of the phases are the digits (`experiments.groups`). Draws scenes of
three digits, of which the packaged KomplexNet has seen none in training, and scenes with overlap.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from experiments import engine, export
from experiments.configs import gaspnet as gaspnet_configs
from experiments.configs import komplexnet as komplexnet_configs
from experiments.gaspnet import task as gaspnet_task
from experiments.gaspnet.specs import FAMILY as GASPNET
from experiments.komplexnet import task as komplexnet_task
from experiments.komplexnet.figures import sample
from experiments.komplexnet.specs import FAMILY as KOMPLEXNET
from oscnets import plotting, weights

BATCH = 50
DRAWN = 4  # scenes in a picture


class Case(NamedTuple):
    """A packaged network and what it is tested on.

    Attributes:
        network: its name, as in config.models.
        family, make_network, config: of the experiment that it is from.
        tests: of that family in shorthand, by what they are called.
        drawn: those of them of which scenes are drawn.
    """

    network: str
    family: engine.Family
    make_network: Callable[[ConfigDict, Mapping[str, Any]], nn.Module]
    config: ConfigDict
    tests: dict[str, str]
    drawn: tuple[str, ...] = ()


CASES = (
    Case(
        *(
            "komplexnet",
            KOMPLEXNET,
            komplexnet_task.make_network,
            komplexnet_configs.get_config("robustness,paper_cpu"),
        ),
        {
            "two digits": "test",
            "three digits": "test+digits3",
            "two digits, overlap": "overlap",
            "two digits, noise of variance 0.1": "noise",
        },
        ("three digits", "two digits, overlap"),
    ),
    Case(
        *("gaspnet", GASPNET, gaspnet_task.make_network, gaspnet_configs.get_config("multi_mnist,cpu")),
        {"two digits": "test", "two digits, noise of deviation 0.25": "gaussian0.25"},
    ),
)
SCORES = {  # head of a column by metric
    "accuracy": "digits found",
    "synchrony": "synchrony loss",
    "order": "order of a digit",
    "separation": "angle between digits",
    "fg_ari": "FG-ARI",
    "overlap_order": "order of the overlap",
    "overlap_distance": "its angle to the nearest digit",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure as the command line asks, and write separation.json and .md; the exit status."""
    parser = engine.Parser(prog="python -m experiments.separation", description="Phases of two digits.")
    parser.add_argument("--workdir", type=engine.user_path, required=True, help="folder for separation.json and .md")
    parser.add_argument("--scenes", type=engine.positive, default=200, help="of each test set")
    parser.add_argument("--data_dir", type=engine.user_path, help="folder of MNIST, as --config.data.dir")
    return parser.run(_write, argv)


def _write(options: argparse.Namespace) -> None:
    engine.make_workdir(options.workdir)
    rows = [row for case in CASES for row in measure(case, options.scenes, options.workdir, options.data_dir)]
    content = {"command": f"python -m experiments.separation --scenes={options.scenes}", "rows": rows}
    text = page(content)
    print(text)
    engine.write_atomically(options.workdir / "separation.json", (json.dumps(content, indent=1) + "\n").encode())
    engine.write_atomically(options.workdir / "separation.md", text.encode())


def measure(case: Case, scenes: int, workdir: Path, data_dir: Path | None = None) -> list[dict[str, Any]]:
    """Scores of a packaged network, and pictures of its phases in a folder.

    Args:
        case: the network and its scenes.
        scenes: of each test set.
        workdir: folder of the pictures.
        data_dir: folder of the data set of digits, if it is not the usual one.

    Raises:
        UsageError: the packaged network is another than that of the family's config.
        RunError: the data cannot be loaded.

    Returns:
        One row per test set: network, scenes (what they are called), and by metric its value for every scene at the
        last step of the dynamics, angles in radians, None where a scene has none.
    """
    config = case.config.copy_and_resolve_references().unlock()
    models, tests = case.family.shorthand("models"), case.family.shorthand("tests")
    config.models = dict([models.parse(case.network, case.family.table_entries("models"))])
    texts = {name: f"{text}+grouped{scenes}" for name, text in case.tests.items()}
    config.tests = dict(tests.parse(text, case.family.table_entries("tests")) for text in texts.values())
    if data_dir is not None:
        config.data.dir = str(data_dir)
    config = engine.complete(config, case.family)
    (model,) = case.family.experiment(config, engine.tables(config, "tests")).models.values()
    task, packaged = model.task(), weights.pretrained(case.network)
    trained, tested = map(export.attributes, (packaged.module, case.make_network(model.config, model.table)))
    if trained != tested:
        raise engine.UsageError(f"the packaged {case.network} has {trained}, the network of the tests {tested}")
    variables = packaged.variables
    data = {label: engine.load_or_fail(model.data[label]) for label in texts.values()}
    for name in case.drawn:
        _draw(model, task, variables, {texts[name]: data[texts[name]]}, name, workdir)
    return [
        {"network": case.network, "scenes": name} | _scores(task, variables, label, data[label])
        for name, label in texts.items()
    ]


def _draw(model: engine.Model, task: engine.Task, variables: Any, data: Any, name: str, workdir: Path) -> None:
    """phases_NETWORK_SCENES.png."""
    params, one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], variables), np.zeros(1, int)
    trained = engine.Trained(model, task, params, params, one, one)
    arrays = sample(trained, data, {label: {"sampled": DRAWN} for label in data})
    scenes = [arrays[key] for key in ("images", "masks", "phases", "amplitude")]
    sheet = plotting.scene_sheet(*scenes, title=f"{model.label}, trained on two digits: {name}")
    plotting.save(sheet, workdir / f"phases_{model.label}_{re.sub(r'[^a-z]+', '_', name)}.png")


def _scores(
    task: engine.Task, variables: Any, label: str, data: dict[str, np.ndarray]
) -> dict[str, list[float | None]]:
    evaluate, parts, count = jax.jit(task.evaluate_on(label)), [], len(data["images"])
    for start in range(0, count, BATCH):
        batch = {key: value[start : start + BATCH] for key, value in data.items()}
        keys = jax.random.split(jax.random.key(start), len(batch["images"]))
        parts.append(jax.device_get(evaluate(variables, batch, keys)))
    values = jax.tree.map(lambda *leaves: np.concatenate(leaves)[None], *parts)
    assert task.on_host is not None
    values = task.on_host(label, data, values)
    return {name: _of_scenes(values[name]) for name in SCORES if name in values}


def _of_scenes(value: Any) -> list[float | None]:
    """(1, N) or (1, N, T), or `Measured` of them: of the last step."""
    values, where = value if isinstance(value, engine.Measured) else (value, np.ones(value.shape, bool))
    last, where = (np.reshape(array[0], (len(array[0]), -1))[:, -1] for array in (values, where))
    return [round(float(number), 5) if defined else None for number, defined in zip(last, where, strict=True)]


def page(content: dict[str, Any]) -> str:
    """The command and a table with means and standard deviations over scenes, in Markdown."""
    text = (
        "Networks of `oscnets.weights`, one seed each, at the last step of the dynamics: mean ± standard deviation "
        f"over {len(content['rows'][0]['accuracy'])} test scenes. The order parameter is 1 where all units of a digit "
        "have one phase. Angles in radians: two digits that share a phase have 0, random phases 1.571, antiphase "
        "3.142, three equidistant digits 2.094. FG-ARI is 1 where clusters of the phases are the digits, and about 0 "
        "by chance. Overlapping pixels that join a digit have the angle 0 to it, halfway between two digits in "
        "antiphase 1.571, as the third of three equidistant clusters 2.094, random ones 1.047."
    )
    rows = [[row["network"], row["scenes"], *(_cell(row.get(name)) for name in SCORES)] for row in content["rows"]]
    table = engine.markdown.table(("network", "scenes", *SCORES.values()), rows)
    return f"# Whether phases part the digits of a scene\n\n    {content['command']}\n\n{text}\n\n{table}\n"


def _cell(values: Sequence[float | None] | None) -> str:
    if values is None:
        return ""
    defined = np.array([value for value in values if value is not None])
    return engine.markdown.mean_std(defined.mean(), defined.std(ddof=1))


if __name__ == "__main__":
    sys.exit(main())
