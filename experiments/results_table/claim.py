"""What a claim of a paper is, the kept runs that it is about, and the numbers that decide it."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats as distributions

from oscnets import stats

RESULTS = Path("experiments/results")
CONFIDENCE = 0.95
BySeed = Mapping[int, float]


class Run:
    """The summary of a run that is kept.

    Args:
        folder: with summary.json.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    def values(self, model: str, split: str, metric: str = "accuracy", step: int | None = None) -> dict[int, float]:
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


class Estimate(NamedTuple):
    """A number with its 95 % interval; `seeds` says from how many. NaN where they are undefined."""

    number: float
    low: float
    high: float
    seeds: int


Number = Callable[[Run], BySeed | Estimate]


class Claim(NamedTuple):
    """A claim of a paper.

    Attributes:
        name: as in the pages of the families.
        text: what the number is, in words.
        folder: of the run, within experiments/results; it need not be there yet.
        number: of the run, by seed, or estimated.
        paper: its number, or what it says.
        side: above, below: the number is above or below `bound`; within: it is at most `bound` from 0.
        bound: see there.
    """

    name: str
    text: str
    folder: str
    number: Number
    paper: str
    side: str = "above"
    bound: float = 0.0


def decided(claim: Claim, results: Path = RESULTS) -> tuple[Run, Estimate] | None:
    """The run of a claim and the estimate of its number; None where there is no such run."""
    folder = results / claim.folder
    if not (folder / "summary.json").is_file():
        return None
    found = claim.number(run := Run(folder))
    return run, found if isinstance(found, Estimate) else mean(found)


def verdict(claim: Claim, low: float, high: float) -> str:
    """Of the interval of a claim's number: reproduced, contrary or open; open too where there is no interval."""
    if claim.side == "within":
        inside, outside = -claim.bound <= low <= high <= claim.bound, low > claim.bound or high < -claim.bound
    elif claim.side == "below":
        inside, outside = high < claim.bound, low > claim.bound
    else:
        inside, outside = low > claim.bound, high < claim.bound
    return "reproduced" if inside else "contrary" if outside else "open"


def mean(by_seed: BySeed) -> Estimate:
    """The mean over seeds."""
    values = list(by_seed.values())
    found = stats.summarize(values, axis=0, confidence=CONFIDENCE)
    return Estimate(float(found.mean), float(found.low), float(found.high), len(values))


def ratio_of_spreads(first: BySeed, second: BySeed) -> Estimate:
    """Ratio of two standard deviations over seeds; the interval is that of the F distribution, for normal values."""
    ours, theirs = (np.array(list(values.values()), float) for values in (first, second))
    spread = theirs.std(ddof=1)
    ratio = float(ours.std(ddof=1) / spread) if spread else np.nan
    tails = np.array([1 + CONFIDENCE, 1 - CONFIDENCE]) / 2
    low, high = ratio / np.sqrt(distributions.f.ppf(tails, len(ours) - 1, len(theirs) - 1))
    return Estimate(ratio, float(low), float(high), min(len(ours), len(theirs)))


def minus(first: BySeed, second: BySeed) -> dict[int, float]:
    """The difference of each seed that both have."""
    return {seed: first[seed] - second[seed] for seed in first if seed in second}


def average(of: Sequence[BySeed]) -> dict[int, float]:
    """The mean of several numbers of each seed."""
    return {seed: float(np.mean([each[seed] for each in of])) for seed in of[0]}


def gap(first: str, second: str, split: str, metric: str = "accuracy") -> Number:
    """The first model's number less the second's."""
    return lambda run: minus(run.values(first, split, metric), run.values(second, split, metric))


def gap_over(splits: Sequence[str], first: str, second: str, metric: str) -> Number:
    """The same, averaged over test sets."""
    return lambda run: average([minus(*(run.values(m, split, metric) for m in (first, second))) for split in splits])


def spreads(first: str, second: str, split: str, metric: str) -> Number:
    """The first model's standard deviation over seeds as a share of the second's."""
    return lambda run: ratio_of_spreads(run.values(first, split, metric), run.values(second, split, metric))


def steps(model: str, split: str, late: int | None, early: int, metric: str = "accuracy") -> Number:
    """A model's number after one step of the dynamics less that after an earlier one."""
    return lambda run: minus(run.values(model, split, metric, late), run.values(model, split, metric, early))
