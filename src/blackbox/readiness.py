"""Tells the service manager how the server fares: systemd's `sd_notify`, one datagram a state.

Where no service manager asks (`NOTIFY_SOCKET`), nothing is sent.
"""

import os
import socket
from collections.abc import MutableMapping

SOCKET_VARIABLE = "NOTIFY_SOCKET"
SEND_SECONDS_MAX = 1.0
"""A manager that does not read must not hold the server up."""


class ServiceManager:
    """Who started the server and waits for word of it, if anyone does."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Takes the address out of `environ`, so that no child speaks in our name."""
        self._address = environ.pop(SOCKET_VARIABLE, "")

    def ready(self, status: str) -> None:
        """The server answers; `status` is one line for people."""
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The server was asked to stop."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    def _tell(self, state: str) -> None:
        """Never raises: who cannot be told waits until its own time-out, and says so in its log."""
        if self._address[:1] not in ("/", "@"):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(SEND_SECONDS_MAX)
                channel.sendto(state.encode(), address)
        except OSError:
            return
