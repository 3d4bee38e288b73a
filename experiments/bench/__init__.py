"""Timings: one training step against eager PyTorch, and the ways to compute the coupling."""
