"""Figure of the drums: frequency against side, one spectrum, and snapshots of the membrane."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oscnets import plotting
from oscnets.dynamics import waves
from oscnets.plotting.canvas import new_figure


def draw(
    path: Path,
    drums: Sequence[Any],
    chosen: int,
    spectrum: tuple[np.ndarray, np.ndarray],
    snapshots: tuple[np.ndarray, np.ndarray],
    facts: Mapping[str, Any],
) -> None:
    """Write the PNG.

    Args:
        path: of the file.
        drums: `experiments.drum.Drum`s, by side.
        chosen: index of the drum of spectrum and snapshots.
        spectrum: frequencies in Hz and amplitudes, (F,) each.
        snapshots: moments in seconds (K,) and membranes (K, H, W).
        facts: speed, dt and steps of the simulation, and the largest errors.
    """
    times, membranes = snapshots
    figure = new_figure(11.5, 5.8)
    above, below = figure.subfigures(2, 1, height_ratios=[1.0, 0.62])
    first, second, third = above.subplots(1, 3)
    _fundamentals(first, drums, facts)
    _deviations(second, drums, facts)
    _spectrum(third, drums[chosen], *spectrum)
    cells = below.subplots(1, len(times))
    for axes, moment, membrane in zip(cells, times, membranes, strict=True):
        # The displacement decays as it spreads: with one common scale the later snapshots would be blank.
        limit = np.abs(membrane).max()
        axes.imshow(np.pad(membrane, 1), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{moment:.1f} s (±{limit:.2f})", fontsize=9)
    cells[0].set_ylabel(f"membrane, side {drums[chosen].side}", fontsize=9)
    figure.suptitle(f"Square drums struck at the centre: {facts['steps']:,} steps of {facts['dt']:g} s")
    plotting.save(figure, path)


def _fundamentals(axes, drums, facts):
    sides = _fine(drums)
    axes.plot(sides, 1e3 * _theory(sides, facts), color="#D55E00", label="theory: c / √2 L")
    axes.plot(sides, 1e3 * _grid(sides, facts), "--", color="#0072B2", label="the grid")
    axes.plot(*zip(*((d.side, 1e3 * d.simulated) for d in drums), strict=True), "o", color="black", label="simulated")
    axes.set(xlabel="side L (pixels)", ylabel="lowest frequency (mHz)")
    axes.legend(frameon=False, fontsize=9)
    _plain(axes)


def _deviations(axes, drums, facts):
    sides = _fine(drums)
    axes.axhline(0, color="#D55E00")
    axes.plot(sides, 100 * (_grid(sides, facts) / _theory(sides, facts) - 1), "--", color="#0072B2")
    deviations = [(drum.side, 100 * (drum.simulated / drum.theory - 1)) for drum in drums]
    axes.plot(*zip(*deviations, strict=True), "o", color="black")
    axes.set(xlabel="side L (pixels)", ylabel="deviation from theory (%)")
    worst = 100 * facts["error_to_theory"]
    title = f"at most {worst:.2f} % from theory,\n{facts['error_to_grid']:.1g} bins from the grid's"
    axes.set_title(title, fontsize=10)
    _plain(axes)


def _spectrum(axes, drum, frequencies, amplitudes):
    shown = frequencies < 4.2 * drum.theory
    axes.axvline(1e3 * drum.grid, color="#0072B2", ls="--", lw=1.2)
    axes.plot(1e3 * frequencies[shown], amplitudes[shown], color="black", lw=1.0)
    axes.set(xlabel="frequency (mHz)", ylabel="amplitude at the centre", ylim=(0, None))
    axes.set_title(f"side {drum.side}; dashed: the grid's fundamental", fontsize=10)
    _plain(axes)


def _fine(drums):
    return np.linspace(drums[0].side - 0.5, drums[-1].side + 0.5, 200)


def _theory(sides, facts):
    return waves.drum_frequencies(1, facts["speed"])[0] / sides


def _grid(sides, facts):
    return np.array([waves.grid_frequencies(side, facts["speed"], facts["dt"])[0] for side in sides])


def _plain(axes):
    axes.grid(color="0.9", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
