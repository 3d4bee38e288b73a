"""experiments/results/README.md: every claim with its run, its number with an interval over seeds, and a verdict.

python -m experiments.results_table

All numbers are read from the committed summaries. A claim is a difference that the paper says is positive, negative or
small; the verdict is the interval's, so that a mean on the right side does not suffice: `reproduced` where the 95 %
interval of the mean over seeds lies wholly on the right side, `contrary` where wholly on the other, else `open`.
"""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import engine
from experiments.engine import markdown
from oscnets import stats

RESULTS = Path("experiments/results")
BySeed = dict[int, float]


class Run:
    """The summary of a run that is kept.

    Args:
        folder: with summary.json.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    def values(self, model: str, split: str, metric: str = "accuracy", step: int | None = None) -> BySeed:
        """Of a model on a test set after a step of the dynamics, 1 to T; None: the last, or the only one."""
        found = self.summary["results"][split][metric][model]
        return {
            seed: row[-1 if step is None else step - 1]
            for seed, row in zip(found["seeds"], found["values"], strict=True)
        }

    @property
    def command(self) -> str:
        """That trained it, without the folder and the models."""
        words = shlex.split(self.summary["run"]["command"])
        kept = [word for word in words if not word.startswith(("--workdir", "--config.models", "--models"))]
        return shlex.join(kept)

    def updates(self) -> int:
        """Training steps of a seed."""
        return max(entry["step"] for entry in self.summary["training"].values())

    def waves(self, model: str, differences: str, limit: str) -> dict[str, Any]:
        """The course of the share of wavelengths above a limit, from waves.json."""
        return json.loads((self.folder / "waves.json").read_text(encoding="utf-8"))[model][differences][limit]


def minus(first: BySeed, second: BySeed) -> BySeed:
    """The difference of each seed that both have."""
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


class Claim(NamedTuple):
    """A claim of a paper.

    Attributes:
        name: as in the pages of the families.
        text: what the number is, in words.
        folder: of the run, within experiments/results.
        number: of the run, by seed.
        paper: its number, or what it says.
        side: above, below: the number is above or below `bound`; within: it is at most `bound` from 0.
        bound: see there.
    """

    name: str
    text: str
    folder: str
    number: Callable[[Run], BySeed]
    paper: str
    side: str = "above"
    bound: float = 0.0


def _gap(first: str, second: str, split: str, metric: str = "accuracy") -> Callable[[Run], BySeed]:
    return lambda run: minus(run.values(first, split, metric), run.values(second, split, metric))


def _steps(model: str, split: str, late: int | None, early: int, metric: str = "accuracy") -> Callable[[Run], BySeed]:
    return lambda run: minus(run.values(model, split, metric, late), run.values(model, split, metric, early))


def _off_diagonal(first: str, second: str, test: int) -> Callable[[Run], BySeed]:
    """What `first` loses by training on the other number of digits, less what `second` loses."""
    own, other = ("", "@3") if test == 2 else ("@3", "")

    def cost(run: Run, model: str) -> BySeed:
        return minus(*(run.values(model + trained, f"digits{test}") for trained in (own, other)))

    return lambda run: minus(cost(run, first), cost(run, second))


def _videos(run: Run) -> BySeed:
    """Videos less single frames, the mean of the eleven frames around the fifteenth, that of the largest overlap."""
    frames = range(10, 21)
    gaps = [minus(*(run.values("komplexnet", split, step=i) for split in ("moving", "frames"))) for i in frames]
    return {seed: float(np.mean([gap[seed] for gap in gaps])) for seed in gaps[0]}


def _unmodulated(run: Run) -> BySeed:
    return minus(*(run.values("gaspnet", "gaussian0.25", metric) for metric in ("plain_accuracy", "accuracy")))


def _correlation(run: Run) -> BySeed:
    return dict(enumerate(run.waves("nwm_fft", "raw", "1.5")["correlation"]))


def _rise(run: Run) -> BySeed:
    found = run.waves("nwm_fft", "raw", "1.5")
    return dict(enumerate(np.subtract(found["last"], found["first"]).tolist()))


_K, _G, _W = "komplexnet", "gaspnet/multi_mnist", "waves/tetrominoes"
_K_GEN, _K_LAYERS, _K_BACK = f"{_K}/generalization", f"{_K}/feedback_layers", f"{_K}/background"
_KOMPLEXNET = (
    Claim("K1", "KomplexNet above real, two digits", _K, _gap("komplexnet", "real", "test"), "above from step 7"),
    Claim("K1", "with feedback above real, two digits", _K, _gap("feedback", "real", "test"), "above from step 5"),
    Claim(
        "K1",
        "KomplexNet on par with ideal phases (0.05)",
        _K,
        _gap("komplexnet", "ideal", "test"),
        "from step 10",
        "within",
        0.05,
    ),
    Claim("K1", "with feedback above ideal phases", _K, _gap("feedback", "ideal", "test"), "above"),
    Claim("K2", "KomplexNet above real, overlap", _K, _gap("komplexnet", "real", "overlap"), "0.10 to 0.15"),
    Claim("K2", "KomplexNet above real, noise", _K, _gap("komplexnet", "real", "noise"), "0.10 to 0.15"),
    Claim("K2", "feedback above feedforward, overlap", _K, _gap("feedback", "komplexnet", "overlap"), "above"),
    Claim("K2", "feedback above feedforward, noise", _K, _gap("feedback", "komplexnet", "noise"), "above"),
    Claim(
        "K3",
        "real loses more than KomplexNet, trained on 3, shown 2",
        _K_GEN,
        _off_diagonal("real", "komplexnet", 2),
        "baselines lose much",
    ),
    Claim(
        "K3",
        "real loses more than KomplexNet, trained on 2, shown 3",
        _K_GEN,
        _off_diagonal("real", "komplexnet", 3),
        "baselines lose much",
    ),
    Claim(
        "K3",
        "real loses more than feedback, trained on 3, shown 2",
        _K_GEN,
        _off_diagonal("real", "feedback", 2),
        "baselines lose much",
    ),
    Claim(
        "K3",
        "real loses more than feedback, trained on 2, shown 3",
        _K_GEN,
        _off_diagonal("real", "feedback", 3),
        "baselines lose much",
    ),
    *(
        Claim(
            "K4",
            f"feedback above feedforward on {count} digits, trained on {trained}",
            _K_GEN,
            _gap(f"feedback{label}", f"komplexnet{label}", f"digits{count}"),
            "best from 2 to 8",
        )
        for trained, label in ((3, "@3"), (2, ""))
        for count in range(2, 9)
    ),
    Claim(
        "K5",
        "accuracy at step 60 less that at step 15 (0.02)",
        _K,
        _steps("komplexnet", "test@60", None, 15),
        "stays",
        "within",
        0.02,
    ),
    Claim(
        "K5",
        "synchrony loss at step 60 less that at step 15 (0.02)",
        _K,
        _steps("komplexnet", "test@60", None, 15, "synchrony"),
        "stays",
        "within",
        0.02,
    ),
    Claim("K6", "fixed kernel above random phases", _K, _gap("fixed_kernel", "random", "test"), "above"),
    Claim("K6", "learned kernel above fixed", _K, _gap("komplexnet", "fixed_kernel", "test"), "above"),
    Claim("K7", "feedback from all layers above none", _K_LAYERS, _gap("feedback", "komplexnet", "test"), "above"),
    Claim(
        "K8",
        "KomplexNet above real, pictures behind",
        _K_BACK,
        _gap("komplexnet@background", "real@background", "test_of_@background"),
        "above",
    ),
    Claim("K9", "videos above single frames, 11 frames around the largest overlap", _K, _videos, "above around it"),
    Claim(
        "K10",
        "synchrony loss, feedforward below random phases",
        _K,
        _gap("komplexnet", "random", "test", "synchrony"),
        "below",
        "below",
    ),
    Claim(
        "K10",
        "synchrony loss, feedback below feedforward",
        _K,
        _gap("feedback", "komplexnet", "test", "synchrony"),
        "below",
        "below",
    ),
    Claim(
        "K11",
        "larger real model below KomplexNet, overlap",
        _K,
        _gap("real_large", "komplexnet", "overlap"),
        "worse",
        "below",
    ),
    Claim(
        "K11",
        "larger real model below KomplexNet, noise",
        _K,
        _gap("real_large", "komplexnet", "noise"),
        "worse",
        "below",
    ),
)
_FROM_3 = "above from step 3"
_GASPNET = (
    Claim(
        "G1",
        "on par with the baseline, clean scenes (0.02)",
        _G,
        _gap("gaspnet", "baseline", "test"),
        "near 1, on par",
        "within",
        0.02,
    ),
    Claim("G1", "step 6 above step 1, clean scenes", _G, _steps("gaspnet", "test", 6, 1), "up, after a slight drop"),
    Claim("G2", "step 6 above step 1, Gaussian noise 0.25", _G, _steps("gaspnet", "gaussian0.25", 6, 1), "rises"),
    *(
        Claim("G2", f"above the baseline, {name} {level}", _G, _gap("gaspnet", "baseline", f"{kind}{level}"), _FROM_3)
        for name, kind, levels in (
            ("Gaussian noise", "gaussian", (0.15, 0.25, 0.35, 0.45, 0.6)),
            ("salt and pepper", "salt_pepper", (0.06, 0.1, 0.2)),
        )
        for level in levels
    ),
    Claim(
        "G5",
        "no synchrony loss below the full model, Gaussian noise 0.25",
        _G,
        _gap("gaspnet+no_synchrony", "gaspnet", "gaussian0.25"),
        "below",
        "below",
    ),
    Claim(
        "G5",
        "kappa = 1, epsilon = 0, tau = 1 below the full model, clean scenes",
        _G,
        _gap("gaspnet+no_location", "gaspnet", "test"),
        "below (with tau kept)",
        "below",
    ),
    Claim(
        "G5",
        "alpha = 0 in the test alone below the full model, Gaussian noise 0.25",
        _G,
        _unmodulated,
        "below (trained with alpha = 0)",
        "below",
    ),
)
_WAVES = (
    Claim(
        "W2",
        "NWM: linear above fft, Tetrominoes",
        _W,
        _gap("nwm_linear", "nwm_fft", "test", "foreground_accuracy"),
        "0.01",
    ),
    Claim(
        "W2", "NWM: fft above last, Tetrominoes", _W, _gap("nwm_fft", "nwm_last", "test", "foreground_accuracy"), "0.04"
    ),
    Claim(
        "W2",
        "NWM linear above ConvLSTM linear, Tetrominoes",
        _W,
        _gap("nwm_linear", "lstm_linear", "test", "foreground_accuracy"),
        "0.02",
    ),
    Claim(
        "W2",
        "NWM linear above a CNN of 2 layers, Tetrominoes",
        _W,
        _gap("nwm_linear", "cnn_2", "test", "foreground_accuracy"),
        "0.75",
    ),
    Claim(
        "W2",
        "NWM linear above a CNN of 8 layers, Tetrominoes",
        _W,
        _gap("nwm_linear", "cnn_8", "test", "foreground_accuracy"),
        "0.25",
    ),
    Claim("W4", "share of wavelengths above 1.5 px, last less first", "waves/polygons", _rise, "rises"),
    Claim(
        "W4",
        "its correlation with the negative loss above 0.5",
        "waves/polygons",
        _correlation,
        "0.961 (of the means of 5 seeds)",
        "above",
        0.5,
    ),
)
_SEQUENCES = (
    Claim("S1", "wave-RNN above iRNN, copying", "sequences/copy", _gap("wrnn", "irnn", "test"), "above"),
    Claim(
        *("S2", "squared error of the wave-RNN less the iRNN's, adding", "sequences/adding"),
        *(_gap("wrnn", "irnn", "test", "loss"), "below", "below"),
    ),
)
HEAD = """# Claims of the papers, decided by intervals

