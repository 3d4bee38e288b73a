"""Sweeps: many runs of one experiment over a grid or a list of configs, and one report of them."""
