"""The precision of products, from the config to the programs of training and evaluation."""

import re

import jax
import numpy as np

from experiments import engine
from experiments.engine.training import runner, seeds, steps
from tests.experiments.engine import toy, toy_config

CONFIG = toy_config.get_config("tiny")


def precisions(program, *arguments):
    lines = re.findall(r"stablehlo\.dot_general.*", program.lower(*arguments).as_text())
    return {name for line in lines for name in re.findall(r"precision = \[(\w+), \1\]", line) or ["DEFAULT"]}


def test_the_config_says_it_and_the_products_have_it(tmp_path):
    config = engine.complete(CONFIG.copy_and_resolve_references(), toy.FAMILY)
    config.precision = "high"
    experiment = toy.experiment(config, engine.tables(config, "tests"))
    plan = runner._Job(experiment, experiment.models["deep"], [], tmp_path).plan(0, 2)
    assert seeds.make_plan(0, 2, 8, "vmap").precision == "highest"
    task, data = experiment.models["deep"].task(), toy.make_data(config)["train"]
    batch = jax.tree.map(lambda x: x[:8], data)
    for each in (plan, plan._replace(precision="highest")):
        state = steps.argument_shapes(task, each, data)
        found = precisions(steps.make_step(task, each, 8, 10), *state)
        assert found == {each.precision.upper()}
        evaluate = steps.make_evaluate(task.evaluate, each)
        numbers = np.uint32(1), np.arange(8, dtype=np.uint32)
        assert precisions(evaluate, state[0], state[2], batch, *numbers) == found
