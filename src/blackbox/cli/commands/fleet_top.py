"""Tell which jobs, pods, users or programs hold the most memory, summed over all machines, now or at a time."""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments, parsers, query_arguments


def configure(parser: ArgumentParser) -> None:
    """When, and gathered by what."""
    parser.epilog = query_arguments.TIMES
    parser.add_argument("time", metavar="TIME", nargs="?", default="now", help="the time (default: now)")
    fleet_arguments.add_by_flag(parser)
    fleet_arguments.add_question_flags(parser, 20, "holders")


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.cli.screens.fleet import top_lines
    from blackbox.cli.screens.fleet_cover import show
    from blackbox.fleet.questions.at import top

    asked = parsers.named("TIME", parsers.time_seconds, arguments.time)
    with fleet_arguments.reading(arguments) as reader:
        found = top(reader, asked, arguments.by, fleet_arguments.scope(arguments), fleet_arguments.limit(arguments))
    return show(found, found.cover, arguments, lambda screen: top_lines(found, screen))
