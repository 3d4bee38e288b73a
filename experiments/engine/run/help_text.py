"""The text of --help: usage, and every entry of the config with its default and its help."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from experiments.engine.run import config as config_lib
from experiments.engine.run.entries import Entries, Entry, flat_entries
from experiments.engine.run.family import Family

_USAGE = """usage: {program} --config=FILE[:VARIANT] [--workdir=DIR] [--config.KEY=VALUE ...]
       {program} --workdir=DIR --evaluate=SET[,SET ...]
       {program} --workdir=DIR --report_only
       ... --coordinator=HOST:PORT --num_processes=N --process_id=I, or --coordinator=auto
  --config       a Python file with get_config(), and which of its variants
  --workdir      folder of the run; the same command continues it (default: a new dated folder under runs/)
  --models       models to train, in place of those of the config: NAME[,NAME ...]
  --tests        test sets, in place of those of the config: SET[,SET ...]
  --config.KEY   changes one entry of the config, for example --config.train.epochs=3
  --evaluate     evaluates the trained models of the workdir on more test sets, without training
  --report_only  rebuilds the table and the figures from the workdir, without training
  --profile      traces some seconds of the training to DIR/profile and prints the share of idle time of the devices
  --coordinator  the same command in several processes makes one run; auto: as the cluster says"""


def build(program: str, family: Family, more: Mapping[str, Any], config: ConfigDict | None) -> str:
    """The whole text.

    Args:
        program: how it is called.
        family: whose entries are listed.
        more: additional flags by name, see `command_line.Flag`.
        config: whose values are listed in place of the defaults; None: the defaults.
    """
    parts = [_USAGE.format(program=program)]
    parts += [f"  --{name:<12} {flag.help} (default: {flag.default})" for name, flag in more.items()]
    values = {} if config is None else config_lib.leaves(config)
    parts += ["", "entries, --config.KEY=VALUE:", *_lines(family.all_entries, values)]
    for section in config_lib.SECTIONS:
        parts += ["", f"entries of a table config.{section}.NAME:", *_lines(family.table_entries(section), {})]
        parts += [f"  --{section}: {family.shorthand(section).describe()}"]
        names = [] if config is None else list(config_lib.tables(config, section))
        parts += [f"  tables of this config: {', '.join(names)}"] if names else []
    return "\n".join(parts)


def _lines(entries: Entries, values: Mapping[str, Any]) -> Iterator[str]:
    for key, entry in flat_entries(entries):
        expected = f"; expected {entry.check.expected}" if entry.check else ""
        yield f"  {key} = {_shown(entry, values.get(key, entry.default))}  {entry.help}{expected}"


def _shown(entry: Entry, value: Any) -> str:
    return f"({entry.type.__name__}, not set)" if value is None or isinstance(value, type) else repr(value)
