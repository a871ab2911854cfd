"""Where agents look for the daemon: paths of its Unix socket."""

from __future__ import annotations

from blackbox import paths

TYPE_CHECKING = False  # `typing` takes 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "BLACKBOX_AGENT_SOCKET"
NAME = paths.AGENT_SOCKET
SYSTEM = f"{paths.SYSTEM_RUNTIME}/{NAME}"
"""Of a daemon for all users. Only root can create it."""


def agent_paths(environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """The paths at which an agent of this user tries to connect, in order."""
    asked = environ.get(VARIABLE)
    return (asked,) if asked else paths.agent_sockets(environ, uid)
