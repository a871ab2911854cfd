"""`GET /metrics` and `GET /openapi.json`: the server described to machines."""

from blackbox.model.endpoints import METRICS, OPENAPI
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.offload import off_loop
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request
from blackbox.server.http.response import JSON, Response


@handles(METRICS)
def metrics(context: Context, _request: Request, viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """Prometheus' text format."""
    return _metrics(context, viewer)


async def _metrics(context: Context, viewer: Viewer) -> Response:
    exporter = await context.exporter()
    from blackbox.outputs.prometheus.exporter import CONTENT_TYPE

    return Response(200, await off_loop(context.workers, exporter.exposition, viewer.uid), CONTENT_TYPE)


@handles(OPENAPI)
def openapi(context: Context, _request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """The description of this interface."""
    return _openapi(context)


async def _openapi(context: Context) -> Response:
    from blackbox.model.schema import openapi

    return Response(200, await off_loop(context.workers, openapi), JSON)
