"""The table of routes: every declared endpoint with its handler, from whichever module of this package has it."""

from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS
from blackbox.server import api
from blackbox.server.api.endpoint import HANDLERS, Handler


class Route(NamedTuple):
    endpoint: Endpoint
    handler: Handler


def _routes() -> dict[str, Route]:
    for module in iter_modules(api.__path__):
        import_module(f"{api.__name__}.{module.name}")
    return {endpoint.path: Route(endpoint, HANDLERS[endpoint.path]) for endpoint in ENDPOINTS}


ROUTES = _routes()
"""By path."""
