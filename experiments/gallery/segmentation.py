"""A picture that the cv-RNN takes apart without training: background first, then objects."""

from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from scipy.ndimage import distance_transform_edt
from sklearn.cluster import KMeans

from oscnets import analysis, metrics, plotting
from oscnets.dynamics import cvrnn
from oscnets.plotting import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 32
FIRST = 60  # steps of the first layer, its first phases included
# Steps, counted from 1 with the first phases, over which the similarity of units is taken; the last tells objects best.
WINDOWS = ((60, 101), (100, 141), (140, 181))


class Run(NamedTuple):
    """A batch of runs on one picture, each from other first phases."""

    background: np.ndarray  # (B, N) bool
    phases: np.ndarray  # (T, B, N), the first phases included


def shape(name: str) -> np.ndarray:
    """A hollow shape with lines of three pixels: "square" of 13 pixels, or a triangle that points "down" or "up"."""
    if name == "square":
        filled = np.ones((13, 13), bool)
        filled[3:-3, 3:-3] = False
        return filled
    rows, columns = np.mgrid[:9, :17]
    inside = np.minimum(columns - rows, 16 - rows - columns)
    down = (inside >= 0) & ((inside < 3) | (rows < 3))
    return down if name == "down" else down[::-1]


def picture(names: tuple[str, ...], *, seed: int, gap: float = 3.0) -> np.ndarray:
    """Labels (32, 32): the number of each shape from 1, 0 in the background.

    The second layer couples units over a pixel or so: shapes less than `gap` pixels apart would be one object for it.
    """
    rng = np.random.default_rng(seed)
    while True:
        labels = np.zeros((SIZE, SIZE), int)
        for number, pixels in enumerate(map(shape, names), 1):
            placed = np.zeros(labels.shape, bool)
            row, column = (rng.integers(SIZE - n + 1) for n in pixels.shape)
            placed[row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels
            if labels.any() and distance_transform_edt(labels == 0)[placed].min() < gap:
                break
            labels[placed] = number
        else:
            return labels


def simulate(labels: np.ndarray, *, seeds: range) -> Run:
    """Published couplings and steps, from first phases of each seed."""
    frequency = np.where(labels.ravel() > 0, 1, -1).astype(np.float32)
    draw = lambda seed: jax.random.uniform(jax.random.key(seed), frequency.shape, minval=-np.pi, maxval=np.pi)  # noqa: E731
    start = np.stack([draw(seed) for seed in seeds])
    couplings = [cvrnn.gaussian_coupling(*labels.shape, sigma=sigma) for sigma in (0.9, 0.0313)]
    run = cvrnn.two_layers(np.broadcast_to(frequency, start.shape), start, couplings)
    phases = np.concatenate([start[None], run.first.phases, run.second.phases])
    return Run(np.asarray(run.background), phases)


def objects(run: Run, count: int, *, window: tuple[int, int] = WINDOWS[-1], both_parts: bool = True) -> np.ndarray:
    """(B, N): 0 in the background, else the number of a cluster from 1.

    Clusters are those of the leading three eigenvectors of the similarity, by k-means.

    Args:
        run: B runs.
        count: objects; it is given.
        window: one of `WINDOWS`.
        both_parts: similarity times eigenvectors, real and imaginary part, as eigenvectors have an arbitrary phase.
            False is as published: the product of the real parts.
    """
    found = np.zeros(run.background.shape, int)
    for i, mask in enumerate(run.background):
        phases = run.phases[window[0] - 1 : window[1] - 1, i][:, ~mask]
        found[i, ~mask] = 1 + _clusters(phases, count, both_parts)
    return found


def _clusters(phases: np.ndarray, count: int, both_parts: bool) -> np.ndarray:
    similarity = np.asarray(analysis.phase_locking(phases), complex)
    vectors = np.linalg.eigh(similarity)[1][:, -3:]
    leading = similarity @ vectors
    parts = [leading.real, leading.imag] if both_parts else [similarity.real @ vectors.real]
    return KMeans(count, n_init=10, random_state=0).fit_predict(np.concatenate(parts, axis=1))


def figure(*, small: bool = False) -> "Figure":
    """One row for each of three starts: the picture, what is no background, phases of the second layer, clusters."""
    labels = picture(("square",) if small else ("square", "down", "up"), seed=0)
    run = simulate(labels, seeds=range(1 if small else 3))
    found = objects(run, labels.max())
    drawn = canvas.new_figure(8.8, 1.6 * len(found) + 0.2)
    image = lambda x: x.reshape(labels.shape)  # noqa: E731
    truth = np.broadcast_to(labels.ravel(), found.shape)
    scores = np.asarray(metrics.adjusted_rand_index(truth, found, truth > 0))
    for row, cells in enumerate(drawn.subplots(len(found), 6, squeeze=False)):
        lit = (~run.background[row]).astype(float)
        shown = {"picture": (labels > 0).astype(float), "not background": image(lit)}
        for step in (61, 100, 180):
            shown[f"phases, step {step}"] = plotting.phase_image(image(run.phases[step - 1, row]), image(lit))
        shown[f"objects: ARI {scores[row]:.2f}"] = plotting.label_image(image(found[row]))
        for axes, (title, pixels) in zip(cells, shown.items(), strict=True):
            canvas.show_picture(axes, pixels, title)
    return drawn


def animation(*, small: bool = False) -> plotting.Animation:
    """Phases of three starts: in the first layer less their mean, from black to white, in the second as colours."""
    labels = picture(("square",) if small else ("square", "down", "up"), seed=0)
    run = simulate(labels, seeds=range(1 if small else 3))
    steps = [0, 60] if small else [0, 1, 2, 3, 5, 10, 20, 40, 59, *range(60, 200, 5)]
    drawn = canvas.new_figure(1.5 * (1 + len(run.background)), 1.9)
    cells = drawn.subplots(1, 1 + len(run.background))

    def show(i: int) -> None:
        step, first = steps[i], steps[i] < FIRST
        canvas.show_picture(_emptied(cells[0]), (labels > 0).astype(float), "picture")
        for row, (cell, phases) in enumerate(zip(cells[1:], run.phases[step], strict=True)):
            image = _deviations(phases) if first else plotting.phase_image(phases, 1.0 * ~run.background[row])
            canvas.show_picture(_emptied(cell), image.reshape(*labels.shape, -1), f"start {row + 1}")
        drawn.suptitle(f"step {step + 1}, {'first' if first else 'second'} layer", fontsize=9)

    return plotting.Animation(drawn, show, len(steps))


def _emptied(axes):
    axes.clear()
    return axes


def _deviations(phases: np.ndarray) -> np.ndarray:
    """Differences from the mean phase, scaled to [0, 1]."""
    around = np.angle(np.exp(1j * phases) / np.exp(1j * phases).mean())
    return (around - around.min()) / max(np.ptp(around), 1e-9)
