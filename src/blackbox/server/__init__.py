"""The HTTP server: the contract's routes and streams, from the hub to any number of clients."""

from blackbox.server.limits import Limits
from blackbox.server.server import Server
from blackbox.server.stats import Stats

__all__ = ["Limits", "Server", "Stats"]
