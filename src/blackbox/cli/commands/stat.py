"""Tell who holds the machine's GPU memory: on a terminal one screen for people, in a pipe a snapshot as JSON.

With --json or --compact it is JSON on a terminal, too. Exit code 1 when no server answers, or when the machine has no
GPU.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from blackbox.cli.common import parsers, query_arguments, server_arguments
from blackbox.cli.common.paragraphs import say
from blackbox.cli.common.screen import Screen, screen_of

if TYPE_CHECKING:
    from blackbox.cli.screens.machine import MachineView
    from blackbox.client import Client

WATCH_SECONDS = "2"
EVENTS_MAX = 200
"""Looked through for those that matter."""


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    parser.add_argument(
        "--watch",
        nargs="?",
        const=WATCH_SECONDS,
        metavar="INTERVAL",
        help=f"again and again, every INTERVAL: 0.5, 500ms, 2s (default: {WATCH_SECONDS}s)",
    )
    query_arguments.add_json_flag(parser)
    parser.add_argument("--compact", action="store_true", help="JSON, one line per snapshot")
    server_arguments.add_selection_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints once, or until interrupted."""
    from blackbox.client import ClientError, UnreachableError

    interval = None if arguments.watch is None else parsers.named("--watch", parsers.interval_seconds, arguments.watch)
    client = server_arguments.client(arguments)
    screen = screen_of(arguments)
    try:
        code = _print(client, arguments, screen)
    except UnreachableError as error:
        raise server_arguments.with_hint(error) from None
    due = time.monotonic()
    while interval is not None:
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            code = _print(client, arguments, screen)
        except ClientError as error:
            say(f"blackbox: {error}", sys.stderr)
    return code


def _print(client: "Client", arguments: Namespace, screen: Screen | None) -> int:
    import msgspec

    from blackbox.client import AnswerError

    if screen is not None:
        return _show(client, arguments, screen)
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
    return _no_gpu((source["name"], source["state"], source["reason"]) for source in sources)


def _no_gpu(sources: Iterable[tuple[str, str, str | None]]) -> int:
    """`sources`: name, state and reason of each."""
    reasons = [f"{name}: {reason or state}" for name, state, reason in sources if state != "ok"]
    say(
        f"blackbox: no GPU found ({'; '.join(reasons) or 'every source is well'}); 'blackbox doctor' tells more",
        sys.stderr,
    )
    return 1


def _show(client: "Client", arguments: Namespace, screen: Screen) -> int:
    from blackbox.cli.screens.machine import lines

    machine = _machine(client, arguments.gpu)
    if not machine.snapshot.gpus:
        return _no_gpu((source.name, source.state, source.reason) for source in machine.snapshot.sources)
    screen.show(lines(machine, screen), anew=arguments.watch is not None)
    return 0


def _machine(client: "Client", gpu: str | None) -> "MachineView":
    """The newest snapshot, with what lies ahead and what happened, where the server knows that."""
    from blackbox.cli.screens.machine import MachineView
    from blackbox.client import StatusError

    snapshot = client.snapshot(gpu=gpu, blocks="none")
    try:
        return MachineView(snapshot, client.forecast(), None, client.events(limit=EVENTS_MAX, detail="light"))
    except StatusError as error:
        return MachineView(snapshot, no_forecast=str(error))
