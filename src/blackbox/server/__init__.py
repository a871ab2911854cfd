"""The HTTP server: the contract's routes and streams, from the hub to any number of clients."""

from blackbox.model.status import ServerStats
from blackbox.server.http.limits import Limits
from blackbox.server.server import Server

__all__ = ["Limits", "Server", "ServerStats"]
