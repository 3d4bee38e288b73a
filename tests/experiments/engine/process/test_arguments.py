"""Command lines without a config, on terminals of any encoding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PROGRAMS = {
    "parser": "engine.Parser().run(lambda options: print('3 \xb1 1'), [])",
    "command": "engine.command(toy.FAMILY, lambda *_: print('3 \xb1 1'), argv=sys.argv[1:])",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_characters_that_the_terminal_lacks_are_escaped(program, tmp_path):
    code = f"import sys\nfrom experiments import engine\nfrom tests.experiments.engine import toy\n{PROGRAMS[program]}"
    flags = ["--config=tests/experiments/engine/toy_config.py", f"--workdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *flags],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3 \\xb1 1\n", done.stderr
