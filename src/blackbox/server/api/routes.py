"""The table of routes. A new route is one line."""

from blackbox.server.api.context import Context, Handler
from blackbox.server.api.events_stream import events_stream
from blackbox.server.api.health import healthz, readyz
from blackbox.server.api.recording import aggregated, at, compared, events, forecasted, history
from blackbox.server.api.snapshot import vram, vram_stream
from blackbox.server.http.answer import Answering, Viewer
from blackbox.server.http.offload import off_loop
from blackbox.server.http.request import Request
from blackbox.server.http.response import JSON, Response, text


def metrics(context: Context, _request: Request, _viewer: Viewer) -> Answering:
    """Prometheus' text format."""
    return _metrics(context)


async def _metrics(context: Context) -> Response:
    exporter = await context.exporter
    from blackbox.outputs.prometheus.exporter import CONTENT_TYPE

    return Response(200, await off_loop(context.workers, exporter.exposition), CONTENT_TYPE)


def openapi(context: Context, _request: Request, _viewer: Viewer) -> Answering:
    """The description of this interface."""
    return _openapi(context)


async def _openapi(context: Context) -> Response:
    from blackbox.model.schema import openapi

    return Response(200, await off_loop(context.workers, openapi), JSON)


def index(_context: Context, _request: Request, _viewer: Viewer) -> Answering:
    """What there is to ask for."""
    return text(200, "Blackbox\n" + "".join(f"{path}\n" for path in ROUTES if path != "/"))


ROUTES: dict[str, Handler] = {
    "/": index,
    "/vram": vram,
    "/vram/stream": vram_stream,
    "/vram/history": history,
    "/vram/at": at,
    "/vram/events": events,
    "/vram/events/stream": events_stream,
    "/vram/compare": compared,
    "/vram/aggregated": aggregated,
    "/vram/forecast": forecasted,
    "/metrics": metrics,
    "/healthz": healthz,
    "/readyz": readyz,
    "/openapi.json": openapi,
}
