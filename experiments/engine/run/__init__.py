"""A run as a folder: command line, config entries and tables, workdir and config.json, checkpoints.

Nothing here knows what is trained or measured. Imports `process`; `record` and `training` build on it. A change of what
config.json or a checkpoint holds needs a migration, because workdirs outlive the code.
"""
