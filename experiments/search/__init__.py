"""Hyper-parameter search over the tasks of an experiment."""
