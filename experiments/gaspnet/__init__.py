"""GASPnet and its baseline on two digits, and on an item over a picture (Alamia, Muzellec, Serre and VanRullen, 2025).

python -m experiments.gaspnet --config=experiments/configs/gaspnet.py:digits

`names` says what models and test sets are called, `data` makes the scenes, `tasks` trains and judges, `steps` compares
the models at every step, `pictures` draws.
"""
