"""Tell who held the memory at a time: on a terminal one screen for people, in a pipe the snapshot as JSON, with its own
number and timestamp.

Exit code 1 where nothing was recorded.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import parsers, query_arguments, server_arguments
from blackbox.cli.common.screen import Screen, screen_of


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = query_arguments.TIMES
    parser.add_argument("time", metavar="TIME", help="the time")
    query_arguments.add_json_flag(parser)
    query_arguments.add_compact_flag(parser)
    server_arguments.add_selection_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.client.queries import at

    time = query_arguments.time_text("TIME", arguments.time) or ""
    screen = screen_of(arguments)
    if screen is not None:
        return _show(arguments, time, screen)
    query = at(time, arguments.gpu, arguments.blocks)
    query_arguments.print_json(query_arguments.ask(arguments, query), compact=arguments.compact)
    return 0


def _show(arguments: Namespace, time: str, screen: Screen) -> int:
    from blackbox.cli.screens.machine import MachineView, lines
    from blackbox.client.queries import answer, at
    from blackbox.model.snapshot import Snapshot

    snapshot = answer(query_arguments.ask(arguments, at(time, arguments.gpu, "none")), Snapshot)
    asked_for = parsers.time_seconds(arguments.time)
    screen.show(lines(MachineView(snapshot, asked_for=asked_for), screen))
    return 0
