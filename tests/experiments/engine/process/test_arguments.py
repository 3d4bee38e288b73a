"""Command lines without a config, on terminals of any encoding."""

import io
import sys

import pytest

from experiments import engine
from tests.experiments.engine import toy


def say(*_):
    sys.stdout.write("3 ± 1\n")


PROGRAMS = {
    "parser": lambda flags: engine.Parser().run(say, []),
    "command": lambda flags: engine.command(toy.FAMILY, say, argv=flags),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_characters_that_the_terminal_lacks_are_escaped(program, tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    PROGRAMS[program](["--config=tests/experiments/engine/toy_config.py", f"--workdir={tmp_path}"])
    terminal.flush()
    assert terminal.buffer.getvalue() == b"3 \\xb1 1\n"
