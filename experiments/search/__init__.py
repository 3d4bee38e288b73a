"""Hyper-parameter search over the tasks of any experiment, on the public face of the engine and Optuna."""
