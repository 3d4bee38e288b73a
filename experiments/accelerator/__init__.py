"""The day an accelerator is at hand: everything that there is to measure on it, in order of worth, by one command.

python -m experiments.accelerator --out=DIR

`parts` lists what is run, `run` runs each part in a process of its own, `worker` is that process, `report` writes
DIR/report.md. `packages` takes what a bare machine lacks to it.
"""
