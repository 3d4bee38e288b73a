"""From a config.json of an earlier format to today's: what a reader applies before anybody sees it."""

import copy
from typing import Any

from experiments.engine.process.errors import UsageError
from experiments.engine.run.family import Family

FORMAT = 2  # 2: models and tests are tables, entries that are not set are null; 1: lists of names, 0 and ""


def migrate(stored: dict[str, Any], family: Family) -> dict[str, Any]:
    """The content of a config.json in today's format; new entries of its config are not filled in.

    Raises:
        UsageError: the family cannot read its config.
    """
    if stored.get("format", 1) == FORMAT:
        return stored
    config = copy.deepcopy(stored.get("config", {}))
    if config.get("cpu_devices") == 0:
        config["cpu_devices"] = None
    if isinstance(data := config.get("data"), dict) and data.get("dir") == "":
        data["dir"] = None
    try:
        config = family.migrate(config)
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise UsageError(f"the config of an earlier version of {family.name} cannot be read: {error}") from error
    return {**stored, "format": FORMAT, "config": config}
