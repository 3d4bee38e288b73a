"""KomplexNet's experiments: `paper` is the published one, the others are what differs from it."""

from ml_collections import ConfigDict

from experiments import engine

VARIANTS = {
    # The published experiment: MNIST, 50 seeds, 30 epochs of 60,000 scenes.
    "paper": {},
    # The same scenes at what two CPU cores do in an hour or two. Rate and batch size were chosen on validation data:
    # experiments/results/komplexnet/README.md.
    "paper_cpu": {
        "seeds": 3,
        "train.epochs": 4,
        "train.batch_size": 32,
        "train.learning_rate": 6e-3,
    },
    # Minutes on two CPU cores, without any download: smaller scenes of coarser scans, a kernel of the same share of it,
    # and fewer but larger steps of the dynamics, which take the phases as far.
    "digits": {
        "seeds": 2,
        "data.source": "digits",
        "data.size": 24,
        "data.test_examples": 1000,
        "model.kernel_size": 9,
        "model.num_steps": 10,
        "model.rate": 0.018,
        "train.epochs": 5,
        "train.num_examples": 15_000,
        "train.batch_size": 32,
        "train.learning_rate": 6e-3,
    },
    # As small as goes through everything: for tests.
    "smoke": {
        "seeds": 2,
        "data.source": "digits",
        "data.test_examples": 16,
        "model.num_steps": 3,
        "train.epochs": 2,
        "train.num_examples": 40,
        "train.batch_size": 8,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}


def get_config(variant: str = "digits") -> ConfigDict:
    """The config of a variant; see `engine.base_config` for the entries that every experiment has."""
    config = engine.base_config()
    config.update(
        ConfigDict(
            {
                "seeds": 50,
                "models": ("komplexnet", "ideal", "random", "real", "real_large"),
                "slice_size": 0,  # images whose intermediates training holds at once; 0: 32 on CPU, else the batch
                "data": {
                    "source": "mnist",
                    "dir": "",  # folder prepared by TFDS; "" is TFDS's own default
                    "num_digits": 2,
                    "size": 32,  # pixels a side
                    "max_overlap": 0.0,
                    "test_overlap": 0.25,  # of the smaller digit's lit pixels, at most
                    "noise_variance": 0.1,
                    "test_examples": 10_000,
                },
                "model": {
                    "channels": 8,
                    "kernel_size": 13,
                    "rate": 0.006,
                    "epsilon": 0.2,
                    "num_steps": 15,
                },
                "train": {
                    "epochs": 30,
                    "num_examples": 60_000,  # a fifth of them for validation
                    "batch_size": 128,
                    "learning_rate": 1e-3,
                    "clip_norm": 2.0,
                    "synchrony_weight": 1.0,
                },
            }
        )
    )
    return engine.variant(config, VARIANTS, variant)
