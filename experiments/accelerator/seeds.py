"""Several seeds at once: training steps of all seeds per second."""

from collections.abc import Mapping
from functools import partial

from experiments import engine
from experiments.accelerator.parts import Entries, Entry
from experiments.bench import seeds

COUNTS = (1, 4, 16, 50)
WAYS = ("vmap", "loop")


def entries(smoke: bool) -> Entries:
    """One for each number of seeds and way: a row of `experiments.bench.seeds.measure`."""
    sizes = {"batch_size": 2, "size": 8, "rounds": 1} if smoke else {"batch_size": 128, "size": 32, "rounds": 5}
    for count in COUNTS[: 1 if smoke else None]:
        for way in WAYS[: 1 if smoke else None]:
            yield f"{count} {way}", partial(_row, count, way, model="real" if smoke else "komplexnet", **sizes)


def _row(count: int, way: str, **options) -> Entry:
    (row,) = seeds.measure([count], [way], **options)
    return row


def table(found: Mapping[str, Entry]) -> str:
    """One line for each number of seeds and way."""
    rows = [
        [*key.split(" "), entry["error"], "", ""]
        if "error" in entry
        else [
            *key.split(" "),
            f"{1e3 * entry['seconds']:.3g}",
            f"{entry['seeds_per_second']:.3g}",
            f"{entry['program_mb']:,.1f}",
        ]
        for key, entry in found.items()
    ]
    return engine.markdown.table(("seeds", "way", "a step of all, ms", "seeds a second", "program, MiB"), rows)
