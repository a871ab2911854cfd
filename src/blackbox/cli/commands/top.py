"""Watch GPU memory in the terminal: what fills, who holds it, what for, what happened; now and back in the recording.

Eight pages over what a server tells, this machine's or any with --url; give --url again for several side by side. The
keys are those of the dashboard; ? shows them. Where the output is no terminal use 'blackbox stat'.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import server_arguments
from blackbox.errors import FailureError

if TYPE_CHECKING:
    from blackbox.client import AsyncClient
    from blackbox.model.snapshot import Snapshot


def configure(parser: ArgumentParser) -> None:
    """Whom to ask, and where to begin."""
    parser.add_argument("--gpu", metavar="GPU", help="begin with one GPU: its index or UUID")
    server_arguments.add_server_flags(parser, several=True)


def run(arguments: Namespace) -> int:
    """Shows until the reader leaves. Exit code 1 where no server answers, or where there is no terminal."""
    import asyncio

    _require_terminal()
    clients = server_arguments.async_clients(arguments)
    snapshot = asyncio.run(_first_snapshot(clients))

    from blackbox.terminal.colour_depth import depth_of
    from blackbox.tui.app import TopApp
    from blackbox.tui.view import View

    view = View(gpu=_uuid(snapshot, arguments.gpu))
    TopApp(list(clients.items()), depth_of(os.environ), view).run()
    return 0


def _require_terminal() -> None:
    """Raises `FailureError` where nothing can be drawn."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise FailureError("top needs a terminal for input, output and errors; 'blackbox stat' prints one snapshot")
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise FailureError("this terminal cannot move its cursor (TERM=dumb); 'blackbox stat' prints one snapshot")


async def _first_snapshot(clients: "dict[str, AsyncClient]") -> "Snapshot":
    """Of the first server that answers. Raises what the last one said where none does."""
    from blackbox.client import ClientError, UnreachableError

    failure: ClientError | None = None
    for client in clients.values():
        try:
            return await client.snapshot(blocks="none")
        except UnreachableError as error:
            failure = failure or error
        except ClientError as error:
            failure = error
    assert failure is not None
    raise server_arguments.with_hint(failure) if isinstance(failure, UnreachableError) else failure


def _uuid(snapshot: "Snapshot", gpu: str | None) -> str | None:
    """The UUID of the GPU named by its index or its UUID. Raises `FailureError` where there is none."""
    if gpu is None:
        return None
    for one in snapshot.gpus:
        if gpu in (one.uuid, str(one.index)):
            return one.uuid
    known = ", ".join(f"{one.index} ({one.uuid})" for one in snapshot.gpus) or "none"
    raise FailureError(f"no GPU {gpu!a} on {snapshot.host}; there is: {known}")
