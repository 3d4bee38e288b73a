"""KomplexNet's experiments: an experiment and a scale, `generalization,paper_cpu`; either may be left out.

An experiment says which models are trained and on what they are tested, one for each figure of the paper; a scale how
long and on what scenes.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from experiments.komplexnet import specs

Tables = dict[str, dict[str, Any]]


def models(*texts: str) -> Tables:
    """Tables of models, from their shorthand."""
    return dict(specs.MODELS.parse(text, specs.MODEL) for text in texts)


def tests(*texts: str) -> Tables:
    """Tables of test sets, from their shorthand."""
    return dict(specs.TESTS.parse(text, specs.TEST) for text in texts)


_TESTS = {
    "test": {"kind": "test", "sampled": 4},
    "overlap": {"kind": "overlap", "sampled": 2},
    "noise": {"kind": "noise", "sampled": 2},
}
_GROUPS = {"groups": {"kind": "test", "grouped": 100}, "groups_overlap": {"kind": "overlap", "grouped": 100}}
_DIGITS = tests(*(f"digits{count}" for count in range(2, 10)))
for _count in (2, 3):  # phases of as many digits as in training, and of another number
    _DIGITS[f"digits{_count}"]["sampled"] = 2
_MORE_STEPS = tests("test@60", "overlap@60", "noise@60")
_VIDEOS = tests("moving", "moving_backwards", "frames")
_LAYERS = ("feedback_l2", "feedback_l3", "feedback_l4")
_FIVE = ("komplexnet", "feedback", "random", "ideal", "real")
_THREE_DIGITS = models(*(f"{network}+digits3" for network in _FIVE))
_BACKGROUND = models(*(f"{network}+background" for network in _FIVE))

EXPERIMENTS = {
    # Two digits; overlap and noise in the test alone; whether groups of phases are the digits.
    "robustness": {
        "models": models("komplexnet", "feedback", "ideal", "random", "real", "real_large"),
        "tests": _TESTS | _GROUPS,
    },
    # Trained on two digits or on three, tested on two to nine.
    "generalization": {"models": models(*_FIVE) | _THREE_DIGITS, "tests": _DIGITS},
    # Four times the steps of the training.
    "more_steps": {"models": models("komplexnet", "feedback"), "tests": _MORE_STEPS},
    "feedback_layers": {"models": models("komplexnet", *_LAYERS, "feedback")},
    "fixed_kernel": {"models": models("komplexnet", "fixed_kernel", "random")},
    "larger_baselines": {"models": models("komplexnet", "feedback", "real", "real_large", "vit", "vit_script")},
    # Digits in front of photographs, in training too.
    "cifar": {"models": _BACKGROUND},
    # Trained on still scenes, tested on videos.
    "moving": {"models": models("komplexnet", "feedback", "real"), "tests": _VIDEOS},
    # Every model once, on every test set.
    "all": {
        "models": models("komplexnet", "feedback", "ideal", "random", "real", "real_large", "fixed_kernel")
        | models(*_LAYERS, "vit", "vit_script")
        | _THREE_DIGITS
        | _BACKGROUND,
        "tests": _TESTS | _GROUPS | _DIGITS | _MORE_STEPS | _VIDEOS,
    },
}

# As many epochs as the others, at a learning rate at which it trains: the others' is too high for it.
_VIT_AS_LONG = {"train_of.vit.epochs": None, "train_of.vit.learning_rate": 1e-3}

SCALES = {
    # 50 seeds and 30 epochs from the paper; where that is silent the defaults of its script: docs/provenance.md.
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
    # and fewer but larger steps of the dynamics, which take the phases as far. All models have the same recipe, chosen
    # on validation data: experiments/results/komplexnet/README.md.
    "digits": {
        "seeds": 2,
        "data.source": "digits",
        "data.background": "textures",
        "data.size": 24,
        "data.test_examples": 1000,
        "data.test_videos": 200,
        "model.kernel_size": 9,
        "model.num_steps": 6,
        "model.rate": 0.03,
        "feedback.all.rate": 0.045,
        "feedback.all.feedback_rates": (0.025, 0.02, 0.02),
        "feedback.l2.rate": 0.03,
        "feedback.l2.feedback_rates": (0.015, 0.0, 0.0),
        "feedback.l3.rate": 0.025,
        "feedback.l3.feedback_rates": (0.0, 0.02, 0.0),
        "feedback.l4.rate": 0.025,
        "feedback.l4.feedback_rates": (0.0, 0.0, 0.02),
        "train.epochs": 3,
        "train.num_examples": 60_000,  # 48,000 to train on
        "train.batch_size": 32,
        "train.learning_rate": 6e-3,
        "train.optimizer": "nadam",
        "train.schedule": "stable_decay",
        "train.loss_steps": 3,
        "train.output_gain": 4.0,
        "train.one_step": 0.55,  # each in less than half the time of the others
        "train.phase_curriculum": 0.15,
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
        "train_of.vit.epochs": None,
        "train_of.background.batch_size": None,
        "checkpoint_every": 3,
        "log_every": 1,
    },
}

VARIANTS = {**EXPERIMENTS, **SCALES}


def get_config(variant: str = "digits") -> ConfigDict:
    """The config of a variant; `specs.ENTRIES` has all entries."""
    config = engine.base_config(specs.ENTRIES)
    config.seeds = 50
    config.train.update(epochs=30, batch_size=128, learning_rate=1e-2)
    config.train_of.vit.epochs = 50
    config.train_of.background.batch_size = 32
    config.models = models("komplexnet", "ideal", "random", "real", "real_large")
    config.tests = _TESTS
    return engine.variant(config, VARIANTS, variant)
