"""Print every new snapshot as one line of JSON, across restarts of the server.

What was missed, and each lost connection, is told on stderr.
"""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import server as asking

if TYPE_CHECKING:
    from blackbox.client import Loss


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    asking.add_selection_flags(parser)
    asking.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints until interrupted."""
    from blackbox.client import UnreachableError

    client = asking.client(arguments)
    with client.stream(gpu=arguments.gpu, blocks=arguments.blocks, on_loss=_tell_loss) as stream:
        try:
            for event in stream:
                if event.missed:
                    print(f"blackbox: missed {event.missed} snapshots before {event.seq}", file=sys.stderr)
                sys.stdout.buffer.write(event.data + b"\n")
                sys.stdout.flush()
        except UnreachableError as error:
            raise asking.with_hint(error) from None
    return 0


def _tell_loss(loss: "Loss") -> None:
    print(f"blackbox: {loss.error}; trying again in {loss.retry_in_seconds:g} s", file=sys.stderr)
