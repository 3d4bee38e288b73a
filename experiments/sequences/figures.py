"""The states of oscillators and waves on one test sequence, which a run saves, and the picture of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import engine
from experiments.sequences.task import make_network
from oscnets import models, plotting
from oscnets.plotting.canvas import new_figure

SHOWN = 128  # units of a coRNN, and places of a ring, at most


def sample(trained: engine.Trained, data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The first test sequence and the first seed's states on it.

    Returns:
        inputs (L, C) and states (L, N): positions of a coRNN, or the channel of a ring that varies most; {} of other
        networks.
    """
    network = make_network(trained.model.config, trained.model.table)
    rings = isinstance(network, models.WaveRNN) and network.places > 1
    if not (rings or isinstance(network, models.CoRNN)):
        return {}
    inputs = data["inputs"][:1]
    states = network.apply(jax.tree.map(lambda x: x[0], trained.params), inputs).states[0]
    if rings:
        states = states[..., states.var((0, 1)).argmax()]
    return {"inputs": inputs[0], "states": np.asarray(states[:, :SHOWN])}


def draw(models: Mapping[str, engine.Model], workdir: Path) -> None:
    """states_MODEL.png of every model whose states were saved."""
    for label, arrays in engine.load_samples(workdir, models).items():
        if arrays:
            places = models[label].table["network"] == "wrnn"
            figure = states(arrays["inputs"], arrays["states"], "place on the ring" if places else "unit", label)
            plotting.save(figure, workdir / "figures" / f"states_{label}.png")


def states(inputs: np.ndarray, states: np.ndarray, unit: str, title: str) -> Any:
    """A figure of inputs (L, C) above states (L, N); every step has the scale of its own largest state.

    States that grow or fade by orders of magnitude stay visible: a wave is a line along which the colour is strong.
    """
    figure = new_figure(7.0, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
    above.imshow(inputs.T, aspect="auto", cmap="gray", interpolation="nearest")
    above.set(yticks=[], ylabel="inputs")
    largest = np.maximum(np.abs(states).max(1, keepdims=True), 1e-30)
    options = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1, "interpolation": "nearest", "origin": "lower"}
    drawn = below.imshow((states / largest).T, aspect="auto", **options)
    below.set(xlabel="step", ylabel=unit)
    figure.colorbar(drawn, ax=below, label="state over the largest of its step")
    figure.suptitle(title)
    return figure
