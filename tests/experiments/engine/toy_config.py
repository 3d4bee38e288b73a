from experiments import engine

VARIANTS = {
    "tiny": {"train.epochs": 2, "train.num_examples": 72},
    "long": {"train.epochs": 6, "train.num_examples": 640, "train.batch_size": 16},
}


def get_config(variant=""):
    config = engine.base_config()
    config.update(seeds=2, checkpoint_every=3, log_every=2, hidden=5, widths=(4, 2), models=("plain", "deep"))
    config.train.update(epochs=3, num_examples=90, batch_size=8, learning_rate=0.02)
    return engine.variant(config, VARIANTS, variant)
