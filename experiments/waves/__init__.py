"""Segmentation by waves: Neural Wave Machines, ConvLSTMs, CNNs and U-Nets (Jacobs et al., 2025).

python -m experiments.waves --config=experiments/configs/waves.py:tetrominoes

`specs` describes configs, models and test sets, `data` makes the pictures, `task` trains and evaluates, `figures`
draws, and sets the scores beside the published ones.
"""
