"""Tell who holds memory that nothing lives in: reserved by an allocator and never used, and GPUs that a scheduler gave
to a job, or a kubelet to a pod, and that no process was on.

What is never used is a lower bound, hour by hour: the least that an allocator held minus the most that lived in it. Of
programs without the agent nobody knows it; they are counted. GPUs given are known where scheduler or kubelet
tells (docs/fleet.md).
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments


def configure(parser: ArgumentParser) -> None:
    """Of which hours, and gathered by what."""
    fleet_arguments.add_range_flags(parser, "24h")
    fleet_arguments.add_by_flag(parser)
    fleet_arguments.add_question_flags(parser, 20, "of each kind")


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.cli.screens.fleet import waste_lines
    from blackbox.cli.screens.fleet_cover import show
    from blackbox.fleet.questions.waste import waste

    since, until = fleet_arguments.range_seconds(arguments)
    with fleet_arguments.reading(arguments) as reader:
        limit = fleet_arguments.limit(arguments)
        found = waste(reader, since, until, arguments.by, fleet_arguments.scope(arguments), limit)
    return show(found, found.cover, arguments, lambda screen: waste_lines(found, screen))
