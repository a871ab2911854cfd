"""Ask many machines at once: what their servers shipped to one ClickHouse (blackbox serve --fleet URL).

examples:
  blackbox fleet init --url http://localhost:8123
  blackbox fleet init --url https://db.example.org:8443 --user admin --password-file admin.secret --cluster main
  blackbox fleet at "yesterday 03:12"
  blackbox fleet top --by user
  blackbox fleet where 4711
"""

import importlib
from argparse import ArgumentParser, Namespace
from typing import Any, cast

from blackbox.cli import Command, CommandModule
from blackbox.cli.common.paragraphs import HelpFormatter

ACTIONS = (
    Command("init", "blackbox.cli.commands.fleet_init", "make the tables, or upgrade them"),
    Command("at", "blackbox.cli.commands.fleet_at", "tell who held the memory of every machine at a time"),
    Command("top", "blackbox.cli.commands.fleet_top", "tell which jobs, pods or users hold the most"),
    Command("waste", "blackbox.cli.commands.fleet_waste", "tell who holds memory that nothing lives in"),
    Command("where", "blackbox.cli.commands.fleet_where", "tell where a pod, job, user or container was"),
    Command("ooms", "blackbox.cli.commands.fleet_ooms", "print every out-of-memory of a range"),
    Command("machines", "blackbox.cli.commands.fleet_machines", "tell which machines are behind"),
    Command("allocate", "blackbox.cli.commands.fleet_allocate", "tell which GPUs a job was given (for schedulers)"),
)
"""A new one is a module with `configure` and `run`, and one line here."""


def configure(parser: ArgumentParser) -> None:
    """What to do, and the arguments of that."""
    names = ",".join(action.name for action in ACTIONS)
    actions = parser.add_subparsers(dest="action", metavar=f"{{{names}}}", required=True)
    for action in ACTIONS:
        module = _load(action)
        sub = actions.add_parser(action.name, help=action.help, allow_abbrev=False)
        sub.description = (cast(Any, module).__doc__ or "").strip()
        sub.formatter_class = HelpFormatter
        module.configure(sub)


def run(arguments: Namespace) -> int:
    """Does it."""
    return _load(next(action for action in ACTIONS if action.name == arguments.action)).run(arguments)


def _load(action: Command) -> CommandModule:
    return cast(CommandModule, importlib.import_module(action.module))
