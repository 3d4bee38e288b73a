"""The runs that would decide the claims that are not reproduced yet: their commands, and hours from measured rates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from experiments.results_table import gaspnet, komplexnet, waves
from experiments.results_table.claim import RESULTS, Claim, Run


class Decider(NamedTuple):
    """A run, longer than the one that is kept.

    Attributes:
        folder: of the claims that it would decide, within experiments/results.
        names: of these claims, such as K1.
        family: of its command.
        variant: of the family's config.
        options: further words of the command.
        images: training images by measurement of `experiments.bench` on all cores, those of all seeds and models that
            it stands for; pictures of other sizes count as so many of the measured size as have their pixels. Of
            `KEPT_RUN`: how often the time of the kept run.
        why: what it has that the kept run lacks.
    """

    folder: str
    names: tuple[str, ...]
    family: str
    variant: str
    options: str
    images: Mapping[str, float]
    why: str

    @property
    def config(self) -> str:
        """The value of --config."""
        return f"experiments/configs/{self.family}.py:{self.variant}"

    @property
    def command(self) -> str:
        """Without a workdir."""
        return f"python -m experiments.{self.family} --config={self.config} {self.options}"

    def decides(self, claim: Claim) -> bool:
        """Whether it is the run for a claim."""
        return claim.folder == self.folder and claim.name in self.names

    def hours(self, results: Path = RESULTS) -> float:
        """Of training on all cores, at the images per second of experiments/results/bench."""
        return sum(count / _rate(results, self.folder, name) for name, count in self.images.items()) / 3600


KEPT_RUN = "kept run"
_BENCHES = {"komplexnet": "komplexnet", "gaspnet": "gaspnet", "wave_machine": "waves", "conv_lstm": "waves"}


def _rate(results: Path, folder: str, name: str) -> float:
    if name == KEPT_RUN:
        return 1 / Run(results / folder).summary["run"]["wall_seconds"]
    bench = next(file for start, file in _BENCHES.items() if name.startswith(start))
    measured = json.loads((results / "bench" / f"{bench}_cpu.json").read_text(encoding="utf-8"))
    return measured[f"{name}_all_devices"]["images_per_second"]


_K_PAPER = 30 * 48_000  # images of a seed of a KomplexNet
_G_PAPER = 25 * 60_000
_PAPER = "the paper's length of training"
DECIDERS = (
    Decider(
        *(komplexnet.MAIN, ("K1", "K2", "K6", "K10", "K11"), "komplexnet", "robustness,paper"),
        "--config.seeds=5 --models=komplexnet,feedback,fixed_kernel,ideal,random,real,real_large",
        {"komplexnet": 2 * 5 * _K_PAPER, "komplexnet_feedback": 5 * _K_PAPER},
        f"{_PAPER}, 5 seeds",
    ),
    Decider(
        *(komplexnet.MAIN, ("K9",), "komplexnet", "moving,paper", "--config.seeds=5"),
        {"komplexnet": 5 * _K_PAPER, "komplexnet_feedback": 5 * _K_PAPER},
        f"{_PAPER}, 5 seeds",
    ),
    Decider(
        *(komplexnet.GENERALIZATION, ("K3", "K4"), "komplexnet", "generalization,paper", "--config.seeds=5"),
        {"komplexnet": 2 * 5 * _K_PAPER, "komplexnet_feedback": 2 * 5 * _K_PAPER},
        f"{_PAPER}, 5 seeds",
    ),
    Decider(
        *(komplexnet.LAYERS, ("K7",), "komplexnet", "feedback_layers,paper", "--config.seeds=5"),
        {"komplexnet": 5 * _K_PAPER, "komplexnet_feedback": 4 * 5 * _K_PAPER},
        "18 times the images per seed, 5 seeds",
    ),
    Decider(
        *(komplexnet.BACKGROUND, ("K8",), "komplexnet", "cifar,paper", "--config.seeds=3"),
        {"komplexnet": 3 * _K_PAPER, "komplexnet_feedback": 3 * _K_PAPER},
        "18 times the images per seed: KomplexNet is near chance in the kept run",
    ),
    Decider(
        *(gaspnet.RECIPE, ("G1", "G2"), "gaspnet", "multi_mnist,paper", "--config.seeds=5"),
        {"gaspnet": 5 * _G_PAPER},
        f"{_PAPER}, 5 seeds",
    ),
    Decider(
        *(gaspnet.MAIN, ("G5",), "gaspnet", "ablations,paper", "--config.seeds=5"),
        {"gaspnet": 5 * 5 * _G_PAPER},
        f"{_PAPER}, 5 seeds, and the paper's ablations, which the kept run lacks",
    ),
    *(
        Decider(
            *(folder, ("G3", "G4"), "gaspnet", variant, "--config.seeds=3 --config.train.epochs=13"),
            {"gaspnet": 3 * 13 * 48_000},
            "19,500 updates of 32, half of the paper's",
        )
        for folder, variant in ((gaspnet.DIGITS, "cifar_mnist,paper"), (gaspnet.FASHION, "cifar_fashion,paper"))
    ),
    Decider(
        *(waves.TETROMINOES, ("W2",), "waves", "tetrominoes,cpu"),
        "--config.seeds=10 --models=nwm_linear,nwm_fft,nwm_last,lstm_linear,cnn_2,cnn_8 --config.data.size=64 "
        "--config.data.square=7",
        {"wave_machine": 3 * 10 * 30_000 * (64 / 56) ** 2, "conv_lstm": 10 * 30_000 * (64 / 56) ** 2},
        "10 seeds; shapes of 28 pixels, larger than the receptive field of 8 layers",
    ),
    Decider(
        *(waves.MNIST, ("W2",), "waves", "mnist,cpu"),
        "--config.data.size=56 --config.seeds=5 --config.train.num_examples=10000 --models=nwm_linear,nwm_fft,"
        "nwm_last,nwm_mean,nwm_max,lstm_linear,lstm_fft,cnn_2,cnn_4,cnn_8,cnn_16",
        {"wave_machine": 5 * 5 * 100_000, "conv_lstm": 2 * 5 * 100_000},
        "the paper's size of pictures, 12,500 updates, 5 seeds",
    ),
    Decider(
        *(waves.MULTI_MNIST, ("W3",), "waves", "multi_mnist,cpu"),
        "--config.data.size=128 --config.data.digit_size=42 --config.seeds=5 --config.train.num_examples=10000 "
        "--config.train.batch_size=16 --models=nwm_linear,unet_2,unet_3,unet_4,unet_5",
        {"wave_machine_large": 5 * 100_000},
        "the paper's size of pictures, 6,250 updates, 5 seeds",
    ),
    Decider(
        *(waves.POLYGONS, ("W4",), "waves", "polygons,cpu"),
        "--config.seeds=5 --config.train.epochs=4 --config.train.batch_size=16 --config.train.num_examples=3008",
        {KEPT_RUN: 5 / 3 * 4 / 2},
        "5 seeds as in the paper, 752 updates",
    ),
)
