"""The table of routes. A new route is one line."""

from blackbox.server.context import Answering, Asker, Context, Handler, off_loop
from blackbox.server.event_stream import events_stream
from blackbox.server.health import healthz, readyz
from blackbox.server.recorded import aggregated, at, compared, events, forecasted, history
from blackbox.server.request import Request
from blackbox.server.response import JSON, Response, text
from blackbox.server.vram import vram, vram_stream


def metrics(context: Context, _request: Request, _asker: Asker) -> Answering:
    """Prometheus' text format."""
    return _metrics(context)


async def _metrics(context: Context) -> Response:
    exporter = await context.exporter
    from blackbox.exporters.prometheus import CONTENT_TYPE

    return Response(200, await off_loop(context.workers, exporter.exposition), CONTENT_TYPE)


def openapi(context: Context, _request: Request, _asker: Asker) -> Answering:
    """The description of this interface."""
    return _openapi(context)


async def _openapi(context: Context) -> Response:
    from blackbox.model.schema import openapi

    return Response(200, await off_loop(context.workers, openapi), JSON)


def index(_context: Context, _request: Request, _asker: Asker) -> Answering:
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
