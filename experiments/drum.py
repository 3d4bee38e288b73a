"""Frequencies of simulated square drums struck at the centre, against theory (Jacobs et al., 2025, figure 2).

python -m experiments.drum --workdir=DIR
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments import drum_figure, engine
from oscnets.dynamics import unroll, waves

# The paper's text lacks the time step; this is the one of its networks. One unit of time is a second.
SPEED, DT = 1.0, 0.1
PERIODS = 16  # of the fundamental that a recording must hold, so that the next mode's peak stands apart
PEAK = 0.5  # least height of a peak, in amplitudes of one mode; the window's side lobes are far below
PADDING = 8  # factor by which zeros lengthen the recording, so that a peak can be located within a bin


class Drum(NamedTuple):
    """One drum, frequencies in Hz."""

    side: int  # L, pixels from edge to edge: L - 1 of them move
    theory: float  # c / (sqrt 2 L)
    grid: float  # of the five-point stencil with the time step
    simulated: float


def start(sides: Sequence[int]) -> tuple[Array, Array]:
    """Positions and masks (H, W, C) of drums, one per channel: displacement 1 at each centre.

    A drum of an odd side has its centre between pixels, and is struck at the next one up and left.
    """
    size = max(sides) - 1
    inside = jnp.arange(size)[:, None] < jnp.asarray(sides) - 1
    centre = jnp.arange(size)[:, None] == jnp.asarray(sides) // 2 - 1
    mask, struck = (a[:, None] & a[None] for a in (inside, centre))
    return struck.astype(jnp.float32), mask.astype(jnp.float32)


def record(sides: Sequence[int], num_steps: int) -> np.ndarray:
    """The centres' positions after every step, (num_steps, drums)."""
    middle, drums = jnp.asarray(sides) // 2 - 1, jnp.arange(len(sides))
    return np.asarray(_run(sides, num_steps, lambda position: position[middle, middle, drums]))


def membranes(side: int, num_steps: int) -> np.ndarray:
    """One whole membrane after every step, (num_steps, L - 1, L - 1)."""
    return np.asarray(_run((side,), num_steps, lambda position: position[..., 0]))


def _run(sides, num_steps, collect):
    position, mask = start(sides)

    def step(state):
        return waves.wave_step(*state, speed=SPEED, dt=DT, mask=mask)

    run = jax.jit(lambda state: unroll(step, state, num_steps, collect=lambda state: collect(state[0]))[1])
    return run((position, jnp.zeros_like(position)))


