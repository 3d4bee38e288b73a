"""`python -m experiments.accelerator.worker PART DIR [--smoke]`: computes the entries of a part that are missing."""

import importlib
import sys
import time
from pathlib import Path

from experiments import engine
from experiments.accelerator import state
from experiments.accelerator.parts import PARTS


def main(name: str, out: Path, smoke: bool) -> None:
    """Compute the entries one by one, each in the file when it is there; one that fails holds an error."""
    (part,) = (each for each in PARTS if each.name == name)
    content = state.read(out, name) | {"facts": engine.environment()}
    for key, compute in importlib.import_module(str(part.module)).entries(smoke):
        if key in content["entries"]:
            continue
        began = time.monotonic()
        try:
            entry = compute()
        except Exception as error:  # noqa: BLE001 - the others go on
            entry = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
        content["entries"][key] = entry | {"took": round(time.monotonic() - began, 1)}
        state.write(out, name, content)
    state.write(out, name, content)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "--smoke" in sys.argv[3:])
