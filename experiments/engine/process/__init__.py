"""The process that a run lives in: its devices, the other processes, signals, profile and errors.

Nothing here knows of configs, workdirs or models. May be changed without reading the other rooms; imports none of them.
"""
