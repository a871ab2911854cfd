"""Print a snapshot of the machine's GPU memory as JSON, and nothing else.

Exit code 1 when no server answers, or when the machine has no GPU.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from blackbox.cli.common import parsers, server_arguments

if TYPE_CHECKING:
    from blackbox.client import Client

WATCH_SECONDS = "2"


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.add_argument(
        "--watch",
        nargs="?",
        const=WATCH_SECONDS,
        metavar="INTERVAL",
        help=f"again and again, every INTERVAL: 0.5, 500ms, 2s (default: {WATCH_SECONDS}s)",
    )
    parser.add_argument("--compact", action="store_true", help="one line per snapshot")
    server_arguments.add_selection_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints once, or until interrupted."""
    from blackbox.client import ClientError, UnreachableError

    interval = None if arguments.watch is None else parsers.named("--watch", parsers.interval_seconds, arguments.watch)
    client = server_arguments.client(arguments)
    try:
        code = _print(client, arguments)
    except UnreachableError as error:
        raise server_arguments.with_hint(error) from None
    due = time.monotonic()
    while interval is not None:
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            code = _print(client, arguments)
        except ClientError as error:
            print(f"blackbox: {error}", file=sys.stderr)
    return code


def _print(client: "Client", arguments: Namespace) -> int:
    import msgspec

    from blackbox.client import AnswerError

    body = client.snapshot_json(gpu=arguments.gpu, blocks=arguments.blocks)
    try:
        parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        text = body if arguments.compact else msgspec.json.format(body, indent=2)
    except msgspec.DecodeError as error:
        raise AnswerError(f"the answer is not a snapshot: {error}") from None
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.flush()
    if bytes(parts.get("gpus", b"")).strip() != b"[]":  # a `Raw` equals no bytes
        return 0
    sources = msgspec.json.decode(parts.get("sources", b"[]"), type=list[dict[str, Any]])
    reasons = "; ".join(f"{source['name']}: {source['reason'] or source['state']}" for source in sources)
    print(f"blackbox: no GPU found ({reasons}); 'blackbox doctor' tells more", file=sys.stderr)
    return 1
