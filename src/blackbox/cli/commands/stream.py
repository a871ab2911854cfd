"""Print every new snapshot as one line of JSON, across restarts of the server.

Missed snapshots and lost connections are reported on stderr.
"""

import sys
from argparse import ArgumentParser, Namespace

from blackbox.cli.common import server_arguments


def configure(parser: ArgumentParser) -> None:
    """What to print, and whom to ask."""
    server_arguments.add_selection_flags(parser)
    server_arguments.add_server_flags(parser)


def run(arguments: Namespace) -> int:
    """Prints until interrupted."""
    from blackbox.client import UnreachableError

    client = server_arguments.client(arguments)
    with client.stream(gpu=arguments.gpu, blocks=arguments.blocks, on_loss=server_arguments.print_loss) as stream:
        try:
            for event in stream:
                if event.missed:
                    print(f"blackbox: missed {event.missed} snapshots before {event.seq}", file=sys.stderr)
                sys.stdout.buffer.write(event.data + b"\n")
                sys.stdout.flush()
        except UnreachableError as error:
            raise server_arguments.with_hint(error) from None
    return 0
