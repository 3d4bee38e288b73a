"""Training and evaluation: tasks, seeds, compiled steps, the trainer of one model, the runner of an experiment.

Random numbers and the order of operations are fixed here: a change may alter the numbers of every experiment. Imports
all other rooms.
"""
