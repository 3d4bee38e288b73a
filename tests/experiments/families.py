"""What the tests of the families share: their completed configs and tables."""

from experiments import engine
from experiments.akorn.specs import FAMILY as AKORN
from experiments.compare.specs import FAMILY as COMPARE
from experiments.configs import akorn as akorn_configs
from experiments.configs import compare as compare_configs
from experiments.configs import gaspnet as gaspnet_configs
from experiments.configs import komplexnet as komplexnet_configs
from experiments.configs import sequences as sequences_configs
from experiments.configs import waves as waves_configs
from experiments.engine.run import config as config_lib
from experiments.gaspnet.specs import FAMILY as GASPNET
from experiments.komplexnet.specs import FAMILY as KOMPLEXNET
from experiments.sequences.specs import FAMILY as SEQUENCES
from experiments.waves.specs import FAMILY as WAVES
from oscnets import plotting

FAMILIES = {family.name: family for family in (AKORN, COMPARE, GASPNET, KOMPLEXNET, SEQUENCES, WAVES)}
CONFIGS = {
    "akorn": akorn_configs,
    "compare": compare_configs,
    "gaspnet": gaspnet_configs,
    "komplexnet": komplexnet_configs,
    "sequences": sequences_configs,
    "waves": waves_configs,
}


def config_of(family, variant, models=(), tests=(), **changes):
    """A variant's config, complete and checked, with tables from shorthand and entries by dotted key changed."""
    config = CONFIGS[family.name].get_config(variant)
    for section, texts in (("models", models), ("tests", tests)):
        if texts:
            entries = family.table_entries(section)
            config[section] = dict(family.shorthand(section).parse(text, entries) for text in texts)
    config = engine.complete(config, family)
    config.update_from_flattened_dict(changes)
    engine.check(config, family)
    return config


def tables(family, section, *texts):
    """Completed tables of "models" or "tests" by label, from their shorthand."""
    entries = family.table_entries(section)
    parsed = [family.shorthand(section).parse(text, entries) for text in texts]
    completed = {name: config_lib.completed(f"{section}.{name}", table, entries).to_dict() for name, table in parsed}
    return engine.by_label(completed)


def experiment_of(family, variant, models=(), tests=(), **changes):
    """The experiment of such a config."""
    config = config_of(family, variant, models, tests, **changes)
    return family.experiment(config, engine.tables(config, "tests"))


def draw_nothing(patch):
    """Figures and animations are not written, which is most of the time of a report."""
    for save in ("save", "save_animation"):
        patch.setattr(plotting, save, lambda *_, **__: None)
