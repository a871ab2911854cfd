"""Print when memory will be full, where it steadily fills, and settings worth changing.

These are predictions, made from what was recorded; where there is no trend, there is none.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import queries as questions
from blackbox.cli.common import server as asking


def configure(parser: ArgumentParser) -> None:
    """Whom to ask."""
    questions.add_json_flags(parser)
    asking.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints a line per finding."""
    from blackbox.client.questions import answer, forecast
    from blackbox.model.query import Forecast

    body = questions.ask(arguments, forecast())
    if arguments.json:
        questions.print_json(body, compact=True)
        return 0
    found = answer(body, Forecast)
    for finding in (*found.gpus, *found.processes, *found.advice):
        print(finding.message)
    return 0
