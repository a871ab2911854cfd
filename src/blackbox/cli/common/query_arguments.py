"""The arguments of commands that query the recording of a server, and how they ask and print."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import server_arguments
from blackbox.errors import UsageError

if TYPE_CHECKING:
    from blackbox.client.queries import Query

TIMES = "times: Unix seconds, ISO 8601 (UTC where it names no zone), or how long ago: 15m, 2h, 1d"
BAD_REQUEST = 400


def add_json_flags(parser: ArgumentParser) -> None:
    """Adds `--json`, for commands that print text by default."""
    parser.add_argument("--json", action="store_true", help="print the server's own JSON, on one line")


def add_compact_flag(parser: ArgumentParser) -> None:
    """Adds `--compact`, for commands that always print JSON."""
    parser.add_argument("--compact", action="store_true", help="on one line")


def add_series_flags(parser: ArgumentParser) -> None:
    """Adds the flags that select series."""
    parser.add_argument("--gpu", metavar="GPU", help="one GPU only: its index or UUID")
    parser.add_argument("--pid", metavar="PID", help="one process or engine only")
    parser.add_argument("--metric", metavar="KEY", help="key of the snapshot to follow (default: used_bytes)")


def time_text(text: str | None) -> str | None:
    """The time as the server reads it: `15m` is that long ago."""
    from blackbox.model.text import is_duration

    if text is None:
        return None
    ago = text.strip().removesuffix(" ago").removeprefix("-")
    return f"-{ago.replace(' ', '')}" if ago[-1:].isalpha() and is_duration(ago) else text


def is_time(text: str) -> bool:
    """Whether the server would read it as a time."""
    import time

    from blackbox.model.text import unix_seconds

    try:
        unix_seconds(time_text(text) or "", time.time())
    except ValueError:
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
        if error.status == BAD_REQUEST:
            raise UsageError(str(error)) from None
        raise


def print_json(body: bytes, *, compact: bool) -> None:
    """Prints the server's JSON: as it came where `compact`, else indented."""
    import msgspec

    sys.stdout.buffer.write((body if compact else msgspec.json.format(body, indent=2)) + b"\n")
    sys.stdout.flush()
