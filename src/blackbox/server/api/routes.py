"""The table of routes: every declared endpoint with its handler, from whichever module of this package has it."""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS
from blackbox.server import api
from blackbox.server.api.endpoint import HANDLERS, Handler


class Route(NamedTuple):
    endpoint: Endpoint
    handler: Handler


def _routes() -> dict[str, Route]:
    modules = {file.stem for folder in api.__path__ for file in Path(folder).glob("*.py")} - {"__init__"}
    for name in sorted(modules):  # not by `pkgutil`, which takes `inspect` for it: 2 MiB
        import_module(f"{api.__name__}.{name}")
    return {endpoint.path: Route(endpoint, HANDLERS[endpoint.path]) for endpoint in ENDPOINTS}


ROUTES = _routes()
"""By path."""
