"""Whether a server listens for agents at a path."""

import socket

CONNECT_SECONDS_MAX = 0.5
"""A server that lives takes a connection at once."""


def listens(path: str) -> bool:
    """Whether anybody takes a connection there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(CONNECT_SECONDS_MAX)
        try:
            trial.connect(path)
        except (OSError, ValueError):  # a path too long, or with a null in it
            return False
    return True
