"""Segmentation by listening: Neural Wave Machines, ConvLSTMs, CNNs and U-Nets (Jacobs et al., 2025).

python -m experiments.waves --config=experiments/configs/waves.py:tetrominoes

`names` says what models are called, `data` makes the pictures, `tasks` trains and judges, `samples` keeps what
`pictures` draws, `tables` sets the scores beside the `published` ones.
"""
