"""Print when memory will be full, where it steadily fills, and settings worth changing.

These are predictions, made from what was recorded; where there is no trend, there is none.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import query_arguments, server_arguments
from blackbox.cli.common.screen import screen_of


def configure(parser: ArgumentParser) -> None:
    """Of what, and whom to ask."""
    parser.add_argument("--gpu", metavar="GPU", help="one GPU only: its index or UUID")
    query_arguments.add_json_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints a line per finding."""
    from blackbox.client.queries import answer, forecast
    from blackbox.model.forecast import Forecast

    body = query_arguments.ask(arguments, forecast(arguments.gpu))
    if arguments.json:
        query_arguments.print_json(body, compact=True)
        return 0
    found = answer(body, Forecast)
    screen = screen_of(arguments)
    if screen is not None:
        from blackbox.cli.screens.outlook import lines

        screen = screen.below_demo(found.simulated)
        screen.show(lines(found, query_arguments.gpu_labels(arguments), screen))
        return 0
    query_arguments.print_demo(found.simulated)
    for finding in (*found.gpus, *found.processes, *found.advice):
        print(finding.message)
    return 0
