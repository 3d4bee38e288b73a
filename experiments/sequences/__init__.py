"""Sequences read by oscillators and waves: pixels one by one, copying, adding; LinOSS, coRNN, wave-RNN and a GRU.

python -m experiments.sequences --config=experiments/configs/sequences.py:digits,quick

After Rusch and Rus (2025), Boyer, Rusch and Rus (2025), Rusch and Mishra (2021) and Keller et al. (2024). `specs`
describes configs, models and test sets, `problems` what is asked, `data` makes the sequences, `task` trains and
evaluates, `figures` draws.
"""
