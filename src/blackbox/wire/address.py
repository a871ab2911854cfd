"""Where agents look for the daemon: paths of its Unix socket."""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = "BLACKBOX_AGENT_SOCKET"
NAME = "agent.sock"
SYSTEM = "/run/blackbox/agent.sock"
"""Of a daemon for all users. Only root can create it."""


def agent_paths(environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """The paths at which an agent of this user tries to connect, in order."""
    asked = environ.get(VARIABLE)
    if asked:
        return (asked,)
    runtime = environ.get("XDG_RUNTIME_DIR")
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the agent checks whom it meets there
    return (f"{runtime}/blackbox/{NAME}" if runtime else f"{temporary}/blackbox-{uid}/{NAME}", SYSTEM)
