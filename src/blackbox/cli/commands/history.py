"""Print a metric over time, of the machine, its GPUs and its processes: on a terminal as curves on one screen, in a
pipe as JSON.

In JSON each point is [start of the step, least, mean, largest]; a gap in the recording stays a gap.
"""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import query_arguments, range_arguments, server_arguments
from blackbox.cli.common.screen import Screen, screen_of
from blackbox.errors import FailureError

if TYPE_CHECKING:
    from blackbox.client.queries import Query

POINTS_ON_SCREEN = 160
"""One for each cell of the widest curve."""
PIDS_SHOWN_MAX = 20
"""In a refusal."""


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.epilog = query_arguments.TIMES
    range_arguments.add_end_flags(parser, "start (default: an hour before the end)", "end (default: now)")
    parser.add_argument("--points", metavar="COUNT", help="most points per series (default: 300)")
    query_arguments.add_series_flags(parser)
    query_arguments.add_json_flag(parser)
    query_arguments.add_compact_flag(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints the answer."""
    from blackbox.client.queries import history

    range_arguments.told_ends(arguments)
    since = query_arguments.time_text("--from", arguments.since)
    until = query_arguments.time_text("--to", arguments.until)
    screen = screen_of(arguments)
    if screen is not None and since is None and until is None:
        since = _where_it_begins(arguments)
    points = arguments.points if screen is None else arguments.points or POINTS_ON_SCREEN
    query = history(since, until, arguments.gpu, arguments.pid, arguments.metric, points)
    body = query_arguments.ask(arguments, query)
    if arguments.gpu is not None or arguments.pid is not None:
        _refuse_unknown(arguments, body, history(since, until, None, None, arguments.metric, 1))
    if screen is None:
        query_arguments.print_json(body, compact=arguments.compact)
    else:
        _show(arguments, body, screen)
    return 0


def _where_it_begins(arguments: Namespace) -> str | None:
    """The begin of a recording that is younger than what is shown of it by default: on a screen of an hour, the first
    minute is one cell. None for an older one."""
    from blackbox.model.endpoint_parameters import HISTORY_SECONDS

    reach = query_arguments.reach(arguments)
    if reach is None or reach[1] - reach[0] >= HISTORY_SECONDS or reach[1] <= reach[0]:
        return None
    return f"{reach[0]:.3f}"


def _show(arguments: Namespace, body: bytes, screen: Screen) -> None:
    from blackbox.cli.screens.series import lines
    from blackbox.client.queries import answer
    from blackbox.model import endpoints
    from blackbox.model.query import History

    found = answer(body, History)
    reach = None if found.series else query_arguments.reach(arguments)
    metric = arguments.metric or endpoints.METRIC.default or ""
    screen = screen.below_demo(found.simulated)
    screen.show(lines(found, metric, query_arguments.gpu_labels(arguments), screen, reach))


def _refuse_unknown(arguments: Namespace, body: bytes, everything: "Query") -> None:
    """Raises `FailureError` where the GPU or process asked for was not there in that time; it says which were."""
    from blackbox.client.queries import answer
    from blackbox.model.query import History

    if answer(body, History).series:
        return
    there = answer(query_arguments.ask(arguments, everything), History).series
    if not there:
        return  # nothing at all was recorded then
    gpus = sorted({one.gpu for one in there if one.gpu is not None})
    known = {str(gpu) for gpu in gpus} | {one.gpu_uuid for one in there}
    if arguments.gpu is not None and arguments.gpu not in known:
        raise FailureError(f"no GPU {arguments.gpu!r} in that time: there are {', '.join(map(str, gpus))}")
    pids = sorted({one.pid for one in there if one.pid is not None})
    shown = ", ".join(map(str, pids[:PIDS_SHOWN_MAX])) + (" and others" if len(pids) > PIDS_SHOWN_MAX else "")
    of = "" if arguments.gpu is None else f" on GPU {arguments.gpu}"
    which = f"process {arguments.pid}" if arguments.pid is not None else "series of that metric"
    raise FailureError(f"no {which}{of} in that time: there are the processes {shown or 'none'}")
