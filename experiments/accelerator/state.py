"""What a part leaves in DIR/NAME.json: entries, facts, whether it is done, and the error where it failed."""

import json
from pathlib import Path
from typing import Any

from experiments import engine


def read(out: Path, name: str) -> dict[str, Any]:
    """The content, with "entries" in any case; a file that is not whole counts as none."""
    path = out / f"{name}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    return {"entries": {}, **(found if isinstance(found, dict) else {})}


def write(out: Path, name: str, content: dict[str, Any]) -> None:
    """Replace the file in one step."""
    text = json.dumps(content, indent=2) + "\n"
    engine.write_atomically(out / f"{name}.json", text.encode(), shared=True)
