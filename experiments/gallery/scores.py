"""`python -m experiments.gallery.scores --workdir=DIR`: how well the cv-RNN takes pictures apart, over many of them.

Pictures and first phases are drawn with the seeds 0, 1, ...: nobody chose them. The runs of one picture share its
difficulty, so that intervals are of the means of pictures.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import engine
from experiments.gallery import segmentation
from oscnets import metrics, stats

# Those of the paper have a square and a triangle, or all three shapes.
PICTURES = {
    "square, triangle": ("square", "down"),
    "square, two triangles": ("square", "down", "up"),
    "two triangles": ("down", "up"),
    "two squares": ("square", "square"),
}
SOLVED = 0.99  # adjusted Rand index of a run whose objects are told apart


def main(argv: Sequence[str] | None = None) -> int:
    """Segment as the command line asks, and write segmentation.json and .md; the exit status."""
    parser = engine.Parser(prog="python -m experiments.gallery.scores", description="Scores of the cv-RNN.")
    parser.add_argument("--workdir", type=engine.user_path, required=True, help="folder for segmentation.json and .md")
    parser.add_argument("--pictures", type=engine.positive, default=30, help="of each kind")
    parser.add_argument("--starts", type=engine.positive, default=10, help="runs of a picture, from other first phases")
    return parser.run(_write, argv)


def _write(options: argparse.Namespace) -> None:
    engine.make_workdir(options.workdir)
    rows = [
        {"pictures": name, "window": list(window), "both_parts": both, **values}
        for name, shapes in PICTURES.items()
        for (window, both), values in measure(shapes, options.pictures, options.starts).items()
    ]
    command = f"python -m experiments.gallery.scores --pictures={options.pictures} --starts={options.starts}"
    content = {"command": command, "rows": rows}
    print(table(rows))
    engine.write_atomically(options.workdir / "segmentation.json", (json.dumps(content, indent=1) + "\n").encode())
    engine.write_atomically(options.workdir / "segmentation.md", page(content).encode())


def measure(shapes: tuple[str, ...], pictures: int, starts: int) -> dict[Any, dict[str, Any]]:
    """By window of steps, and whether both parts of the eigenvectors are clustered: scores of all runs.

    Args:
        shapes: those of every picture.
        pictures: how many, with the seeds 0, 1, ...
        starts: runs of a picture.

    Returns:
        ari (pictures, starts), adjusted Rand indices of the objects' pixels; background, the share of runs whose
        background is right at every pixel. As lists.
    """
    cases = [(window, both) for window in segmentation.WINDOWS for both in (False, True)]
    scores, right = {case: [] for case in cases}, []
    for seed in range(pictures):
        labels = segmentation.picture(shapes, seed=seed)
        run = segmentation.simulate(labels, seeds=range(starts))
        truth = np.broadcast_to(labels.ravel(), run.background.shape)
        right.append((run.background == (truth == 0)).all(1).tolist())
        for window, both in cases:
            objects = segmentation.objects(run, labels.max(), window=window, both_parts=both)
            scores[window, both].append(np.asarray(metrics.adjusted_rand_index(truth, objects, truth > 0)).tolist())
    return {case: {"ari": values, "background": float(np.mean(right))} for case, values in scores.items()}


def page(content: dict[str, Any]) -> str:
    """The command and the table, in Markdown."""
    text = (
        "Adjusted Rand index of the pixels of objects, whose number is given: mean and 95 % interval over pictures. "
        "Similarities are taken over the steps named, eigenvectors as published (Re) or by both parts."
    )
    return f"# Pictures that the cv-RNN takes apart\n\n    {content['command']}\n\n{text}\n\n{table(content['rows'])}\n"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: mean ARI with the interval over pictures, share of runs that are solved, background."""
    lines = []
    for row in rows:
        scores = np.asarray(row["ari"])
        of = stats.summarize(scores.mean(1))
        mean = f"{of.mean:.3f}" + (f" [{of.low:.3f}, {of.high:.3f}]" if np.isfinite(of.low) else "")
        parts = "Re and Im" if row["both_parts"] else "Re"
        first, last = row["window"]
        cells = [row["pictures"], f"{first} to {last - 1}", parts, mean, f"{(scores > SOLVED).mean():.2f}"]
        lines.append([*cells, f"{row['background']:.2f}", f"{len(scores)} x {scores.shape[1]}"])
    head = ["pictures", "steps", "eigenvectors", "ARI", f"above {SOLVED}", "background right", "runs"]
    return engine.markdown.table(head, lines)


if __name__ == "__main__":
    sys.exit(main())
