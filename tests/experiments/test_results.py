"""Numbers that results pages and README quote, recomputed from the summaries of the runs."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.quotes import RESULTS, Numbers, read

_KOMPLEXNET = {
    "KomplexNet, step 1": ("komplexnet", 1),
    "KomplexNet, step 7": ("komplexnet", 7),
    "KomplexNet, step 15": ("komplexnet", 15),
    "with feedback, step 1": ("feedback", 1),
    "with feedback, step 7": ("feedback", 7),
    "with feedback, step 15": ("feedback", 15),
    "KomplexNet with feedback, step 15": ("feedback", 15),
    "fixed Gaussian kernel, step 15": ("fixed_kernel", 15),
    "KomplexNet with a fixed kernel, step 15": ("fixed_kernel", 15),
    "ideal phases": ("ideal", None),
    "ideal phases (ground truth)": ("ideal", None),
    "random phases": ("random", None),
    "real": ("real", None),
    "real, larger": ("real_large", None),
    "vision transformer, learning rate 1e-3": ("vit", None),
}
_SEGMENTERS = {
    "NWM linear": "nwm_linear",
    "NWM fft": "nwm_fft",
    "NWM last": "nwm_last",
    "ConvLSTM linear": "lstm_linear",
    "NWM mean": "nwm_mean",
    "NWM max": "nwm_max",
    "ConvLSTM fft": "lstm_fft",
    "U-Net, width 2": "unet_2",
    "U-Net, width 3": "unet_3",
    "U-Net, width 4": "unet_4",
    "CNN, 16 layers": "cnn_16",
    "CNN, 8 layers": "cnn_8",
    "CNN, 4 layers": "cnn_4",
    "CNN, 2 layers": "cnn_2",
    "Neural Wave Machine, linear readout": "nwm_linear",
    "Neural Wave Machine, Fourier readout": "nwm_fft",
    "Neural Wave Machine, last state": "nwm_last",
    "ConvLSTM, linear readout": "lstm_linear",
    "CNN with a receptive field of 17 pixels, larger than the shapes": "cnn_8",
    "CNN with a receptive field of 5 pixels": "cnn_2",
}
_NOISE = {"test": "test", "none": "test", "0.15": "gaussian0.15", "0.35": "gaussian0.35", "0.6": "gaussian0.6"}
_NOISE |= {f"Gaussian noise, {level}": f"gaussian{level}" for level in ("0.15", "0.25", "0.35", "0.45", "0.6")}
_NOISE |= {f"salt and pepper, {level}": f"salt_pepper{level}" for level in ("0.01", "0.03", "0.06", "0.1", "0.2")}
_READINGS = {
    ("-0.9, as printed", "divided, as printed"): "gaspnet+divide",
    ("-0.9, as printed", "multiplied, as said"): "gaspnet",
    ("0.9, as said", "divided, as printed"): "gaspnet+weaken+divide",
    ("0.9, as said", "multiplied, as said"): "gaspnet+weaken",
    ("baseline", ""): "baseline",
}


def komplexnet_cells(row):
    model, step = _KOMPLEXNET[row[0]]
    numbers = Numbers("komplexnet")
    cells = [numbers.spread(model, split, step) for split in ("test", "overlap", "noise")]
    return cells + (
        [numbers.mean(model, "test", step, "synchrony")] if len(row) == 5 and row[4] else [""] * (len(row) == 5)
    )


_QUICK = {"KomplexNet, step 1": ("komplexnet", 1), "KomplexNet, step 6": ("komplexnet", 6), "real": ("real", None)}


def quick_cells(row):
    (model, step), numbers = _QUICK[row[0]], Numbers("komplexnet/digits")
    return [numbers.spread(model, split, step) for split in ("test", "overlap", "noise")]


def segmenter_cells(folder, row):
    model, numbers = _SEGMENTERS[row[0]], Numbers(f"waves/{folder}")
    scores = [numbers.spread(model, "test", None, f"foreground_{name}") for name in ("accuracy", "iou", "loss")]
    return scores[:2] if len(row) == 3 else [row[1], *scores, row[5]]  # parameters and the paper's number


def gaspnet_cells(folder, row):
    split, numbers = _NOISE[row[0]], Numbers(f"gaspnet/{folder}")
    of_model = lambda model: [  # noqa: E731
        numbers.spread(model, split, 1),
        numbers.spread(model, split, 6),
        numbers.spread(model, split, None, "plain_accuracy"),
    ]
    if len(row) == 10:
        return [
            cell for model in ("gaspnet", "gaspnet+no_synchrony", "gaspnet+no_location") for cell in of_model(model)
        ]
    steps = [numbers.spread("gaspnet", split, step) for step in (1, 3, 6)]
    plain = [numbers.spread("gaspnet", split, None, "plain_accuracy")] if len(row) == 6 else []
    return [numbers.spread("baseline", split), *steps, *plain]


_OVERLAYS = {"28 pixels, as in training": "test"} | {size: f"item{size}" for size in ("24", "20", "17", "14")}


def overlay_cells(folder, row):
    split, numbers = _OVERLAYS[row[0]], Numbers(f"gaspnet/{folder}")
    cells = ((metric, of) for metric in ("item", "picture") for of in (("baseline", None), *_FIRST_AND_LAST))
    return [numbers.spread(model, split, step, metric) for metric, (model, step) in cells]


_FIRST_AND_LAST = (("gaspnet", 1), ("gaspnet", 6))


def reading_cells(row):
    model, numbers = _READINGS[row[0], row[1]], Numbers("gaspnet/readings")
    spread = lambda split, step: numbers.spread(model, split, step)  # noqa: E731
    if model == "baseline":
        return [row[1], "", "", spread("test", None), "", spread("gaussian0.25", None)]
    return [row[1], *(spread("test", step) for step in (1, 3, 6)), *(spread("gaussian0.25", step) for step in (1, 6))]


_NETWORKS = {
    "LinOSS": "linoss",
    "coRNN": "cornn",
    "wave-RNN": "wrnn",
    "iRNN": "irnn",
    "GRU": "gru",
}
_SEQUENCES = (
    *(("copy", "accuracy"), ("copy", "loss"), ("adding", "loss"), ("adding", "solved")),
    *(("digits", "accuracy"), ("permuted_digits", "accuracy")),
)


def sequence_cells(row):
    """Of a network in every run; of a row without a network, what is best without memory."""
    cells = []
    for folder, metric in _SEQUENCES:
        summary = Numbers(f"sequences/{folder}").run.summary
        if row[0] not in _NETWORKS:
            cells.append(f"{summary['chance']['test'][metric]:.3f}")
        elif (model := _NETWORKS[row[0]]) in summary["models"]:
            cells.append(Numbers(f"sequences/{folder}").spread(model, "test", None, metric))
        else:
            cells.append("")
    return cells


_COMPARED = {
    "KomplexNet": "komplexnet",
    "real: KomplexNet without phases": "real",
    "GASPnet": "gaspnet",
    "GASPnet without phases": "baseline",
    "Neural Wave Machine": "nwm_linear",
    "CNN of 8 layers": "cnn_8",
    "U-Net": "unet_3",
}


def compared_cells(row):
    numbers, model = Numbers("compare/digits"), _COMPARED[row[0]]
    found = [numbers.spread(model, split) for split in ("test", "overlap")]
    return [row[1], *found, *(numbers.spread(model, split, None, "fg_ari") for split in ("groups", "groups_overlap"))]


def sudoku_cells(row):
    numbers, model = Numbers("akorn/sudoku_quick"), {"AKOrN": "akorn", "ItrSA": "itrsa"}[row[0]]
    splits = ("test", "sparse", "test@16")
    values = [numbers.values(model, split, None, metric) for split in splits for metric in ("boards", "cells")]
    assert {value.size for value in values} == {1}  # one seed
    return [f"{value.mean():.3f}" for value in values]


_FOUND = {"AKOrN": "akorn", "ItrSA": "itrsa"}


def discovery_cells(row):
    numbers, scores = Numbers("akorn/discovery"), ("fg_ari", "mbo")
    return [numbers.spread(_FOUND[row[0]], split, None, score) for split in ("test", "test+tiles4") for score in scores]


TABLES = [  # first cells of the head, the cells that a row should have after its first, number of such tables by page
    (("model", "in distribution"), komplexnet_cells, {"README.md": 1, "experiments/results/komplexnet/README.md": 1}),
    (("network", "two digits"), quick_cells, {"experiments/results/komplexnet/README.md": 1}),
    (("model", "accuracy"), partial(segmenter_cells, "tetrominoes"), {"README.md": 1}),
    *(
        ((head, "parameters"), partial(segmenter_cells, folder), {"experiments/results/waves/README.md": 1})
        for head, folder in (
            ("model", "tetrominoes"),
            ("model on MNIST", "mnist"),
            ("model on Multi-MNIST", "multi_mnist_short"),
        )
    ),
    (("network", "parameters"), compared_cells, {"README.md": 1}),
    (("noise", "baseline without phases"), partial(gaspnet_cells, "multi_mnist_recipe"), {"README.md": 1}),
    *(
        (head, partial(gaspnet_cells, folder), {"experiments/results/gaspnet/README.md": 1})
        for head, folder in (
            (("by the recipe", "baseline"), "multi_mnist_recipe"),
            (("test", "baseline"), "multi_mnist"),
            (("test", "GASPnet, step 1"), "multi_mnist"),
        )
    ),
    (("network", "boards"), sudoku_cells, {"experiments/results/akorn/README.md": 1}),
    (("network", "FG-ARI"), discovery_cells, {"experiments/results/akorn/README.md": 1}),
    (("network", "copying"), sequence_cells, {"experiments/results/sequences/README.md": 1}),
    *(
        (
            ("overlays", f"baseline, {items}"),
            partial(overlay_cells, folder),
            {"experiments/results/gaspnet/README.md": 1},
        )
        for items, folder in (("digits", "cifar_mnist"), ("fashion", "cifar_fashion"))
    ),
    (("offset", "dense nodes"), reading_cells, {"experiments/results/gaspnet/README.md": 1}),
]


def rows_of_tables(page, start):
    """Rows of the tables of a page whose head begins with these cells; without bold marks."""
    tables, inside = [], False
    for line in Path(page).read_text(encoding="utf-8").splitlines():
        cells = (
            [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]
            if line.startswith("|")
            else []
        )
        if not cells:
            inside = False
        elif tuple(cells[: len(start)]) == start:
            tables.append([])
            inside = True
        elif inside and not set(line) <= set("|- "):
            tables[-1].append(cells)
    return tables


@pytest.mark.parametrize(
    ("start", "cells", "pages"), TABLES, ids=lambda value: value[0] if isinstance(value, tuple) else ""
)
def test_tables_are_those_of_the_summaries(start, cells, pages):
    for page, count in pages.items():
        tables = rows_of_tables(page, start)
        assert len(tables) == count and all(len(table) > 1 for table in tables)
        for row in (row for table in tables for row in table):
            assert row[1:] == cells(row), (page, row[0])


SPEED = {  # rows of README.md's table: the file and the measurement on one device
    "KomplexNet": ("komplexnet", "komplexnet"),
    "KomplexNet with feedback": ("komplexnet", "komplexnet_feedback"),
    "GASPnet": ("gaspnet", "gaspnet"),
    "Neural Wave Machine, 56": ("waves", "wave_machine"),
    "Neural Wave Machine, 128": ("waves", "wave_machine_large"),
    "ConvLSTM": ("waves", "conv_lstm"),
    "AKOrN on Sudokus": ("akorn", "sudoku"),
    "AKOrN on pictures, attention": ("akorn", "discovery"),
    "AKOrN on pictures, convolutions": ("akorn", "discovery_conv"),
}


def test_speeds_are_those_measured():
    head = ("training step", "JAX, ms: one device, two", "PyTorch, ms: literal, for speed")
    (rows,) = rows_of_tables("README.md", head)
    text = read("README.md")
    for row, (start, (file, name)) in zip(rows, SPEED.items(), strict=True):
        assert re.sub(r"\[(.*?)\]\(.*?\)", r"\1", row[0]).startswith(start)
        measured = json.loads((RESULTS / "bench" / f"{file}_cpu.json").read_text())
        both = measured[name], measured[f"{name}_all_devices"]
        mine = [np.median(each["milliseconds"]) for each in both]
        peers = [np.median(peer) for peer in _peers(both[0])]
        cells = [", ".join(f"{value:,.0f}" for value in values) for values in (mine, peers)]
        ratios = [", ".join(f"{value:.1f}" for value in values) for values in _ratios(both)]
        shares = [f"{both[1]['shares'][kind]:.0%}" for kind in ("product", "copy")] if "shares" in both[1] else []
        assert row[1:] == [*cells, *ratios, ", ".join(shares)], row[0]
        if shares:
            machine = both[1]["machine"]
            assert f"{machine['processor']} with {machine['instruction_set']}" in text


def _peers(case):
    """Milliseconds of literal PyTorch, and of PyTorch written for speed where there is such a one."""
    return (
        [case["plain"]["milliseconds"], case["peer_milliseconds"]] if "plain" in case else [case["peer_milliseconds"]]
    )


def _ratios(both):
    """To literal PyTorch, and to PyTorch written for speed where there is such a one."""
    if "plain" in both[0]:
        return [each["plain"]["ratio"] for each in both], [each["ratio"] for each in both]
    return [each["ratio"] for each in both], []
