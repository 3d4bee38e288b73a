"""The record of a run: metrics.jsonl, its reader, summary.json, summary.md and the figures.

All of it is rebuilt at any time from metrics.jsonl and config.json, so that it may be changed freely;
only the format of metrics.jsonl has to stay readable. Imports `process` and `run`.
"""
