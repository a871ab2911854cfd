"""Print the snapshot as of a time, as JSON, with its own number and timestamp.

Exit code 1 where nothing was recorded.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import queries as questions
from blackbox.cli.common import server as asking


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = questions.TIMES
    parser.add_argument("time", metavar="TIME", help="the time")
    questions.add_compact_flag(parser)
    asking.add_selection_flags(parser)
    asking.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.client.questions import at

    question = at(questions.time_text(arguments.time) or "", arguments.gpu, arguments.blocks)
    questions.print_json(questions.ask(arguments, question), compact=arguments.compact)
    return 0
