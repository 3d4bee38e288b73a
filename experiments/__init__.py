"""Experiments of the papers: one family per folder, one command each, on a common engine."""
