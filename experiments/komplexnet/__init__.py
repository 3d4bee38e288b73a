"""KomplexNet and its baselines on scenes of several digits (Muzellec, Alamia, Serre and VanRullen, 2025).

python -m experiments.komplexnet --config=experiments/configs/komplexnet.py:digits

`names` says what models and test sets are called, `data` makes the scenes, `tasks` trains and judges, `pictures` draws.
"""
