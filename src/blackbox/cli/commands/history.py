"""Print a metric over time, as JSON: of the machine, its GPUs and its processes.

Each point is [start of the step, least, mean, largest]; a gap in the recording stays a gap.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import query_arguments, server_arguments


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = query_arguments.TIMES
    parser.add_argument("--from", dest="since", metavar="TIME", help="start (default: an hour before the end)")
    parser.add_argument("--to", dest="until", metavar="TIME", help="end (default: now)")
    parser.add_argument("--points", metavar="COUNT", help="most points per series (default: 300)")
    query_arguments.add_series_flags(parser)
    query_arguments.add_compact_flag(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.client.queries import history

    since = query_arguments.time_text("--from", arguments.since)
    until = query_arguments.time_text("--to", arguments.until)
    query = history(since, until, arguments.gpu, arguments.pid, arguments.metric, arguments.points)
    query_arguments.print_json(query_arguments.ask(arguments, query), compact=arguments.compact)
    return 0
