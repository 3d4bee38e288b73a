"""Pictures of phases, kernels and curves. Matplotlib is imported when one is drawn; no global state, no display.

Every function takes arrays and returns the `matplotlib.figure.Figure`; `save` writes it. Phases are in radians.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oscnets import stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by the colour-blind too; the yellow is left out, for it vanishes on white.
MODEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
# Digits are drawn on white beside phase maps of every hue, so that they have their own few strong colours.
GROUP_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000", "#8B5A2B")


def model_styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Line colour and dash a model, by its place in `names`: give every figure the same list."""
    number = len(MODEL_COLOURS)
    return {
        name: {"color": MODEL_COLOURS[i % number], "linestyle": _DASHES[i // number % len(_DASHES)]}
        for i, name in enumerate(names)
    }


def phase_colours(phases: ArrayLike) -> NDArray[np.float64]:
    """Colour of a phase on a cyclic map: any shape (...) in radians -> (..., 3) sRGB in [0, 1], period 2 pi.

    The hue circle of the OKLab space (Ottosson 2020) at one chroma. Its lightness swings along red-green, so that
    phases which a red-green blind reader would take for one another differ in lightness.
    """
    hue = np.asarray(phases, dtype=np.float64) + np.deg2rad(20.0)  # phase 0 is red
    lightness, chroma = 0.73 + 0.09 * np.cos(hue - np.deg2rad(170.0)), 0.165
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = np.stack([
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ], axis=-1) ** 3  # fmt: skip
    to_linear = np.array([
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ])  # fmt: skip
    linear = np.clip(cones @ to_linear.T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def phase_image(phases: ArrayLike, amplitude: ArrayLike) -> NDArray[np.float64]:
    """Phases (...) and amplitude (...) >= 0 of the same shape -> (..., 3) sRGB: hue by phase, brightness by amplitude.

    Brightness is the square root of amplitude, full from the 95th percentile of the active units on; silent units are
    black. Raises ValueError where the shapes differ or an amplitude is negative.
    """
    phases, amplitude = np.asarray(phases, dtype=np.float64), np.asarray(amplitude, dtype=np.float64)
    if phases.shape != amplitude.shape:
        raise ValueError(f"phases and amplitude must have one shape, got {phases.shape} and {amplitude.shape}")
    if amplitude.size and amplitude.min() < 0:
        raise ValueError(f"amplitude must be >= 0, got {amplitude.min()}")
    active = amplitude[amplitude > 0]
    top = np.percentile(active, 95) if active.size else 1.0
    return phase_colours(phases) * np.sqrt(np.minimum(amplitude / top, 1.0))[..., None]


def strongest_channel(phases: ArrayLike, amplitude: ArrayLike) -> tuple[NDArray, NDArray]:
    """Phase and amplitude (..., H, W) of each pixel's channel of largest amplitude, from (..., H, W, C)."""
    phases, amplitude = np.broadcast_arrays(np.asarray(phases), np.asarray(amplitude))
    best = amplitude.argmax(axis=-1)[..., None]
    return np.take_along_axis(phases, best, -1)[..., 0], np.take_along_axis(amplitude, best, -1)[..., 0]


def phase_map(phases: ArrayLike, amplitude: ArrayLike, *, title: str = "", columns: int = 8) -> Figure:
    """The channels of one layer side by side, hue by phase, brightness by amplitude, with a colour wheel.

    Args:
        phases, amplitude: (H, W, C); silent units are black.
        title: headline. columns: channels in a row.
    """
    phases, amplitude = _rank("phases", phases, 3), _rank("amplitude", amplitude, 3)
    channels = phases.shape[-1]
    columns = min(columns, channels)
    rows = -(-channels // columns)
    figure = _figure(1.2 * columns + 1.5, 1.4 * rows + (0.5 if title else 0.2))
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[1.0] * columns + [0.85])
    pictures = phase_image(phases, amplitude)
    for channel in range(channels):
        axes = figure.add_subplot(grid[channel // columns, channel % columns])
        _picture(axes, pictures[:, :, channel], f"channel {channel + 1}")
    colour_wheel(figure.add_subplot(grid[:, columns], projection="polar"))
    figure.suptitle(title)
    return figure


def colour_wheel(axes: Axes) -> None:
    """Draw the legend of `phase_map` into polar axes: the hue of every phase, labelled in radians."""
    edges = np.linspace(0, 2 * np.pi, 181)
    middles = (edges[:-1] + edges[1:]) / 2
    axes.bar(middles, 0.45, width=edges[1] * 1.05, bottom=0.55, color=phase_colours(middles))
    axes.set(ylim=(0, 1), yticks=[], xticks=[0, np.pi / 2, np.pi, 3 * np.pi / 2])
    axes.set_xticklabels(["0", "π/2", "π", "-π/2"], fontsize=8)
    axes.tick_params(pad=-1)
    axes.grid(False)
    axes.spines["polar"].set_visible(False)
    axes.text(0, 0, "phase\n(rad)", ha="center", va="center", fontsize=7)


def polar_phases(
    phases: ArrayLike, amplitude: ArrayLike, masks: ArrayLike, *, axes: Axes | None = None, title: str = ""
) -> Figure:
    """Phases of the active units on the unit circle, coloured by digit, with the order parameter of each as an arrow.

    The arrow of a digit is the mean of e^{i phase} over its active units: as long as the radius when all agree.

    Args:
        phases, amplitude: (H, W, C); units of amplitude 0 are left out.
        masks: (H, W, G), nonzero inside group g. An empty group has no dots and no arrow.
        axes: polar axes to draw into; a new figure otherwise.
    """
    phases, amplitude = _rank("phases", phases, 3), _rank("amplitude", amplitude, 3)
    masks = _rank("masks", masks, 3).astype(bool)
    if masks.shape[:2] != phases.shape[:2]:
        raise ValueError(f"masks {masks.shape} and phases {phases.shape} differ in height or width")
    if axes is None:
        axes = _figure(3.4, 3.4).add_subplot(projection="polar")
    random = np.random.default_rng(0)  # the radius only spreads dots apart
    for group in range(masks.shape[-1]):
        angles = phases[masks[:, :, group, None] & (amplitude > 0)]
        if angles.size == 0:
            continue
        colour = GROUP_COLOURS[group % len(GROUP_COLOURS)]
        radius = 1.06 + 0.2 * group + random.uniform(0, 0.16, angles.size)
        axes.scatter(angles, radius, s=3, color=colour, alpha=0.25, linewidths=0)
        mean = np.exp(1j * angles).mean()
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=(np.angle(mean), np.abs(mean)), xytext=(0, 0), arrowprops=arrow)
        axes.plot([], [], color=colour, lw=2.2, label=f"r = {np.abs(mean):.2f}")
    axes.set(ylim=(0, 1.1 + 0.2 * masks.shape[-1]), yticks=[1.0], yticklabels=[], xticks=np.arange(4) * np.pi / 2)
    axes.set_xticklabels(["0", "π/2", "π", ""], fontsize=8)
    axes.tick_params(pad=-3)
    axes.spines["polar"].set_visible(False)
    axes.set_title(title, fontsize=9)
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.02), "ncols": 3, "borderpad": 0.0}
        axes.legend(fontsize=8, frameon=False, handlelength=0.8, handletextpad=0.4, columnspacing=0.9, **place)
    return axes.get_figure()


def scene_sheet(
    images: ArrayLike,
    masks: ArrayLike,
    phases: ArrayLike,
    amplitude: ArrayLike,
    *,
    steps: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """One row a scene: input, digits, phase map at some steps, the phases on the circle at the first and last of them.

    The phase map shows at each pixel the phase of its strongest channel.

    Args:
        images: (N, H, W) or (N, H, W, 1 or 3), in [0, 1]. masks: (N, H, W, G).
        phases: (N, T, H, W, C), the state after every step. amplitude: (N, H, W, C) >= 0.
        steps: which steps to show, 1 to T; the first, the middle and the last by default.
    """
    images, masks = np.asarray(images), _rank("masks", masks, 4).astype(bool)
    phases, amplitude = _rank("phases", phases, 5), _rank("amplitude", amplitude, 4)
    number, length = phases.shape[:2]
    if not len(images) == len(masks) == len(amplitude) == number:
        raise ValueError(f"scenes differ in number: {len(images)}, {len(masks)}, {number}, {len(amplitude)}")
    steps = sorted({1, length // 2, length} - {0}) if steps is None else list(steps)
    if not steps or min(steps) < 1 or max(steps) > length:
        raise ValueError(f"steps must lie in 1 to {length}, got {steps}")
    shown = [steps[0], steps[-1]]
    figure = _figure(1.45 * (2 + len(steps)) + 2 * 1.9, 1.75 * number + 0.9)
    grid = figure.add_gridspec(number + 1, len(steps) + 4, width_ratios=[1.0] * (2 + len(steps)) + [1.3] * 2,
                               height_ratios=[1.0] * number + [0.06])  # fmt: skip
    for row in range(number):
        head = (lambda text: text) if row == 0 else (lambda text: "")
        cells = iter(range(len(steps) + 4))
        _picture(figure.add_subplot(grid[row, next(cells)]), images[row], head("input"))
        _picture(figure.add_subplot(grid[row, next(cells)]), mask_image(masks[row]), head("digits"))
        for step in steps:
            picture = phase_image(*strongest_channel(phases[row, step - 1], amplitude[row]))
            _picture(figure.add_subplot(grid[row, next(cells)]), picture, head(f"phase, step {step}"))
        for step in shown:
            axes = figure.add_subplot(grid[row, next(cells)], projection="polar")
            heading = head(f"circle, step {step}")
            polar_phases(phases[row, step - 1], amplitude[row], masks[row], axes=axes, title=heading)
    _colour_strip(figure.add_subplot(grid[number, 2 : 2 + len(steps)]))
    note = figure.add_subplot(grid[number, 2 + len(steps) :])
    note.set_axis_off()
    text = "dots: active units, in the digit's colour\narrow: their mean, length r"
    note.text(0.5, -0.5, text, ha="center", va="top", fontsize=8)
    figure.suptitle(title)
    return figure


def mask_image(masks: ArrayLike) -> NDArray[np.float64]:
    """Masks (H, W, G) -> (H, W, 3) sRGB, each group in its colour of the polar plots, the rest black."""
    from matplotlib.colors import to_rgb

    masks = _rank("masks", masks, 3).astype(bool)
    picture = np.zeros((*masks.shape[:2], 3))
    for group in range(masks.shape[-1]):
        picture[masks[:, :, group]] = to_rgb(GROUP_COLOURS[group % len(GROUP_COLOURS)])
    return picture


def curves(
    values: Mapping[str, ArrayLike],
    *,
    xlabel: str = "step of the dynamics",
    ylabel: str = "",
    title: str = "",
    positions: Mapping[str, ArrayLike] | None = None,
    styles: Mapping[str, Mapping[str, Any]] | None = None,
    chance: float | None = None,
    across: bool = True,
    legend: bool = True,
    axes: Axes | None = None,
) -> Figure:
    """Mean over seeds with a band of one standard deviation, a model a line.

    Args:
        values: a model name each (S, T), seeds by steps, or (S,) or (S, 1) for a model without time. NaN is left out; a
            model of nothing but NaN is not drawn.
        positions: (T,) where the values lie; 1 to T by default. styles: from `model_styles`, of `values` by default.
        chance: level of a dotted line. across: draw a model without time as a dashed line across, else as a point.
    """
    axes = _figure(5.0, 3.6).add_subplot() if axes is None else axes
    styles = model_styles(list(values)) if styles is None else styles
    for name, array in values.items():
        array = np.asarray(array, dtype=np.float64)
        array = array[:, None] if array.ndim == 1 else _rank(name, array, 2)
        if np.isnan(array).all():
            continue
        where = np.arange(1, array.shape[1] + 1) if positions is None else np.asarray(positions[name])
        _curve(axes, where, array, {"label": name, **styles[name]}, across)
    if chance is not None:
        axes.axhline(chance, color="0.45", lw=1.2, ls=":", label="chance", zorder=1)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, fontsize=11)
    axes.grid(color="0.9", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, frameon=False)
    return axes.get_figure()


def curve_row(panels: Sequence[Mapping[str, Any]], *, models: Sequence[str], title: str = "") -> Figure:
    """`curves` side by side under one legend; `panels` holds the arguments of each, `models` the names in order."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure(min(4.4 * len(panels) + 0.6, 13.0), 4.0)
    styles = model_styles(models)
    entries: dict[str, Any] = {}
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        curves(**{"styles": styles, "legend": False, **panel}, axes=axes)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    order = [name for name in [*models, "chance"] if name in entries]
    if order:
        figure.legend([entries[n] for n in order], order, loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(title)
    return figure


def kernel_change(before: ArrayLike, after: ArrayLike, *, title: str = "") -> Figure:
    """A coupling kernel before and after training, and their difference.

    Above the mean over channel pairs, below every pair: rows are receiving, columns sending channels. Red is
    attraction, blue repulsion. Before and after share one symmetric scale a row, the change has its own.

    Args:
        before, after: (kh, kw, C_in, C_out), no unit.
    """
    before, after = _rank("before", before, 4), _rank("after", after, 4)
    if before.shape != after.shape:
        raise ValueError(f"before and after must have one shape, got {before.shape} and {after.shape}")
    figure = _figure(10.4, 6.2)
    grid = figure.add_gridspec(2, 3, height_ratios=[1.0, 1.35])
    kernels = {"before training": before, "after training": after, "change": after - before}
    for row, view in enumerate((lambda kernel: kernel.mean(axis=(2, 3)), _mosaic)):
        pictures = {name: view(kernel) for name, kernel in kernels.items()}
        shared = max(np.nanmax(np.abs(pictures[name])) for name in ("before training", "after training"))
        for column, (name, picture) in enumerate(pictures.items()):
            axes = figure.add_subplot(grid[row, column])
            limit = (np.nanmax(np.abs(picture)) if name == "change" else shared) or 1.0
            drawn = axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"{name}, mean over pairs" if row == 0 else f"{name}, each pair", fontsize=10)
            if row == 1:
                axes.set_xlabel("sending channel", fontsize=9)
                axes.set_ylabel("receiving channel", fontsize=9)
            bar = figure.colorbar(drawn, ax=axes, shrink=0.9, aspect=14, pad=0.02)
            bar.set_label("change" if name == "change" else "weight (> 0 attracts)", fontsize=8)
    figure.suptitle(title)
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 150) -> None:
    """Write a PNG; a reader never sees half of one."""
    path = os.fspath(path)
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        figure.savefig(temporary, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _curve(axes: Axes, where: NDArray, array: NDArray, style: dict[str, Any], across: bool) -> None:
    summary = stats.summarize(array, axis=0)
    spread = np.nan_to_num(summary.std)
    low, high = summary.mean - spread, summary.mean + spread
    if array.shape[1] == 1 and across:
        axes.axhline(summary.mean[0], lw=1.6, **{**style, "linestyle": "--"})
        axes.axhspan(low[0], high[0], color=style["color"], alpha=0.10, lw=0)
        return
    axes.plot(where, summary.mean, lw=2, marker="o" if array.shape[1] < 3 else None, ms=4, **style)
    axes.fill_between(where, low, high, color=style["color"], alpha=0.18, lw=0)


def _mosaic(kernel: NDArray) -> NDArray[np.float64]:
    """(kh, kw, C_in, C_out) -> one picture of all pairs, C_out down, C_in across, an empty (NaN) line between."""
    high, wide, sending, receiving = kernel.shape
    padded = np.full((receiving, high + 1, sending, wide + 1), np.nan)
    padded[:, :high, :, :wide] = kernel.transpose(3, 0, 2, 1)
    return padded.reshape(receiving * (high + 1), sending * (wide + 1))[:-1, :-1]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _colour_strip(axes: Axes) -> None:
    strip = phase_colours(np.linspace(-np.pi, np.pi, 361))[None]
    axes.imshow(strip, extent=(-np.pi, np.pi, 0, 1), aspect="auto")
    axes.set(yticks=[], xticks=np.linspace(-np.pi, np.pi, 5))
    axes.set_xticklabels(["-π", "-π/2", "0", "π/2", "π"], fontsize=8)
    axes.set_xlabel("phase (rad); brightness: amplitude", fontsize=8)


def _picture(axes: Axes, picture: NDArray, title: str) -> None:
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
    axes.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


def _rank(name: str, array: ArrayLike, rank: int) -> NDArray:
    array = np.asarray(array)
    if array.ndim != rank:
        raise ValueError(f"{name} must have {rank} axes, got shape {array.shape}")
    return array