def spectrum(recording: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz (F,) and amplitudes (F, drums) of recordings (T, drums) under a Hann window."""
    length = len(recording)
    windowed = (recording - recording.mean(0)) * np.hanning(length)[:, None]
    amplitudes = np.abs(np.fft.rfft(windowed, PADDING * length, axis=0)) * 4 / length
    return np.fft.rfftfreq(PADDING * length, DT), amplitudes


def lowest_peak(frequencies: np.ndarray, amplitudes: np.ndarray, side: int) -> float:
    """Frequency in Hz of the first maximum above `PEAK` in a spectrum (F,), by a parabola through three logarithms.

    A stroke at the centre gives every mode with odd m and n the amplitude (2 / L)^2 there; some have one frequency.
    """
    inner = amplitudes[1:-1]
    tops = (inner > amplitudes[:-2]) & (inner >= amplitudes[2:]) & (inner > PEAK * (2 / side) ** 2)
    at = int(np.argmax(tops)) + 1
    before, here, after = np.log(amplitudes[at - 1 : at + 2])
    shift = 0.5 * (before - after) / (before - 2 * here + after)
    return float(frequencies[at] + shift * frequencies[1])


def measure(sides: Sequence[int], num_steps: int) -> tuple[list[Drum], tuple[np.ndarray, np.ndarray]]:
    """Simulate drums side by side; frequencies of each, and the spectra of all, (F,) and (F, drums)."""
    frequencies, amplitudes = spectrum(record(sides, num_steps))
    drums = [
        Drum(
            side,
            float(waves.drum_frequencies(side, SPEED)[0]),
            float(waves.grid_frequencies(side, SPEED, DT)[0]),
            lowest_peak(frequencies, amplitudes[:, i], side),
        )
        for i, side in enumerate(sides)
    ]
    return drums, (frequencies, amplitudes)


def markdown(drums: Sequence[Drum], facts: dict) -> str:
    """One row per drum, below the settings and the largest errors."""
    width = facts["bin"]
    lines = [
        f"- command: `{facts['command']}`",
        f"- {facts['steps']} steps of {DT:g} s at {SPEED:g} pixel per second; a frequency bin is {1e3 * width:.4g} mHz",
        f"- largest error: {facts['error_to_grid']:.2g} bins to the grid's fundamental, "
        f"{100 * facts['error_to_theory']:.2f} % to theory",
        f"- {facts['seconds']:.1f} s, on {facts['device']}",
        "",
    ]
    head = ["side", "theory, mHz", "grid, mHz", "simulated, mHz", "to theory, %", "to the grid, bins"]
    rows = []
    for side, *frequencies in drums:
        theory, grid, simulated = frequencies
        errors = [f"{100 * (simulated / theory - 1):+.3f}", f"{(simulated - grid) / width:+.4f}"]
        rows.append([side, *(f"{1e3 * frequency:.4f}" for frequency in frequencies), *errors])
    return "\n".join([*lines, engine.markdown.table(head, rows)]) + "\n"


def shortest(side: int) -> int:
    """Number of steps that `PERIODS` periods of a drum's fundamental take."""
    return int(np.ceil(PERIODS / waves.grid_frequencies(side, SPEED, DT)[0] / DT))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, then write drum.json, drum.md and drum.png into the workdir; the exit status."""
    parser = engine.Parser(prog="python -m experiments.drum", description=__doc__)
    parser.add_argument("--workdir", type=engine.user_path, default=Path("runs/drum"), help="for figure and tables")
    parser.add_argument("--steps", type=int, default=40_000, help=f"of the simulation, of {DT:g} s each")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(range(13, 22)), help="sides of the drums, pixels")
    words = sys.argv[1:] if argv is None else argv
    return parser.run(partial(run, command=shlex.join(["python", "-m", "experiments.drum", *words])), argv)


def run(options: argparse.Namespace, *, command: str) -> None:
    """Carry out what the command line asks for; UsageError where it cannot be."""
    sides = _check(options)
    began = time.monotonic()
    drums, (frequencies, amplitudes) = measure(sides, options.steps)
    middle = len(drums) // 2
    moments = np.rint(np.array([0.05, 0.1, 0.2, 0.35, 0.5, 1.0]) / (drums[middle].grid * DT)).astype(int)
    snapshots = membranes(drums[middle].side, moments[-1])[moments - 1]
    width = 1 / (options.steps * DT)
    facts = {
        "command": command,
        "speed": SPEED,
        "dt": DT,
        "steps": options.steps,
        "bin": width,
        "error_to_grid": max(abs(drum.simulated - drum.grid) for drum in drums) / width,
        "error_to_theory": max(abs(drum.simulated / drum.theory - 1) for drum in drums),
        "device": jax.devices()[0].device_kind,
        "seconds": time.monotonic() - began,
    }
    results = {**facts, "drums": [drum._asdict() for drum in drums]}
    engine.write_atomically(options.workdir / "drum.json", (json.dumps(results, indent=1) + "\n").encode(), shared=True)
    engine.write_atomically(options.workdir / "drum.md", markdown(drums, facts).encode(), shared=True)
    drum_figure.draw(
        options.workdir / "drum.png",
        drums,
        middle,
        (frequencies, amplitudes[:, middle]),
        (moments * DT, snapshots),
        facts,
    )
    print(markdown(drums, facts), end="")


def _check(options: argparse.Namespace) -> list[int]:
    """The sides of the drums in order; makes the workdir."""
    for size in options.sizes:
        if not 3 <= size <= 512:
            raise engine.UsageError(f"--sizes: expected sides of 3 to 512 pixels, got {size}")
    if options.steps < (least := shortest(max(options.sizes))):
        needed = f"a drum of {max(options.sizes)} pixels needs at least {least}"
        raise engine.UsageError(f"--steps={options.steps}: {needed}")
    engine.make_workdir(options.workdir)
    return sorted(set(options.sizes))


if __name__ == "__main__":
    sys.exit(main())