Written by `python -m experiments.results_table` from the summaries of the runs; not to be edited. The number is the
mean over seeds of what the claim names, with its 95 % interval: a difference of accuracies (shares), paired by seed,
unless the claim says otherwise. Verdict: `reproduced` where the interval lies wholly on the side that the paper says,
`contrary` where it lies wholly on the other, `open` where it does not decide. Claims with a number in brackets ask for
a difference of at most that. Runs are shorter than the papers' and have fewer seeds:
[where each number is from](../../docs/provenance.md). W1 has no seeds: [the drum](waves/drum/drum.md).

The pages of the families discuss each claim: [KomplexNet](komplexnet/README.md), [GASPnet](gaspnet/README.md),
[waves](waves/README.md), [sequences](sequences/README.md). What no paper has: [all networks on the same
scenes](compare/README.md).

"""
CLAIMS = (*_KOMPLEXNET, *_GASPNET, *_WAVES, *_SEQUENCES)


def verdict(claim: Claim, low: float, high: float) -> str:
    """Of the interval of a claim's number: reproduced, contrary or open; open too where there is no interval."""
    if claim.side == "within":
        inside, outside = -claim.bound <= low <= high <= claim.bound, low > claim.bound or high < -claim.bound
    elif claim.side == "below":
        inside, outside = high < claim.bound, low > claim.bound
    else:
        inside, outside = low > claim.bound, high < claim.bound
    return "reproduced" if inside else "contrary" if outside else "open"


def row(claim: Claim, results: Path = RESULTS) -> list[str]:
    """Cells of a claim: claim, run, seeds, updates, number, the paper's, verdict, command."""
    run = Run(results / claim.folder)
    values = [value for value in claim.number(run).values() if value is not None]
    found = stats.summarize(values, axis=0)
    number = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
    outcome = verdict(claim, float(found.low), float(found.high))
    link = f"[{claim.folder}]({claim.folder}/summary.md)"
    facts = [str(len(values)), f"{run.updates():,}", number, claim.paper, outcome, f"`{run.command}`"]
    return [f"{claim.name}: {claim.text}", link, *facts]


def table(results: Path = RESULTS, claims: Sequence[Claim] = CLAIMS) -> str:
    """The content of experiments/results/README.md."""
    head = ("claim", "run", "seeds", "updates", "number [95 % interval]", "paper", "verdict", "command")
    return HEAD + markdown.table(head, [row(claim, results) for claim in claims]) + "\n"


def main() -> int:
    """Write the page; the exit status."""
    engine.write_atomically(RESULTS / "README.md", table().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
