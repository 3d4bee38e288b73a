"""The results of a search: trials.csv, search.md, best.py and Optuna's plots, rebuilt at any time from its study."""

import csv
import io
import pprint
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments import engine
from oscnets import plotting

TOP = 10  # trials in search.md
ENOUGH = 10  # trials with a score from which importances are estimated


def build(workdir: Path, study: Any, problem: Any, family: engine.Family) -> None:
    """Write the report of a search.

    Args:
        workdir: the folder for it: trials.csv, search.md, best.py (a config file), slices.png, history.png and, from
            `ENOUGH` trials on, importances.png.
        study: Optuna's, of finished trials.
        problem: of `search.run`.
        family: of the experiment that trains with the best values.

    Raises:
        RunError: no trial ended with a score.
    """
    import optuna

    trials = study.trials
    scored = [trial for trial in trials if trial.value is not None]
    engine.write_atomically(workdir / "trials.csv", _csv(trials).encode())
    if not scored:
        raise engine.RunError(f"workdir {workdir}: no trial of {len(trials)} ended with finite numbers and a score")
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    best = sorted(scored, key=lambda trial: sign * trial.value)  # of equal ones the first
    importance = optuna.importance.get_param_importances(study) if len(scored) >= ENOUGH else {}
    figures = list(_draw(workdir, study, _objective(problem), bool(importance)))
    engine.write_atomically(workdir / "best.py", _config_file(problem, best[0], len(trials), family).encode())
    text = _markdown(problem, trials, best, importance, family.name, figures)
    engine.write_atomically(workdir / "search.md", text.encode())


def _draw(workdir: Path, study: Any, objective: str, with_importances: bool) -> Iterator[str]:
    """Draw Optuna's plots and yield the names of their files."""
    import matplotlib
    import optuna
    from optuna.visualization import matplotlib as plots

    draw = {"slices": plots.plot_slice, "history": plots.plot_optimization_history}
    if with_importances:
        draw["importances"] = plots.plot_param_importances
    matplotlib.use("agg")  # they open figures with pyplot
    for name, plot in draw.items():
        with warnings.catch_warnings(), matplotlib.rc_context():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)  # trials with equal values
            axes = plot(study, target_name=objective) if name != "importances" else plot(study)
            figure = getattr(axes, "flat", [axes])[0].figure
            plotting.save(figure, workdir / f"{name}.png")
            matplotlib.pyplot.close(figure)
        yield f"{name}.png"


def _csv(trials):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names, seeds = list(trials[0].params), trials[0].user_attrs["scores"]
    writer.writerow(["trial", *names, "value", *(f"seed_{seed}" for seed in seeds)])
    for trial in trials:
        values = [trial.params[name] for name in names]
        writer.writerow([trial.number, *values, trial.value, *trial.user_attrs["scores"].values()])
    return text.getvalue()


class _Placeholder:
    """An entry that is not set; its repr is Python source."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"placeholder({self.kind.__name__})"


def _source(config: ConfigDict, defaults: ConfigDict) -> dict[str, Any]:
    """A config as a dict whose repr is Python source for it.

    Entries that are not set are placeholders of the type in `defaults`; those of tables are left out.
    """
    source = {}
    for key in engine.to_json(config):
        value = config[key]
        if isinstance(value, ConfigDict):
            source[key] = _source(value, defaults.get(key, ConfigDict()))
        elif value is not None:
            source[key] = value
        elif key in defaults:
            source[key] = _Placeholder(defaults.get_type(key))
    return source


def _config_file(problem, best, count, family):
    source = _source(problem.settled(best.params), engine.base_config(family.entries))
    config = pprint.pformat(source, width=110, sort_dicts=False)
    return (
        f'"""Trial {best.number}, the best of {count}: {_objective(problem)} {best.value:.6g}.\n\n'
        f'python -m experiments.{family.name} --config=THIS_FILE\n"""\n\n'
        f"from ml_collections import ConfigDict\nfrom ml_collections.config_dict import placeholder  # noqa: F401\n\n"
        f"CONFIG = {config}\n\n\n"
        'def get_config():\n    """The whole config."""\n    return ConfigDict(CONFIG)\n'
    )


def _objective(problem):
    return f"validation {problem.make_task(problem.start).score.removeprefix('-')}"


def _markdown(problem, trials, best, importance: Mapping[str, float], experiment: str, figures: Sequence[str]) -> str:
    names, without = list(problem.space.bounds()), len(trials) - len(best)
    parts = [
        f"# {_objective(problem).capitalize()} of {len(trials)} trials",
        f"Best: **{best[0].value:.4f}**, trial {best[0].number}. `python -m experiments.{experiment} "
        "--config=best.py` trains with its values.\n"
        + (f"{without} of the trials did not stay finite." if without else "All trials stayed finite."),
        engine.markdown.table(
            ["hyper-parameter", "best", "config", "from", "to", "importance"],
            _values(problem, best[0], importance),
        ),
        *(f"![{Path(name).stem.capitalize()}]({name})" for name in figures),
        f"## The best {min(TOP, len(best))}",
        engine.markdown.table(
            ["trial", "value", *names],
            [
                [trial.number, f"{trial.value:.4f}", *(_short(trial.params[name]) for name in names)]
                for trial in best[:TOP]
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _values(problem, best, importance) -> Iterator[list[str]]:
    """Rows of the table of hyper-parameters."""
    for name, ends in problem.space.bounds().items():
        values = best.params[name], problem.start[name], *ends, importance.get(name)
        yield [name, *map(_short, values)]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
