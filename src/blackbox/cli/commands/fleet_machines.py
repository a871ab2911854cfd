"""Tell which machines there are, and how far each has come: those that are behind first."""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments


def configure(parser: ArgumentParser) -> None:
    """Which machines."""
    fleet_arguments.add_question_flags(parser, 1000, "machines")


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from msgspec import structs

    from blackbox.cli.screens.fleet_cover import show
    from blackbox.cli.screens.fleet_lives import machine_lines
    from blackbox.fleet.questions.cover import machines

    with fleet_arguments.reading(arguments) as reader:
        found = machines(reader, fleet_arguments.scope(arguments))
    found = structs.replace(found, machines=found.machines[: fleet_arguments.limit(arguments)])
    return show(found, found.cover, arguments, lambda screen: machine_lines(found, screen))
