"""Print what happened, one line each, oldest first: processes that started and ended, memory that ran out or grows,
GPUs and sources lost and back, errors of the driver, thresholds crossed.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import query_arguments, range_arguments, server_arguments
from blackbox.cli.common.screen import Screen, screen_of

if TYPE_CHECKING:
    from blackbox.model.query import NumberedEvent


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = query_arguments.TIMES
    range_arguments.add_end_flags(parser, "not before", "not after")
    parser.add_argument("--kind", action="append", metavar="KIND", help="these kinds only, such as oom or xid")
    parser.add_argument("--gpu", metavar="GPU", help="one GPU only: its index or UUID")
    parser.add_argument("--follow", action="store_true", help="go on with every event from now on, until interrupted")
    parser.add_argument("--limit", metavar="COUNT", help="the newest so many (default: 1000)")
    query_arguments.add_json_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the list, and then what follows."""
    from blackbox.client.queries import answer, events
    from blackbox.model.query import EventList

    range_arguments.told_ends(arguments)
    since = query_arguments.time_text("--from", arguments.since)
    until = query_arguments.time_text("--to", arguments.until)
    detail = None if arguments.json else "light"  # a line tells no block, and some failures have 100,000
    query = events(since, until, arguments.kind, arguments.limit, detail, gpu=arguments.gpu)
    body = query_arguments.ask(arguments, query)
    told = answer(body, EventList)
    found = told.events
    screen = screen_of(arguments)
    if screen is not None:
        _show(arguments, found, screen.below_demo(told.simulated))
    elif arguments.json:
        query_arguments.print_json(body, compact=True)
    else:
        query_arguments.print_demo(told.simulated)
        for event in found:
            print(line(event))
    if arguments.follow:
        _follow(arguments, found[-1].id if found else None)
    return 0


def _show(arguments: Namespace, found: "tuple[NumberedEvent, ...]", screen: Screen) -> None:
    """The newest that fit; all where a range or a number is asked for."""
    from blackbox.cli.screens.happened import lines

    chosen = any(one is not None for one in (arguments.since, arguments.until, arguments.limit))
    screen.show(lines(found, time.time(), screen, None if chosen else screen.height))
    if found or not chosen:
        return
    reach = query_arguments.reach(arguments)
    if reach is not None:
        from blackbox.model.times import local_text

        print(f"The recording reaches from {local_text(reach[0])} to {local_text(reach[1])}.")


def line(event: "NumberedEvent") -> str:
    """An event for people."""
    from datetime import UTC, datetime

    from blackbox.model.times import TIME_SECONDS_MAX

    if not 0 <= event.timestamp <= TIME_SECONDS_MAX:
        return f"{event.timestamp:g} (in no calendar)  {event.kind:<15}  {event.message}"
    stamp = datetime.fromtimestamp(event.timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{stamp}  {event.kind:<15}  {event.message}"


def _follow(arguments: Namespace, after: int | None) -> None:
    import msgspec

    sys.stdout.flush()
    client = server_arguments.client(arguments)
    with client.event_stream(
        kind=arguments.kind, gpu=arguments.gpu, after=after, on_loss=server_arguments.print_loss
    ) as stream:
        for event in stream:
            print(msgspec.json.encode(event).decode() if arguments.json else line(event), flush=True)
