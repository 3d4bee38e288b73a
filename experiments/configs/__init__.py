"""Configs of the experiments: one file per family, `--config=experiments/configs/FAMILY.py:VARIANT`."""
