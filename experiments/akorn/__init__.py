"""AKOrN and its baselines on Sudoku and on the discovery of objects; autoencoders of rotating features.

python -m experiments.akorn --config=experiments/configs/akorn.py:sudoku,quick

After Miyato, Löwe, Geiger and Welling (2025), Löwe et al. (2022) and Löwe, Lippe, Locatello and Welling (2023). `specs`
describes configs, models and test sets, `data` makes boards and pictures, `task` trains and evaluates by the modules
`sudoku`, `autoencode` and `discovery`, `figures` draws.
"""
