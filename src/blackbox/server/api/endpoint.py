"""Handlers: the functions that answer for the declared endpoints."""

from collections.abc import Callable

from blackbox.model.endpoint import Endpoint
from blackbox.server.api.context import Context
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request

Handler = Callable[[Context, Request, Viewer, Query], AnswerOrCoroutine]
"""Answers a request whose parameters its endpoint knows. May raise `HTTPError` and `UnknownGpuError`."""

HANDLERS: dict[str, Handler] = {}
"""By path. Filled by `handles`, once the modules of this package are imported (`routes`)."""


def handles(endpoint: Endpoint) -> Callable[[Handler], Handler]:
    """Declares a function to be the handler of `endpoint`."""

    def register(handler: Handler) -> Handler:
        assert endpoint.path not in HANDLERS, f"two handlers for {endpoint.path}"
        HANDLERS[endpoint.path] = handler
        return handler

    return register
