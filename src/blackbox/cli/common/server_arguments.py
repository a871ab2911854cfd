"""The arguments that name a server and a part of its snapshot, and the client made from them.

Without any the server is the one of this machine, found by the settings of 'serve'.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from blackbox.cli.common.paragraphs import say
from blackbox.cli.common.settings_options import add_config_flag
from blackbox.errors import FailureError

if TYPE_CHECKING:
    from pathlib import Path

    from blackbox.client import AsyncClient, Client, Loss
    from blackbox.settings import Settings

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_LOCAL = ("localhost", "127.0.0.1", "::1")


def add_server_flags(parser: ArgumentParser, *, several: bool = False) -> None:
    """Adds the flags that name a server; where `several`, `--url` may be given again."""
    group = parser.add_argument_group("server (default: the one on this machine, by the settings of 'serve')")
    if several:
        more = "BLACKBOX_URL; may hold user:password@; again for more servers"
        group.add_argument("--url", metavar="URL", action="append", help=more)
    else:
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


URL_VARIABLE = "BLACKBOX_URL"
"""Names the server in place of `--url`."""


def named_url(environ: Mapping[str, str] = os.environ) -> str | None:
    """The URL that the environment names; None where it names none."""
    return environ.get(URL_VARIABLE) or None


def client(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> "Client":
    """A client of the server that the arguments name. Raises `UsageError`, `FailureError`."""
    from blackbox.client import Client

    url, token, unix_socket = _server(arguments, environ, arguments.url)
    return Client(url, token=token, unix_socket=unix_socket)


def async_clients(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> "dict[str, AsyncClient]":
    """Clients of all servers that the arguments name, by their URLs. Raises `UsageError`, `FailureError`."""
    from blackbox.client import AsyncClient

    found: dict[str, AsyncClient] = {}
    for given in arguments.url or [None]:
        url, token, unix_socket = _server(arguments, environ, given)
        made = AsyncClient(url, token=token, unix_socket=unix_socket)
        found[made.label] = made
    return found


def _server(
    arguments: Namespace, environ: Mapping[str, str], given: str | None
) -> tuple[str, str | None, "Path | str | None"]:
    """URL, token and Unix socket of a server."""
    from blackbox.cli.common.settings_file import load_settings
    from blackbox.server.auth.credentials import load_token

    settings = load_settings(arguments, environ)
    url = given or named_url(environ)
    token = load_token(settings.token_file).decode() if settings.token_file else None
    return url or local_url(settings), token, None if url and not arguments.unix_socket else settings.unix_socket


def port_on_this_machine(url: str) -> int | None:
    """The port of a URL that leads to this machine by one of its own names; None of any other."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        if parts.hostname not in _LOCAL:
            return None
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None


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
    say(f"blackbox: {loss.error}; trying again in {loss.retry_in_seconds:g} s", sys.stderr)
