"""Tell where the processes of a pod, job, user or container were: machine, GPU, when, and the most they held."""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments


def configure(parser: ArgumentParser) -> None:
    """Whose, and when."""
    parser.add_argument(
        "what",
        metavar="NAME",
        help="name or uid of a pod, number of a Slurm job, user, or (the start of) a container id",
    )
    fleet_arguments.add_range_flags(parser, "7d")
    fleet_arguments.add_question_flags(parser, 100, "processes")


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.cli.screens.fleet_cover import show
    from blackbox.cli.screens.fleet_lives import where_lines
    from blackbox.fleet.questions.lives import where

    since, until = fleet_arguments.range_seconds(arguments)
    with fleet_arguments.reading(arguments) as reader:
        limit = fleet_arguments.limit(arguments)
        found = where(reader, arguments.what, since, until, fleet_arguments.scope(arguments), limit)
    return show(found, found.cover, arguments, lambda screen: where_lines(found, screen))
