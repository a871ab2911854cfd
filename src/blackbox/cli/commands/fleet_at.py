"""Tell who held the memory of every machine at a time: on a terminal one screen, in a pipe JSON.

Each machine answers with its last moment of a full minute; of the last minutes, with what it has shipped so far. How
many machines are late or unknown, and which shards of the database did not answer, stands in every answer.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments, parsers, query_arguments


def configure(parser: ArgumentParser) -> None:
    """When, and of what."""
    parser.epilog = query_arguments.TIMES
    parser.add_argument("time", metavar="TIME", nargs="?", default="now", help="the time (default: now)")
    fleet_arguments.add_question_flags(parser, 1000, "processes")


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.cli.screens.fleet import at_lines
    from blackbox.cli.screens.fleet_cover import show
    from blackbox.fleet.questions.at import at

    asked = parsers.named("TIME", parsers.time_seconds, arguments.time)
    with fleet_arguments.reading(arguments) as reader:
        found = at(reader, asked, fleet_arguments.scope(arguments), fleet_arguments.limit(arguments))
    return show(found, found.cover, arguments, lambda screen: at_lines(found, screen))
