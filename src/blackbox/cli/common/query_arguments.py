"""The arguments of commands that query the recording of a server, and how they ask and print."""

import re
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import parsers, server_arguments
from blackbox.errors import UsageError

if TYPE_CHECKING:
    from blackbox.client.queries import Query

TIMES = """times:
  now, 5m, -5m, 1h30m, 10 minutes ago, 12:03, yesterday 14:00, 2026-11-22 03:12, 2026-11-22T03:12:07Z, Unix seconds;
  local where they name no zone; 12:03 is the last time that clocks showed it
"""
NOW_TEXT = "-0.001"
"""Now, by the server's clock."""
SMALLEST_AGO_SECONDS = 0.001
"""Of what was less long ago: it is now."""
BAD_REQUEST = 400
_SERVER_TIME = re.compile(r"\b[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z")


def add_json_flag(parser: ArgumentParser) -> None:
    """Adds `--json`, for commands that print JSON in a pipe and for people at a terminal."""
    parser.add_argument("--json", action="store_true", help="print JSON on a terminal, too")


def add_json_flags(parser: ArgumentParser) -> None:
    """Adds `--json`, for commands that print text by default."""
    parser.add_argument("--json", action="store_true", help="print the server's own JSON, on one line")


def add_compact_flag(parser: ArgumentParser) -> None:
    """Adds `--compact`, for commands that print JSON."""
    parser.add_argument("--compact", action="store_true", help="JSON, on one line")


def add_series_flags(parser: ArgumentParser) -> None:
    """Adds the flags that select series."""
    parser.add_argument("--gpu", metavar="GPU", help="one GPU only: its index or UUID")
    parser.add_argument("--pid", metavar="PID", help="one process or engine only")
    parser.add_argument("--metric", metavar="KEY", help="key of the snapshot to follow (default: used_bytes)")


def time_text(where: str, text: str | None) -> str | None:
    """The time as the server reads it: Unix seconds; or how long ago, which the server counts from its own clock.
    Raises `UsageError` that begins with `where` it was written."""
    from blackbox.model.times import seconds_ago

    if text is None:
        return None
    seconds = parsers.named(where, parsers.time_seconds, text)
    ago = seconds_ago(text)
    if ago is None:
        return f"{seconds:.6f}".rstrip("0").rstrip(".")
    return f"-{ago:.3f}" if ago >= SMALLEST_AGO_SECONDS else NOW_TEXT


def is_time(text: str) -> bool:
    """Whether it is a time."""
    try:
        parsers.time_seconds(text)
    except UsageError:
        return False
    return True


def ask(arguments: Namespace, query: "Query") -> bytes:
    """The server's answer. Raises `UsageError` where the server calls it a bad request, else `ClientError`."""
    from blackbox.client import StatusError, UnreachableError

    try:
        return server_arguments.client(arguments).ask(query)
    except UnreachableError as error:
        raise server_arguments.with_hint(error) from None
    except StatusError as error:
        text = in_local_time(str(error))
        if error.status == BAD_REQUEST:
            raise UsageError(text) from None
        raise StatusError(text, error.status, error.retry_after_seconds) from None


def in_local_time(text: str) -> str:
    """What a server says, which does not know where its readers are, with its times as they are here."""
    from blackbox.model.text import rfc3339_seconds
    from blackbox.model.times import local_text

    return _SERVER_TIME.sub(lambda match: local_text(rfc3339_seconds(match[0])), text)


def reach(arguments: Namespace) -> tuple[float, float] | None:
    """First and last time that the server has recorded. Raises as `ask` does."""
    from blackbox.client.queries import answer, chart
    from blackbox.model.query import Chart

    found = answer(ask(arguments, chart(None, None, None, None, None, 1)), Chart)
    if found.recorded_from is None or found.recorded_to is None:
        return None
    return found.recorded_from, found.recorded_to


def gpu_labels(arguments: Namespace) -> dict[str, str]:
    """What the GPUs and slices of now are called, by UUID; empty where the server cannot say."""
    from blackbox.client import ClientError
    from blackbox.terminal import ledger

    try:
        return ledger.gpu_labels(server_arguments.client(arguments).snapshot(blocks="none"))
    except ClientError:
        return {}


def print_json(body: bytes, *, compact: bool) -> None:
    """Prints the server's JSON: as it came where `compact`, else indented."""
    import msgspec

    sys.stdout.buffer.write((body if compact else msgspec.json.format(body, indent=2)) + b"\n")
    sys.stdout.flush()


def print_demo(simulated: bool) -> None:
    """Says before an answer in words that no figure in it is real, where that is so."""
    from blackbox.terminal.demo import DEMO

    if simulated:
        print(DEMO)
