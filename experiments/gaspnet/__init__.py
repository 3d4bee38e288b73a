"""GASPnet and its baseline on two digits, and on an item over a picture (Alamia, Muzellec, Serre and VanRullen, 2025).

python -m experiments.gaspnet --config=experiments/configs/gaspnet.py:digits

`specs` describes configs, models and test sets, `data` makes the scenes, `task` trains and evaluates, `figures` draws,
and `steps` compares the models at every step.
"""
