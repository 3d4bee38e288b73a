"""KomplexNet and its baselines on scenes of several digits (Muzellec, Alamia, Serre and VanRullen, 2025).

python -m experiments.komplexnet --config=experiments/configs/komplexnet.py:digits

`specs` describes configs, models and test sets, `data` makes the scenes, `task` trains and evaluates, `figures` draws.
"""
