from experiments import engine
from tests.experiments.engine import toy

VARIANTS = {
    "tiny": {"train.epochs": 2, "train.num_examples": 72},
    "scheduled": {"train.schedule": "cosine", "train.warmup": 0.2, "validate_at": (0, 4, 13)},
    "long": {"train.epochs": 6, "train.num_examples": 640, "train.batch_size": 16},
}


def get_config(variant=""):
    config = engine.base_config(toy.ENTRIES)
    config.update(seeds=2, checkpoint_every=3, log_every=2)
    config.train.update(epochs=3, num_examples=90, batch_size=8, learning_rate=0.02)
    config.models = {"plain": {"network": "plain"}, "deep": {"network": "deep"}}
    config.tests = {"test": {"kind": "test"}, "noise": {"kind": "noise"}}
    return engine.variant(config, VARIANTS, variant)
