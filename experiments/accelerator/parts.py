"""The parts of the day, in order of worth: measurements first, then training runs."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Entry = dict[str, Any]
Entries = Iterator[tuple[str, Callable[[], Entry]]]


class Part(NamedTuple):
    """Something to run in a process of its own.

    Attributes:
        name: of its file, DIR/NAME.json.
        title: in the report.
        minutes: that it may take at a time.
        module: of a measurement: `entries(smoke)` gives the entries and what computes each, `table` their Markdown.
        family, experiment, models: of a training run.
        folder: of a training run, in DIR/runs; parts with the same folder add models to one run.
    """

    name: str
    title: str
    minutes: float
    module: str | None = None
    family: str | None = None
    experiment: str | None = None
    models: str | None = None
    folder: str | None = None

    def command(self, out: Path, smoke: bool, data_dir: Path | None) -> list[str]:
        """The command of its process."""
        if self.module is not None:
            own = ["experiments.accelerator.worker", self.name, str(out), *["--smoke"] * smoke]
            return [sys.executable, "-m", *own]
        variant = f"{self.experiment},{'smoke' if smoke else 'paper'}"
        config = f"--config=experiments/configs/{self.family}.py:{variant}"
        place = [f"--workdir={out / 'runs' / str(self.folder)}", f"--models={self.models}"]
        data = [] if data_dir is None else [f"--config.data.dir={data_dir}"]
        return [sys.executable, "-m", f"experiments.{self.family}", config, *place, *data]


def _measurement(name: str, title: str, minutes: float) -> Part:
    return Part(name, title, minutes, module=f"experiments.accelerator.{name}")


def _training(name: str, title: str, family: str, experiment: str, models: str, folder: str) -> Part:
    return Part(name, title, 24 * 60, None, family, experiment, models, folder)


PARTS = (
    _measurement("golden", "Golden files", 5),
    _measurement("accuracy", "Dynamics in float32 against float64", 12),
    _measurement("speed", "Training steps against PyTorch", 20),
    _measurement("seeds", "Seeds at once", 15),
    _measurement("roofline", "Share of the roofline", 15),
    _training("komplexnet", "KomplexNet", "komplexnet", "robustness", "komplexnet", "komplexnet"),
    _training("feedback", "KomplexNet with feedback", "komplexnet", "robustness", "komplexnet,feedback", "komplexnet"),
    _training("real", "Real-valued baseline", "komplexnet", "robustness", "komplexnet,feedback,real", "komplexnet"),
    _training("gaspnet", "GASPnet and its baseline", "gaspnet", "multi_mnist", "gaspnet,baseline", "gaspnet"),
    _training("multi_mnist", "Neural Wave Machine", "waves", "multi_mnist", "nwm_linear", "waves_multi_mnist"),
    _training("polygons", "Waves of polygons", "waves", "polygons", "nwm_fft", "waves_polygons"),
)
