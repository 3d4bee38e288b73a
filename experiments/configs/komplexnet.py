"""KomplexNet's experiments: an experiment and a scale, `generalization,paper_cpu`; either may be left out.

An experiment says which models are trained and on what they are tested, one for each figure of the paper; a scale how
long and on what scenes.
"""

from ml_collections import ConfigDict

from experiments import engine

_DIGITS = tuple(f"digits{count}" for count in range(2, 10))
_VIDEOS = ("moving", "moving_backwards", "frames")
_LAYERS = ("feedback_l2", "feedback_l3", "feedback_l4")


def _at(scenes: str, *networks: str) -> tuple[str, ...]:
    return tuple(f"{network}@{scenes}" for network in networks)


EXPERIMENTS = {
    # Two digits; overlap and noise in the test alone.
    "robustness": {"models": ("komplexnet", "feedback", "ideal", "random", "real", "real_large")},
    # Trained on two digits or on three, tested on two to nine.
    "generalization": {
        "models": (
            *("komplexnet", "feedback", "random", "ideal", "real"),
            *_at("3", "komplexnet", "feedback", "random", "ideal", "real"),
        ),
        "tests": _DIGITS,
    },
    # Four times the steps of the training.
    "more_steps": {"models": ("komplexnet", "feedback"), "tests": ("test@60", "overlap@60", "noise@60")},
    "feedback_layers": {"models": ("komplexnet", *_LAYERS, "feedback")},
    "fixed_kernel": {"models": ("komplexnet", "fixed_kernel", "random")},
    "larger_baselines": {"models": ("komplexnet", "feedback", "real", "real_large", "vit")},
    # Digits in front of photographs, in training too.
    "cifar": {"models": _at("background", "komplexnet", "feedback", "random", "ideal", "real")},
    # Trained on still scenes, tested on videos.
    "moving": {"models": ("komplexnet", "feedback", "real"), "tests": _VIDEOS},
    # Every model once, on every test set.
    "all": {
        "models": (
            *("komplexnet", "feedback", "ideal", "random", "real", "real_large", "fixed_kernel", *_LAYERS, "vit"),
            *_at("3", "komplexnet", "feedback", "random", "ideal", "real"),
            *_at("background", "komplexnet", "feedback", "random", "ideal", "real"),
        ),
        "tests": ("test", "overlap", "noise", *_DIGITS, "test@60", "overlap@60", "noise@60", *_VIDEOS),
    },
}

# As many epochs as the others, at a learning rate at which it trains: the others' is too high for it.
_VIT_AS_LONG = {"train_of.vit.epochs": 0, "train_of.vit.learning_rate": 1e-3}

SCALES = {
    # The published one: MNIST, 50 seeds, 30 epochs of 60,000 scenes.
    "paper": {},
    # The same scenes at what two CPU cores do in hours. Rate and batch size were chosen on validation data:
    # experiments/results/komplexnet/README.md.
    "paper_cpu": {
        "seeds": 3,
        "data.test_examples": 5000,
        "data.test_videos": 500,
        "train.epochs": 4,
        "train.batch_size": 32,
        "train.learning_rate": 6e-3,
        **_VIT_AS_LONG,
    },
    # A third of that, for the claims about many variants of a model.
    "short_cpu": {
        "seeds": 2,
        "data.test_examples": 5000,
        "data.test_videos": 500,
        "train.epochs": 4,
        "train.num_examples": 25_000,  # 20,000 to train on
        "train.batch_size": 32,
        "train.learning_rate": 6e-3,
        **_VIT_AS_LONG,
    },
    # Minutes on two CPU cores, without any download: smaller scenes of coarser scans, a kernel of the same share of it,
    # and fewer but larger steps of the dynamics, which take the phases as far.
    "digits": {
        "seeds": 2,
        "data.source": "digits",
        "data.background": "textures",
        "data.size": 24,
        "data.test_examples": 1000,
        "data.test_videos": 200,
        "model.kernel_size": 9,
        "model.num_steps": 10,
        "model.rate": 0.018,
        "feedback.all.rate": 0.027,
        "feedback.all.feedback_rates": (0.015, 0.012, 0.012),
        "feedback.l2.rate": 0.018,
        "feedback.l2.feedback_rates": (0.009, 0.0, 0.0),
        "feedback.l3.rate": 0.015,
        "feedback.l3.feedback_rates": (0.0, 0.012, 0.0),
        "feedback.l4.rate": 0.015,
        "feedback.l4.feedback_rates": (0.0, 0.0, 0.012),
        "train.epochs": 5,
        "train.num_examples": 15_000,
        "train.batch_size": 32,
        "train.learning_rate": 6e-3,
        **_VIT_AS_LONG,
    },
    # As small as goes through everything: for tests.
    "smoke": {
        "seeds": 2,
        "data.source": "digits",
        "data.background": "textures",
        "data.test_examples": 16,
        "data.test_videos": 8,
        "model.num_steps": 3,
        "train.epochs": 2,
        "train.num_examples": 40,
        "train.batch_size": 8,
        "train_of.vit.epochs": 0,
        "train_of.background.batch_size": 0,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "digits") -> ConfigDict:
    """The config of a variant; see `engine.base_config` for the entries that every experiment has."""
    config = engine.base_config()
    config.update(
        ConfigDict(
            {
                "seeds": 50,
                "models": ("komplexnet", "ideal", "random", "real", "real_large"),
                "tests": ("test", "overlap", "noise"),
                "slice_size": 0,  # images whose intermediates training holds at once; 0: 32 on CPU, else the batch
                "data": {
                    "source": "mnist",
                    "dir": "",  # folder prepared by TFDS; "" is TFDS's own default
                    "num_digits": 2,
                    "size": 32,  # pixels a side
                    "max_overlap": 0.0,
                    "background": "cifar10",  # pictures behind the scenes of models @background
                    "colour": False,
                    "test_overlap": 0.25,  # of the smaller digit's lit pixels, at most
                    "noise_variance": 0.1,
                    "test_examples": 10_000,
                    "test_videos": 1000,
                },
                # The first table of the paper.
                "model": {
                    "channels": 8,
                    "kernel_size": 13,
                    "rate": 0.006,
                    "epsilon": 0.2,
                    "num_steps": 15,
                },
                "feedback_kernel_size": 5,
                # What replaces the model's entries with feedback from all layers, or from one; rates of l2, l3, l4.
                "feedback": {
                    "all": {"rate": 0.009, "feedback_rates": (0.005, 0.004, 0.004)},
                    "l2": {"rate": 0.006, "feedback_rates": (0.003, 0.0, 0.0)},
                    "l3": {"rate": 0.005, "feedback_rates": (0.0, 0.004, 0.0)},
                    "l4": {"rate": 0.005, "feedback_rates": (0.0, 0.0, 0.004)},
                },
                "train": {
                    "epochs": 30,
                    "num_examples": 60_000,  # a fifth of them for validation
                    "batch_size": 128,
                    "learning_rate": 1e-3,
                    "clip_norm": 2.0,
                    "synchrony_weight": 1.0,
                },
                # What replaces its entries for the vision transformer, and for models @background; 0: nothing.
                "train_of": {
                    "vit": {"epochs": 50, "learning_rate": 0.0},
                    "background": {"batch_size": 32},
                },
            }
        )
    )
    return engine.variant(config, VARIANTS, variant)
