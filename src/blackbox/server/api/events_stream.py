"""`GET /vram/events/stream`: events as they are recorded."""

from blackbox.model.endpoints import EVENT_GPU, EVENTS_STREAM, KIND
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.api.recording import NO_RECORDING, gpu_uuids
from blackbox.server.http.answer import Answer, AnswerOrCoroutine, Streaming, Viewer
from blackbox.server.http.negotiation import STREAMED, accepted_encoding
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request, last_event_id_of
from blackbox.server.http.response import Fields, text, too_much_waits, unavailable
from blackbox.server.http.sse import Framing, comment
from blackbox.server.streams.event_broadcast import EventClient, EventFilter, EventStreams


@handles(EVENTS_STREAM)
def events_stream(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Every event from now on, or from the last one that the client saw."""
    wanted = EventFilter(query.get(KIND), gpu_uuids(context, query.get(EVENT_GPU)))
    streams = context.event_streams
    if streams is None:
        return text(404, NO_RECORDING)
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), STREAMED)
    fields: Fields = (("Vary", "Accept-Encoding"),)
    if encoding != "identity":
        fields += (("Content-Encoding", encoding),)
    if request.method == "HEAD":
        return Streaming(None, fields=fields)
    framing = Framing(gzip=encoding == "gzip", chunked=request.version == "1.1")
    if not context.waiting.has_room():
        return too_much_waits()
    client = streams.join(wanted, framing, viewer)
    if client is None:
        return unavailable("too many streams", retry_after_seconds=5)
    return _begin(streams, client, framing, last_event_id_of(request), fields)


async def _begin(
    streams: EventStreams, client: EventClient, framing: Framing, last_event_id: int | None, fields: Fields
) -> Answer:
    try:
        place = await streams.place_now() if last_event_id is None else last_event_id
    except BaseException:
        client.leave()
        raise
    return Streaming(client, framing.head() + framing.piece(comment("events follow")), place, fields)
