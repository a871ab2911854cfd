"""Print what happened, one line each, oldest first: processes that started and ended, memory that ran out or grows,
GPUs and sources lost and back, errors of the driver, thresholds crossed.
"""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import queries as questions
from blackbox.cli.common import server as asking

if TYPE_CHECKING:
    from blackbox.client import Loss
    from blackbox.model.query import NumberedEvent


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = questions.TIMES
    parser.add_argument("--since", metavar="TIME", help="not before")
    parser.add_argument("--until", metavar="TIME", help="not after")
    parser.add_argument("--kind", action="append", metavar="KIND", help="these kinds only, such as oom or xid")
    parser.add_argument("--follow", action="store_true", help="go on with every event from now on, until interrupted")
    parser.add_argument("--limit", metavar="COUNT", help="the newest so many (default: 1000)")
    questions.add_json_flags(parser)
    asking.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the list, and then what follows."""
    from blackbox.client.questions import answer, events
    from blackbox.model.query import EventList

    since, until = questions.time_text(arguments.since), questions.time_text(arguments.until)
    body = questions.ask(arguments, events(since, until, arguments.kind, arguments.limit))
    found = answer(body, EventList).events
    if arguments.json:
        questions.print_json(body, compact=True)
    else:
        for event in found:
            print(line(event))
    if arguments.follow:
        _follow(arguments, found[-1].id if found else None)
    return 0


def line(event: "NumberedEvent") -> str:
    """An event for people."""
    from datetime import UTC, datetime

    stamp = datetime.fromtimestamp(event.timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{stamp}  {event.kind:<15}  {event.message}"


def _follow(arguments: Namespace, after: int | None) -> None:
    import msgspec

    sys.stdout.flush()
    with asking.client(arguments).event_stream(kind=arguments.kind, after=after, on_loss=_tell_loss) as stream:
        for event in stream:
            print(msgspec.json.encode(event).decode() if arguments.json else line(event), flush=True)


def _tell_loss(loss: "Loss") -> None:
    print(f"blackbox: {loss.error}; trying again in {loss.retry_in_seconds:g} s", file=sys.stderr)
