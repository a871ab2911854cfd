"""Have the servers of this user release the GPU driver, so that it can be unloaded or the GPU can sleep.

They keep answering, and say that the driver is released. 'blackbox resume' has them reacquire it.
"""

import os
import signal
from argparse import ArgumentParser, Namespace

from blackbox.cli.common import parsers
from blackbox.cli.common.server_arguments import URL_VARIABLE, named_url, port_on_this_machine
from blackbox.errors import FailureError


def configure(parser: ArgumentParser) -> None:
    """Which servers."""
    add_port_flag(parser)


def run(arguments: Namespace) -> int:
    """Signals them."""
    tell_servers(arguments.port, signal.SIGUSR1, "release the GPU driver")
    return 0


def _named_port() -> int | None:
    """The port of the server that the environment names. Raises `FailureError` where that is of another machine."""
    url = named_url()
    port = None if url is None else port_on_this_machine(url)
    if url is not None and port is None:
        from blackbox.client.target import without_password

        raise FailureError(
            f"{URL_VARIABLE} names {without_password(url)}, and only servers of this machine can be told: run it "
            "there, or name a --port"
        )
    return port


def add_port_flag(parser: ArgumentParser) -> None:
    """Adds `--port`."""
    parser.add_argument(
        "--port", metavar="PORT", help="only the server on this port (default: that of BLACKBOX_URL, or all)"
    )


def tell_servers(port: str | None, signal_number: signal.Signals, what: str) -> None:
    """Sends the signal to this user's servers. Raises `FailureError` where there is none, or it is not permitted."""
    from blackbox.paths import runtime_directory
    from blackbox.pidfile import running_servers

    directory = runtime_directory()
    only = _named_port() if port is None else parsers.named("--port", parsers.port, port)
    servers = [server for server in running_servers(directory) if only in (None, server.port)]
    if not servers:
        place = "" if only is None else f" on port {only}"
        raise FailureError(
            f"no server of this user runs{place} (looked in {directory}); ask as the user who started it"
        )
    for server in servers:
        try:
            os.kill(server.pid, signal_number)
        except OSError as error:
            raise FailureError(f"server {server.pid} on port {server.port}: {error.strerror}") from error
        print(f"told server {server.pid} on port {server.port} to {what}")
