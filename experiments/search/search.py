"""Hyper-parameter search: Optuna proposes values, `trials` trains several proposals at a time; knows no model.

Trials are proposed in batches of `together`, all of one shape, so that one compiled program trains them. The first
trial of a batch is free and sets the shape; the others have its shape and are free in everything else. The proposals of
a batch depend on the seed, its number and the finished batches before it only, and only finished trials are stored: a
search that is killed continues with the same proposals.
"""

import contextlib
import importlib.util
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments import engine
from experiments.search.trials import MakeTask, Trials, Values

# Trials of one search have the same seeds and train the same model.
_MAY_CHANGE = (*engine.WHERE, "tests")
_FLAGS = {
    "trials": engine.Flag(100, "number of trials, those of earlier calls included"),
    "together": engine.Flag(4, "trials that are proposed, and trained, at once"),
}


class Space(NamedTuple):
    """What is searched.

    Attributes:
        traced: lowest and highest value, both > 0, by name: floats on a logarithmic scale, all of them trained by
            the same compiled program.
        shapes: values by name, a range: ints that sizes of arrays depend on, so that each combination is compiled.
    """

    traced: Mapping[str, tuple[float, float]]
    shapes: Mapping[str, range]

    def to_json(self) -> dict[str, dict[str, list]]:
        """As JSON holds it."""
        return {part: {name: list(ends) for name, ends in named.items()} for part, named in self._asdict().items()}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value by name."""
        return {**self.traced, **{name: (sizes[0], sizes[-1]) for name, sizes in self.shapes.items()}}

    def holds(self, values: Values) -> bool:
        """Whether these values could be proposed."""
        inside = all(low <= values[name] <= high for name, (low, high) in self.traced.items())
        return inside and all(values[name] in sizes for name, sizes in self.shapes.items())


class Problem(NamedTuple):
    """A search; values are by hyper-parameter name.

    Attributes:
        space: where values are searched.
        config: of the model, with its own `model` and `train`: epochs, seeds and batch size of every trial.
        make_task: values -> task, see `trials`; its `score` on the validation split after the last training step, the
            mean over the config's seeds, is the objective. No other split is evaluated.
        data: "train" and "validation": arrays, or functions that give them, called when there is a trial to train.
        start: the config's values: the first trial, where they lie within the space.
        settled: values -> the config of an experiment that trains the model with them.
    """

    space: Space
    config: ConfigDict
    make_task: MakeTask
    data: Mapping[str, engine.PyTree | Callable[[], engine.PyTree]]
    start: Values
    settled: Callable[[Values], ConfigDict]


def main(
    family: engine.Family,
    make_problem: Callable[..., Problem],
    *,
    flags: Mapping[str, engine.Flag] | None = None,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a search from the command line, `python -m experiments.FAMILY.search`.

    Args:
        family: of the experiment; a search's config is one of the family with one model.
        make_problem: (config, **flags) -> problem; raises ValueError, with the value and what was expected, for a flag
            out of range.
        flags: flags of this search besides --trials and --together.
        argv: arguments after the program's name; None: those of the process.

    Returns:
        The exit status, as of `engine.command`.
    """
    # Its workdirs are no runs of the experiment: they have a name of their own.
    searched = family._replace(name=f"{family.name}.search", check=partial(_check, family))
    act = partial(_act, make_problem, family)
    return engine.command(searched, act, more={**_FLAGS, **(flags or {})}, may_change=_MAY_CHANGE, argv=argv)


def _check(family: engine.Family, config: ConfigDict) -> None:
    if importlib.util.find_spec("optuna") is None:
        raise engine.UsageError('a search needs Optuna: pip install -e ".[search]"')
    names = engine.tables(config, "models")
    if len(names) != 1:
        raise ValueError(f"a search has one model, given by --models=NAME; the config has {', '.join(names)}")
    family.check(config)


def _act(make_problem, family: engine.Family, request: engine.Request, profile, stop: engine.Stop) -> None:
    """Do what the command line asks for; the workdir is claimed."""
    counts = {name: request.flags[name] for name in _FLAGS}
    for name, count in counts.items():
        if count < 1:
            raise engine.UsageError(f"--{name}={count}: expected an int >= 1")
    if engine.hosts.count() > 1:
        raise engine.UsageError("a search runs in one process")
    if request.evaluate is not None:
        raise engine.UsageError("a search evaluates on validation data only: --evaluate is for trained models")
    if profile is not None:
        raise engine.UsageError("a search has no --profile: give it to a run of the experiment")
    settings = {name: value for name, value in request.flags.items() if name not in _FLAGS}
    try:
        problem = make_problem(request.config, **settings)
    except ValueError as error:
        raise engine.UsageError(str(error)) from error
    trials = 0 if request.report_only else counts["trials"]
    run(problem, request.workdir, stop, trials=trials, together=counts["together"], family=family, **settings)


