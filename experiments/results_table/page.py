"""The page of all claims: a table of those that runs decide, the runs that would decide the rest, what is kept."""

from collections.abc import Sequence
from pathlib import Path

from experiments.engine import markdown
from experiments.results_table import gaspnet, komplexnet, sequences, waves
from experiments.results_table.claim import RESULTS, Claim, decided, verdict
from experiments.results_table.deciding import DECIDERS, Decider

NOT_RUN = "not run"
RECORDS = ("metrics.jsonl.gz", "figures/learning_curves.png")
HEAD = """# Claims of the papers, decided by intervals

Written by `python -m experiments.results_table` from the summaries of the runs; not to be edited. The number is the
mean over seeds of what the claim names, with its 95 % interval: a difference of accuracies (shares), paired by seed,
unless the claim says otherwise. Verdict: `reproduced` where the interval lies wholly on the side that the paper says,
`contrary` where it lies wholly on the other, `open` where it does not decide, `not run` where there is no run. Claims
with a number in brackets ask for a difference of at most that. Ratios of standard deviations over seeds have the
interval of the F distribution. Runs are shorter than the papers' and have fewer seeds, those of waves smaller pictures,
with their side beside the run: [where each number is from](../../docs/provenance.md). W1 has no seeds:
[the drum](waves/drum/drum.md).

The pages of the families discuss each claim, and say which networks had not left chance when a run ended:
[KomplexNet](komplexnet/README.md), [GASPnet](gaspnet/README.md), [waves](waves/README.md),
[sequences](sequences/README.md). What no paper has: [all networks on the same
scenes](compare/README.md).

"""
OPEN_HEAD = """
## What would decide the rest

Claims of the table that are not reproduced, and the run that would decide them. Hours are of training on two CPU
cores, of the networks with phases or states over time alone, at the images per second of [the benchmarks](bench); tests
and other work come on top.

"""
KEPT_HEAD = """
## Records that are kept

Learning curves can be drawn again from `metrics.jsonl.gz` of a run's folder (`--report_only --workdir=FOLDER`). Runs
without it are older than this record: of their training the last values and, where it is kept, the picture are left.

"""
CLAIMS = (*komplexnet.CLAIMS, *gaspnet.CLAIMS, *waves.CLAIMS, *sequences.CLAIMS)


def outcome(claim: Claim, results: Path = RESULTS) -> str:
    """Its verdict: reproduced, contrary, open or not run."""
    found = decided(claim, results)
    return verdict(claim, found[1].low, found[1].high) if found else NOT_RUN


def row(claim: Claim, results: Path = RESULTS) -> list[str]:
    """Cells of a claim: claim, run, seeds, updates, number, the paper's, verdict, command."""
    name, found = f"{claim.name}: {claim.text}", decided(claim, results)
    if found is None:
        return [name, claim.folder, "", "", "", claim.paper, NOT_RUN, ""]
    run, (number, low, high, seeds) = found
    sign = "" if claim.side == "below" and claim.bound == 1 else "+"  # a ratio has none
    interval = f"{number:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
    link = f"[{claim.folder}]({claim.folder}/summary.md)"
    if size := run.summary["run"]["data"].get("size"):
        link += f", {size} px"
    facts = [str(seeds), f"{run.updates():,}", interval, claim.paper, verdict(claim, low, high), f"`{run.command}`"]
    return [name, link, *facts]


def undecided(decider: Decider, results: Path = RESULTS, claims: Sequence[Claim] = CLAIMS) -> dict[str, list[str]]:
    """Name of a claim -> the outcomes of a decider's claims of this name that are not reproduced."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        if decider.decides(claim) and (result := outcome(claim, results)) != "reproduced":
            found.setdefault(claim.name, []).append(result)
    return found


def open_rows(results: Path = RESULTS, claims: Sequence[Claim] = CLAIMS) -> list[list[str]]:
    """Cells of every run that would decide something: claims, run, what it has more, hours, command."""
    rows = []
    for decider in DECIDERS:
        names = undecided(decider, results, claims)
        counts = [f"{name} ({_counted(outcomes)})" for name, outcomes in names.items()]
        if counts:
            facts = [decider.folder, decider.why, f"{decider.hours(results):.0f}", f"`{decider.command}`"]
            rows.append([", ".join(counts), *facts])
    return rows


def kept_rows(results: Path = RESULTS) -> list[list[str]]:
    """Cells of every run that is kept: its folder, and whether it has each file of `RECORDS`."""
    folders = sorted(path.parent for path in results.rglob("summary.json"))
    return [
        [folder.relative_to(results).as_posix(), *("yes" if (folder / name).is_file() else "no" for name in RECORDS)]
        for folder in folders
    ]


def table(results: Path = RESULTS, claims: Sequence[Claim] = CLAIMS) -> str:
    """The content of experiments/results/README.md."""
    head = ("claim", "run", "seeds", "updates", "number [95 % interval]", "paper", "verdict", "command")
    parts = [
        HEAD + markdown.table(head, [row(claim, results) for claim in claims]),
        OPEN_HEAD + markdown.table(("claims", "run", "what it has", "hours", "command"), open_rows(results, claims)),
        KEPT_HEAD + markdown.table(("run", *RECORDS), kept_rows(results)),
    ]
    return "\n".join(parts) + "\n"


def _counted(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes))
