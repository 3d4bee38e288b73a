"""KomplexNet, GASPnet, the Neural Wave Machine and their baselines on the same scenes, by the same scores.

python -m experiments.compare --config=experiments/configs/compare.py:digits

No paper has this comparison. Every network is trained by the task of its own family, for as many updates of as many
scenes as the others, and answers the same question: which two objects are in the scene. `specs` describes configs,
models and test sets, `data` makes the scenes, `task` trains and evaluates, `speed` takes the time of a forward pass,
`figures` draws and writes the table.
"""