def run(
    problem: Problem,
    workdir: Path,
    stop: engine.Stop,
    *,
    trials: int,
    together: int,
    family: engine.Family,
    **settings: Any,
) -> None:
    """Search until the workdir has so many trials, and report.

    Args:
        problem: the search.
        workdir: its folder, claimed: study.db keeps the finished trials (Optuna); `report.build` writes the rest.
        stop: the signals that stop it, not entered.
        trials: in all; with no more than there are it only reports.
        together: trials in a batch.
        family: of the experiment that trains with the best values.
        settings: other values that must be the same when a search continues.

    Raises:
        UsageError: the workdir belongs to another search, or there is nothing to report.
        RunError: the study cannot be read or written, or no trial ended with a score.
        Interrupted: a signal came; finished trials are stored.
    """
    from experiments.search import report

    workdir = engine.user_path(workdir)
    settings = {**settings, "together": together, "space": problem.space.to_json()}
    with _study(workdir, problem, settings) as study:
        if len(study.trials) < trials:
            with stop:
                _search(study, problem, trials, together, stop)
        if not study.trials:
            raise engine.UsageError(f"workdir {workdir} has no trials to report yet")
        report.build(workdir, study, problem, family)


def propose(done: Sequence[Any], problem: Problem, together: int, direction: Any, seed: int) -> list[Values]:
    """The values of a batch of trials, all of one shape.

    Args:
        done: the finished trials of the batches before (Optuna's, frozen); there is no other state.
        problem: the search; its start is the first trial of all.
        together: number of trials.
        direction: of the study.
        seed: of the search.
    """
    import optuna

    draws = np.random.SeedSequence([seed, len(done)]).generate_state(1)[0]
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=int(draws)))
    study.add_trials(done)
    fixed = problem.start if not done and problem.space.holds(problem.start) else {}
    proposed: list[Values] = []
    for _ in range(together):
        if fixed:
            study.enqueue_trial(dict(fixed))
        proposed.append(study.ask(_distributions(problem.space)).params)
        fixed = {name: proposed[0][name] for name in problem.space.shapes}
    return proposed


def _distributions(space):
    from optuna.distributions import FloatDistribution, IntDistribution

    traced = {name: FloatDistribution(low, high, log=True) for name, (low, high) in space.traced.items()}
    shapes = {name: IntDistribution(sizes[0], sizes[-1], step=sizes.step) for name, sizes in space.shapes.items()}
    return traced | shapes


def _search(study, problem, trials, together, stop):
    config = problem.config
    if not study.trials and not problem.space.holds(problem.start):
        print(
            f"NOTE: no trial has the config's values, which are outside the space: {dict(problem.start)}",
            file=sys.stderr,
        )
    with engine.progress_bar(0) as bar:
        data, names = engine.Splits(problem.data), tuple(problem.space.traced)
        runner = Trials(config, problem.make_task, names, data, together, check=stop.check, advance=bar.update)
        bar.total = trials * runner.images
        engine.skip(bar, len(study.trials) * runner.images)
        while (count := len(study.trials)) < trials:
            first = count // together * together
            batch = propose(study.trials[:first], problem, together, study.direction, config.seed)
            wanted = range(count - first, min(together, trials - first))
            bar.set_description(f"trial {count + 1}-{first + wanted.stop} of {trials}", refresh=False)
            for place, scores in runner.run(batch, wanted):
                seeds = range(config.seed, config.seed + config.seeds)
                by_seed = dict(zip(map(str, seeds), scores.tolist(), strict=True))
                _store(study, batch[place], _distributions(problem.space), by_seed)


def _store(study, values, distributions, scores):
    """Add a finished trial, in one transaction."""
    from optuna.trial import TrialState, create_trial

    mean = float(np.mean([*scores.values()]))
    # The sampler treats a pruned trial as worse than any other.
    ended = {"value": mean} if np.isfinite(mean) else {"state": TrialState.PRUNED}
    scores = {seed: score if np.isfinite(score) else None for seed, score in scores.items()}
    study.add_trial(
        create_trial(params=dict(values), distributions=distributions, user_attrs={"scores": scores}, **ended)
    )


@contextlib.contextmanager
def _study(workdir: Path, problem: Problem, settings: Mapping[str, Any]) -> Iterator[Any]:
    """The study of a workdir, made where there is none; its settings must be these."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    score = problem.make_task(problem.start).score
    settings = {**settings, "score": score}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = workdir / "study.db"
    # Without a pool no connection stays open when it is not in use: none is left where the storage cannot be made.
    # A connection of our own, because a URL gives "?" and "%" in a path a meaning.
    settings_of_engine = {"poolclass": NullPool, "creator": partial(_connect, path)}
    storage = None
    try:
        storage = optuna.storages.RDBStorage("sqlite:///study.db", settings_of_engine)
        direction = "minimize" if score.startswith("-") else "maximize"
        study = optuna.create_study(storage=storage, study_name="search", direction=direction, load_if_exists=True)
        if "settings" not in study.user_attrs:
            study.set_user_attr("settings", settings)
        _compare(workdir, study.user_attrs["settings"], settings)
        yield study
    except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        raise engine.RunError(f"{path}: {' '.join(str(error).split())}") from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to a database, without SQLite's locks where the file system has none (the workdir is claimed)."""
    unlocked = "?nolock=1" if path.with_name(engine.MARKER).exists() else ""
    return sqlite3.connect(f"{path.absolute().as_uri()}{unlocked}", uri=True, check_same_thread=False)


def _compare(workdir, stored, present):
    different = engine.differences(stored, present)
    if different:
        raise engine.UsageError(
            f"workdir {workdir} belongs to another search:\n"
            + "\n".join(f"  search{key}: {old} there, {new} here" for key, old, new in different)
            + "\nchoose another --workdir, or the flags it was started with"
        )
