"""Print the snapshot as of a time, as JSON, with its own number and timestamp.

Exit code 1 where nothing was recorded.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import query_arguments, server_arguments


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = query_arguments.TIMES
    parser.add_argument("time", metavar="TIME", help="the time")
    query_arguments.add_compact_flag(parser)
    server_arguments.add_selection_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.client.queries import at

    query = at(query_arguments.time_text("TIME", arguments.time) or "", arguments.gpu, arguments.blocks)
    query_arguments.print_json(query_arguments.ask(arguments, query), compact=arguments.compact)
    return 0
