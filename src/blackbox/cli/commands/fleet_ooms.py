"""Print every out-of-memory of a range, of all machines, the newest first."""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments


def configure(parser: ArgumentParser) -> None:
    """When."""
    fleet_arguments.add_range_flags(parser, "7d")
    fleet_arguments.add_question_flags(parser, 100, "out-of-memories")


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.cli.screens.fleet_cover import show
    from blackbox.cli.screens.fleet_lives import oom_lines
    from blackbox.fleet.questions.lives import ooms

    since, until = fleet_arguments.range_seconds(arguments)
    with fleet_arguments.reading(arguments) as reader:
        found = ooms(reader, since, until, fleet_arguments.scope(arguments), fleet_arguments.limit(arguments))
    return show(found, found.cover, arguments, lambda screen: oom_lines(found, screen))
