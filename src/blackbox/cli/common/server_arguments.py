"""The arguments that name a server and a part of its snapshot, and the client made from them.

Without any the server is the one of this machine, found by the settings of 'serve'.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from blackbox.cli.common.settings_options import add_config_flag
from blackbox.errors import FailureError

if TYPE_CHECKING:
    from blackbox.client import Client, Loss
    from blackbox.settings import Settings

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_LOCAL = ("localhost", "127.0.0.1", "::1")


def add_server_flags(parser: ArgumentParser) -> None:
    """Adds the flags that name a server."""
    group = parser.add_argument_group("server (default: the one on this machine, by the settings of 'serve')")
    group.add_argument("--url", metavar="URL", help="BLACKBOX_URL; may hold user:password@")
    group.add_argument("--token-file", metavar="FILE", help="file with the server's token")
    group.add_argument("--unix-socket", metavar="PATH", help="ask through this Unix socket")
    add_config_flag(parser)


def add_selection_flags(parser: ArgumentParser) -> None:
    """Adds the flags that select a GPU and the detail of blocks."""
    parser.add_argument("--gpu", metavar="GPU", help="one GPU only: its index or UUID")
    parser.add_argument(
        "--blocks", choices=("full", "summary", "none"), default="full", help="detail of blocks (default: full)"
    )


def client(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> "Client":
    """A client of the server that the arguments name. Raises `UsageError`, `FailureError`."""
    from blackbox.cli.common.settings_file import load_settings
    from blackbox.client import Client
    from blackbox.server.auth.credentials import load_token

    settings = load_settings(arguments, environ)
    url: str | None = arguments.url or environ.get("BLACKBOX_URL")
    unix_socket = None if url and not arguments.unix_socket else settings.unix_socket
    return Client(
        url or local_url(settings),
        token=load_token(settings.token_file).decode() if settings.token_file else None,
        unix_socket=unix_socket,
    )


def local_url(settings: "Settings") -> str:
    """The URL at which this machine reaches a server with these settings."""
    scheme = "https" if settings.tls_cert else "http"
    near = not settings.hosts or any(host in (*_LOCAL, *_EVERYWHERE) for host in settings.hosts)
    host = "localhost" if near else settings.hosts[0]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def with_hint(error: FailureError) -> FailureError:
    """The same error, with a hint how to start a server."""
    return FailureError(
        f"{error}; is one running? 'blackbox serve' starts one, 'blackbox serve --demo' a simulated one"
    )


def print_loss(loss: "Loss") -> None:
    """Reports a lost connection on stderr."""
    print(f"blackbox: {loss.error}; trying again in {loss.retry_in_seconds:g} s", file=sys.stderr)
