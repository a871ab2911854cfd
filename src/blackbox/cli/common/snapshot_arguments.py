"""The arguments of commands that read memory snapshots of PyTorch."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import parsers
from blackbox.paths import SNAPSHOT_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from blackbox.analysis.rules import CategoryRules


def add_rules_flag(parser: ArgumentParser) -> None:
    """Adds `--rules`."""
    parser.add_argument(
        "--rules",
        metavar="FILE",
        help="of a .pickle: what memory is for, by lines `name = pattern` over frames and tags; the first match wins",
    )


def is_pickle(name: str | None) -> bool:
    """Whether a file of that name is taken for a snapshot."""
    return name is not None and name.lower().endswith(SNAPSHOT_SUFFIXES)


def begins_like_a_snapshot(path: "Path") -> bool:
    """Whether a file is surely no dump of Blackbox, and may be a snapshot; False also where it cannot be read, or is no
    file: opening a pipe would wait for its writer."""
    from blackbox.sources.memory_snapshot.wrappers import head_of, may_be_snapshot

    try:
        return path.is_file() and may_be_snapshot(head_of(path))
    except OSError:
        return False


def rules(arguments: Namespace) -> "CategoryRules":
    """Those of the file, or none. Raises `UsageError`."""
    from blackbox.analysis.rules import NO_RULES

    return NO_RULES if arguments.rules is None else parsers.named("--rules", _rules, arguments.rules)


def _rules(text: str) -> "CategoryRules":
    from blackbox.sources.memory_snapshot.rules_file import read_rules

    return read_rules(parsers.path(text))
