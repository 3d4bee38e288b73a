"""DIR/report.md: what each part gave, on which device, by which command."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import engine
from experiments.accelerator import state
from experiments.accelerator.parts import PARTS, Part


def write(out: Path, command: str) -> None:
    """Write the report anew, from the files of the parts."""
    found = {part: state.read(out, part.name) for part in PARTS}
    facts = next((content["facts"] for content in found.values() if content.get("facts")), {})
    lines = [*_header(facts, command), *(line for part, content in found.items() for line in _part(out, part, content))]
    engine.write_atomically(out / "report.md", ("\n".join(lines) + "\n").encode(), shared=True)


def _header(facts: Mapping[str, Any], command: str) -> Sequence[str]:
    device = facts.get("device", {})
    name = f"{device.get('count', 0)} x {device.get('kind', 'no device seen yet')} ({device.get('platform', '-')})"
    versions = ", ".join(f"{key} {value}" for key, value in facts.get("versions", {}).items())
    return [
        "# Measured on a device",
        "",
        f"Measured on {name}. Command: `{command}`. Commit: {facts.get('commit') or 'unknown'}. {versions}.",
    ]


def _part(out: Path, part: Part, content: Mapping[str, Any]) -> list[str]:
    lines = ["", f"## {part.title}", "", f"Part `{part.name}`: {_status(content)}."]
    if part.module is not None:
        if content["entries"]:
            lines += ["", importlib.import_module(part.module).table(content["entries"])]
        return lines
    run = out / "runs" / str(part.folder)
    if not (run / "config.json").exists():
        return lines
    stored = json.loads((run / "config.json").read_text(encoding="utf-8"))
    lines += ["", f"Command: `{stored.get('command')}`; folder `runs/{part.folder}`."]
    if content.get("done") and (run / "summary.md").exists():
        lines += [f"Results: `runs/{part.folder}/summary.md`."]
    return lines


def _status(content: Mapping[str, Any]) -> str:
    if content.get("done"):
        return f"done, {content['seconds']:.0f} s"
    if "error" in content:
        return f"**{content['error']}**; the same command tries again"
    return "not run yet"
