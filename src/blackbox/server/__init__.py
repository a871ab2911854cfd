"""The HTTP server: the contract's routes and streams, from the hub to any number of clients."""

from blackbox.model.server_stats import Stats
from blackbox.server.http.limits import Limits
from blackbox.server.server import Server

__all__ = ["Limits", "Server", "Stats"]
