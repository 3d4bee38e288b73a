"""Does a simulated membrane ring as theory says? Square drums, struck at the centre (Jacobs et al., 2025, figure 2).

python -m experiments.drum --out=DIR
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments import drum_figure
from oscnets.dynamics import unroll, waves

# The paper's text has lost its time step; this is the one of its networks. One unit of time is a second.
SPEED, DT = 1.0, 0.1
PERIODS = 16  # of the fundamental that a recording must hold, so that the next mode's peak stands apart
LOUD = 0.5  # of the amplitude of one mode: what counts as a peak; the window's own ripples stay far below
PADDING = 8  # zeros lengthen the recording so many times, so that a peak can be placed within a bin


class Drum(NamedTuple):
    """One drum, frequencies in Hz."""

    side: int  # L, pixels from edge to edge: L - 1 of them move
    theory: float  # c / (sqrt 2 L)
    grid: float  # what the five-point stencil and the time step make of it
    simulated: float


def start(sides: Sequence[int]) -> tuple[Array, Array]:
    """Positions and masks of drums side by side in channels, (H, W, C): displacement 1 at each centre.

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


def film(side: int, num_steps: int) -> np.ndarray:
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
    """Where the first loud maximum of a spectrum (F,) lies, in Hz: the top of a parabola through three logarithms.

    A stroke at the centre gives every mode with odd m and n the amplitude (2 / L)^2 there; some have one frequency.
    """
    inner = amplitudes[1:-1]
    tops = (inner > amplitudes[:-2]) & (inner >= amplitudes[2:]) & (inner > LOUD * (2 / side) ** 2)
    at = int(np.argmax(tops)) + 1
    before, here, after = np.log(amplitudes[at - 1 : at + 2])
    shift = 0.5 * (before - after) / (before - 2 * here + after)
    return float(frequencies[at] + shift * frequencies[1])


def measure(sides: Sequence[int], num_steps: int) -> tuple[list[Drum], tuple[np.ndarray, np.ndarray]]:
    """Let drums ring together; each one's frequencies, and the spectrum of all, (F,) and (F, drums)."""
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
    """A drum a row, under what was done."""
    width = facts["bin"]
    lines = [
        f"- command: `{facts['command']}`",
        f"- {facts['steps']} steps of {DT:g} s at {SPEED:g} pixel a second; a frequency bin is {1e3 * width:.4g} mHz",
        f"- largest error: {facts['error_to_grid']:.2g} bins to the grid's own fundamental, "
        f"{100 * facts['error_to_theory']:.2f} % to the theory's",
        f"- {facts['seconds']:.1f} s, on {facts['device']}",
        "",
        "| side | theory, mHz | grid, mHz | simulated, mHz | to theory, % | to the grid, bins |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for drum in drums:
        _, theory, grid, simulated = drum
        errors = f"{100 * (simulated / theory - 1):+.3f} | {(simulated - grid) / width:+.4f}"
        lines.append(f"| {drum.side} | {1e3 * theory:.4f} | {1e3 * grid:.4f} | {1e3 * simulated:.4f} | {errors} |")
    return "\n".join(lines) + "\n"


def shortest(side: int) -> int:
    """Steps that `PERIODS` of a drum's fundamental take."""
    return int(np.ceil(PERIODS / waves.grid_frequencies(side, SPEED, DT)[0] / DT))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m experiments.drum", description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("runs/drum"), help="folder of figure and tables")
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(range(13, 22)), help="sides of the drums, pixels")
    options = parser.parse_args(arguments)
    for size in options.sizes:
        if not 3 <= size <= 512:
            parser.error(f"--sizes: expected sides of 3 to 512 pixels, got {size}")
    if options.steps < (least := shortest(max(options.sizes))):
        parser.error(f"--steps={options.steps}: a drum of {max(options.sizes)} pixels needs at least {least}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out={options.out}: {error.strerror}")
    options.sizes = sorted(set(options.sizes))
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then write drum.json, drum.md and drum.png."""
    options = parse(arguments)
    began = time.monotonic()
    drums, (frequencies, amplitudes) = measure(options.sizes, options.steps)
    middle = len(drums) // 2
    moments = np.rint(np.array([0.05, 0.1, 0.2, 0.35, 0.5, 1.0]) / (drums[middle].grid * DT)).astype(int)
    pictures = film(drums[middle].side, moments[-1])[moments - 1]
    width = 1 / (options.steps * DT)
    words = sys.argv[1:] if arguments is None else arguments
    facts = {
        "command": shlex.join(["python", "-m", "experiments.drum", *words]),
        "speed": SPEED,
        "dt": DT,
        "steps": options.steps,
        "bin": width,
        "error_to_grid": max(abs(drum.simulated - drum.grid) for drum in drums) / width,
        "error_to_theory": max(abs(drum.simulated / drum.theory - 1) for drum in drums),
        "device": jax.devices()[0].device_kind,
        "seconds": time.monotonic() - began,
    }
    table = {**facts, "drums": [drum._asdict() for drum in drums]}
    (options.out / "drum.json").write_text(json.dumps(table, indent=1) + "\n")
    (options.out / "drum.md").write_text(markdown(drums, facts))
    drum_figure.draw(
        options.out / "drum.png", drums, middle, (frequencies, amplitudes[:, middle]), (moments * DT, pictures), facts
    )
    print(markdown(drums, facts), end="")


if __name__ == "__main__":
    main()
