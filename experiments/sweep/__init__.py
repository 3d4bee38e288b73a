"""Sweeps: many runs of one experiment, and one report of all of them."""
