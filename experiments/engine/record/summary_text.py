"""summary.md: the tables of a run, from the content of summary.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.engine.record.markdown import mean_std, number, table


def render(summary: Mapping[str, Any]) -> str:
    """The whole of summary.md."""
    parts = [_title(summary["run"]), _header(summary)]
    if summary["missing"]:
        parts.append("**Missing.** " + " ".join(summary["missing"]))
    parts.append(_training(summary))
    for split in summary["splits"]:
        parts.append(f"## {split}")
        parts.extend(_metric(summary, split, name) for name in summary["results"][split])
    parts.append(_tests(summary))
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(run: Mapping[str, Any]) -> str:
    return "# " + (": ".join(str(run[key]) for key in ("experiment", "variant") if run[key]) or "Run")


def _header(summary: Mapping[str, Any]) -> str:
    run = summary["run"]
    wall = run["wall_seconds"]
    rows = {
        "command": f"`{run['command']}`" if run["command"] else None,
        "seeds": run["seeds"],
        "first seed": run["seed"],
        "training": _pairs(run["train"]),
        "data": _pairs(run["data"]),
        "hardware": _pairs(run["device"]),
        "versions": _pairs(run["versions"]),
        "commit": run["commit"],
    }
    rows |= {} if wall is None else {"wall time": _duration(wall)}
    return "\n".join(f"- {key}: {'unknown' if value is None else value}" for key, value in rows.items())


def _training(summary: Mapping[str, Any]) -> str:
    """One row per model: steps, best step, and the last values seen in training."""
    training = {model: entry for model, entry in summary["training"].items() if entry["step"] is not None}
    columns = list(dict.fromkeys(
        (split, name) for entry in training.values() for split, names in entry["metrics"].items() for name in names
    ))  # fmt: skip
    if not columns:
        return ""
    rows = []
    for model, entry in training.items():
        best = ", ".join(str(step) for step in summary["best_step"][model].values())
        values = [_last(entry["metrics"].get(split, {}).get(name), interval=False) for split, name in columns]
        rows.append([model, str(entry["step"]), best or "-", *values])
    head = ["model", "steps", "best step per seed", *(f"{split} {name}" for split, name in columns)]
    note = "The last values seen in training, mean ± standard deviation over seeds."
    return f"## Training\n\n{note}\n\n{table(head, rows)}"


def _metric(summary: Mapping[str, Any], split: str, name: str) -> str:
    by_model = summary["results"][split][name]
    length = max(len(entry["steps"] or []) for entry in by_model.values())
    every = list(range(1, length + 1))
    shown = sorted({1, length // 2, length} & set(every))
    notes = ["Mean ± standard deviation [95 % interval of the mean] over seeds."]
    if shown and any(entry["steps"] is None for entry in by_model.values()):
        notes.append("A model without dynamics has one value, in the last of these columns.")
    if name in summary["chance"][split]:
        notes.append(f"Chance: {number(summary['chance'][split][name])}.")
    best = {model: seed for model, seed in summary["best_seed"].items() if seed is not None}
    if best:
        notes.append("Best: the seed that was best on validation, at its last step.")
    text = f"### {split}: {name}\n\n{' '.join(notes)}\n\n{_by_step(name, by_model, shown, best)}"
    if len(every) == len(shown):
        return text
    return f"{text}\n\n<details><summary>every step</summary>\n\n{_by_step(name, by_model, every)}\n\n</details>"


def _by_step(
    name: str, by_model: Mapping[str, Any], shown: Sequence[int], best: Mapping[str, int] | None = None
) -> str:
    last = [[_of_seed(entry, best.get(model))] if best else [] for model, entry in by_model.items()]
    rows = [[m, *_row(entry, shown), *of, _count(entry)] for (m, entry), of in zip(by_model.items(), last, strict=True)]
    head = [f"step {step}" for step in shown] or [name]
    return table(["model", *head, *(["best"] if best else []), "seeds"], rows)


def _of_seed(entry: Mapping[str, Any], seed: int | None) -> str:
    """A seed's value at its last step."""
    return number(entry["values"][entry["seeds"].index(seed)][-1]) if seed in entry["seeds"] else ""


def _row(entry: Mapping[str, Any], shown: Sequence[int]) -> list[str]:
    if entry["steps"] is None:
        return [""] * (len(shown) - 1) + [_last(entry)]
    return [_value(entry, step - 1) if step <= len(entry["steps"]) else "" for step in shown]


def _count(entry: Mapping[str, Any]) -> str:
    return str(entry["n"][-1])


def _last(entry: Mapping[str, Any] | None, interval: bool = True) -> str:
    return "" if entry is None else _value(entry, -1, interval)


def _value(entry: Mapping[str, Any], index: int, interval: bool = True) -> str:
    mean, std, low, high = (entry[key][index] for key in ("mean", "std", "low", "high"))
    return mean_std(mean, std, (low, high) if interval else None)


def _tests(summary: Mapping[str, Any]) -> str:
    tests = summary["tests"]
    if not tests:
        return ""
    title = "## Paired tests between models\n\n"
    if max(test["n"] for test in tests) < 2:
        return title + "None: no two models have two seeds in common, and a test needs at least two."
    family = sum(test["p"] is not None for test in tests)
    note = (
        "Two-sided paired t-tests over seeds at the last step of the dynamics; difference = first - second; n: seeds "
        f"in common. Adjusted p: Benjamini-Yekutieli over all {family} tests of this file that have a p."
    )
    return title + note + "\n\n" + "\n\n".join(_test_tables(tests))


def _test_tables(tests: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for split, name in dict.fromkeys((test["split"], test["metric"]) for test in tests):
        chosen = [test for test in tests if (test["split"], test["metric"]) == (split, name)]
        rows = [
            [t["first"], t["second"], number(t["difference"], sign="+"), _p(t, "p"), _p(t, "p_adjusted"), str(t["n"])]
            for t in chosen
        ]
        head = ["first", "second", "difference", "p", "adjusted p", "n"]
        yield f"### {split}: {name}, differences\n\n{table(head, rows)}"


def _p(test: Mapping[str, Any], key: str) -> str:
    if test[key] is not None:
        return "< 0.0001" if test[key] < 1e-4 else f"{test[key]:.4f}"
    return "no test (n < 2)" if test["n"] < 2 else "undefined (no variation)"


def _pairs(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_pairs(entry)}" for key, entry in value.items() if entry is not None)
    return value


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"
