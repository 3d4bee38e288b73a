"""What a search ends with: trials.csv, search.md, search.png and best.py, rebuilt at any time from its study."""

import csv
import io
import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.engine.process.errors import RunError
from experiments.engine.run.workdir import write_atomically
from oscnets import plotting

TOP = 10  # trials in search.md
ENOUGH = 10  # trials with a score, for importances to say anything
COLUMNS = 5  # panels in a row of search.png


def build(workdir: Path, study: Any, problem: Any, name: str) -> None:
    """Write the report of a search.

    Args:
        workdir: where to.
        study: Optuna's, of finished trials.
        problem: of `search.run`.
        name: of the program, of which the last part is left out to get that of the experiment.

    Raises:
        RunError: no trial ended with a score.
    """
    import optuna

    trials = study.trials
    scored = [trial for trial in trials if trial.value is not None]
    write_atomically(workdir / "trials.csv", _csv(trials).encode())
    if not scored:
        raise RunError(f"workdir {workdir}: no trial of {len(trials)} ended with finite numbers and a score")
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    best = sorted(scored, key=lambda trial: sign * trial.value)  # of equals the first
    importance = _importance(study) if len(scored) >= ENOUGH else {}
    experiment = name.rpartition(".")[0]
    write_atomically(workdir / "best.py", _config_file(problem, best[0], len(trials), experiment).encode())
    write_atomically(workdir / "search.md", _markdown(problem, trials, best, importance, experiment).encode())
    plotting.save(_figure(problem, scored, importance), workdir / "search.png")


def _importance(study):
    """By name; shares that add up to 1 (PED-ANOVA, the evaluator that is Optuna's own)."""
    import optuna

    return optuna.importance.get_param_importances(study)


def _csv(trials):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names, seeds = list(trials[0].params), trials[0].user_attrs["scores"]
    writer.writerow(["trial", *names, "value", *(f"seed_{seed}" for seed in seeds)])
    for trial in trials:
        values = [trial.params[name] for name in names]
        writer.writerow([trial.number, *values, trial.value, *trial.user_attrs["scores"].values()])
    return text.getvalue()


def _config_file(problem, best, count, experiment):
    config = pprint.pformat(problem.settled(best.params).to_dict(), width=110, sort_dicts=False)
    return (
        f'"""Trial {best.number}, the best of {count}: {_objective(problem)} {best.value:.6g}.\n\n'
        f'python -m experiments.{experiment} --config=THIS_FILE\n"""\n\n'
        f"from ml_collections import ConfigDict\n\nCONFIG = {config}\n\n\n"
        'def get_config():\n    """All of it."""\n    return ConfigDict(CONFIG)\n'
    )


def _objective(problem):
    return f"validation {problem.make_task(problem.start).score.removeprefix('-')}"


def _markdown(problem, trials, best, importance, experiment):
    bounds, without = problem.space.bounds(), len(trials) - len(best)
    names = list(bounds)
    lines = [
        f"# {_objective(problem).capitalize()} of {len(trials)} trials",
        "",
        f"Best: **{best[0].value:.4f}**, trial {best[0].number}. `python -m experiments.{experiment} "
        "--config=best.py` trains with its values.",
        f"{without} of the trials did not stay finite." if without else "All trials stayed finite.",
        "",
        *_table(
            ["hyper-parameter", "best", "config", "from", "to", "importance"],
            [
                [name, *map(_short, (best[0].params[name], problem.start[name], *bounds[name], importance.get(name)))]
                for name in names
            ],
        ),
        "",
        "![Every trial over each hyper-parameter](search.png)",
        "",
        f"## The best {min(TOP, len(best))}",
        "",
        *_table(
            ["trial", "value", *names],
            [
                [str(trial.number), f"{trial.value:.4f}", *(_short(trial.params[name]) for name in names)]
                for trial in best[:TOP]
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _figure(problem, scored, importance):
    """The objective over each hyper-parameter, a panel each; later trials are darker."""
    from matplotlib.figure import Figure

    bounds = problem.space.bounds()
    rows, columns = -(-len(bounds) // COLUMNS), min(len(bounds), COLUMNS)
    figure = Figure(figsize=(2.4 * columns + 0.4, 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    values, numbers = [trial.value for trial in scored], [trial.number for trial in scored]
    for axes, (name, (low, high)) in zip(panels.flat, bounds.items(), strict=False):
        traced = name in problem.space.traced
        axes.set_xscale("log" if traced else "linear")
        margin = (high / low) ** 0.05 if traced else 0.05 * (high - low) + 0.5
        axes.set_xlim(*((low / margin, high * margin) if traced else (low - margin, high + margin)))
        axes.scatter([trial.params[name] for trial in scored], values, c=numbers, cmap="viridis_r", s=14)
        axes.set_xlabel(name)
        if name in importance:
            axes.set_title(f"importance {importance[name]:.2f}", fontsize=9)
    for axes in panels.flat[len(bounds) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(_objective(problem))
    return figure
