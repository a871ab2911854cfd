"""`GET /vram` and `GET /vram/stream`."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from blackbox.hub import Published
from blackbox.model.endpoints import BLOCKS, GPU, SNAPSHOT, SNAPSHOT_STREAM
from blackbox.model.view import Encoding, Shape
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import Answer, AnswerOrCoroutine, Streaming, Viewer
from blackbox.server.http.negotiation import STREAMED, WHOLE, accepted_encoding, has_tag
from blackbox.server.http.offload import off_loop
from blackbox.server.http.query import QUERIES_REMEMBERED, Query
from blackbox.server.http.request import Request, last_event_id_of
from blackbox.server.http.response import JSON, Fields, Response, too_much_waits, unavailable
from blackbox.server.http.sse import Framing
from blackbox.server.streams.frame_cache import StreamFormat
from blackbox.server.streams.snapshot_broadcast import SnapshotClient

_VARY = ("Vary", "Accept-Encoding")


class TaggedShape(NamedTuple):
    """A shape, with what tells it apart from the other shapes of one moment in an entity tag."""

    shape: Shape
    tag: str


@handles(SNAPSHOT)
def vram(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """The newest snapshot."""
    wanted = shape_of(query, viewer.uid)
    latest = context.hub.latest
    if latest is None:
        return unavailable("no sample yet", retry_after_seconds=1)
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), WHOLE)
    body = latest.made(wanted.shape, encoding)
    if body is None:
        return _vram_made_now(context, request, latest, wanted, encoding)
    return tagged_answer(context, request, latest, wanted, encoding, body)


async def _vram_made_now(
    context: Context, request: Request, latest: Published, wanted: TaggedShape, encoding: Encoding
) -> Answer:
    body = await off_loop(context.workers, latest.body, wanted.shape, encoding)
    return tagged_answer(context, request, latest, wanted, encoding, body)


def tagged_answer(
    context: Context,
    request: Request,
    latest: Published,
    wanted: TaggedShape,
    encoding: Encoding,
    body: bytes,
    content_type: str = JSON,
    *,
    ahead: bool = True,
) -> Response:
    """The body, or 304 where the client has it. `ahead`: the shape's next body is made before anybody asks."""
    if ahead:
        context.hub.demand(wanted.shape, encoding)
    tag = f'W/"{context.start_id}-{latest.moment.seq}-{wanted.tag}"'
    fields: Fields = (("Cache-Control", "no-cache"), ("ETag", tag), _VARY)
    known = request.headers.get(b"if-none-match")
    if known is not None and has_tag(known, tag):
        return Response(304, fields=fields, is_repeatable=True)
    if encoding != "identity":
        fields += (("Content-Encoding", encoding),)
    return Response(200, body, content_type, fields, is_repeatable=True)


@handles(SNAPSHOT_STREAM)
def vram_stream(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Every snapshot from now on."""
    shape = shape_of(query, viewer.uid).shape
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), STREAMED)
    fields: Fields = (_VARY,) if encoding == "identity" else (("Content-Encoding", encoding), _VARY)
    if request.method == "HEAD":
        return Streaming(None, fields=fields)
    if not context.waiting.has_room():
        return too_much_waits()
    client = context.broadcaster.join(_stream_format(shape, encoding, request.version))
    if client is None:
        return unavailable("too many streams", retry_after_seconds=5)
    opening = client.opening(last_event_id_of(request))
    if isinstance(opening, Published):
        return _stream_made_now(client, opening, fields)
    return _stream(client, fields)


async def _stream_made_now(client: SnapshotClient, opening: Published, fields: Fields) -> Answer:
    try:
        await client.make(opening)
    except BaseException:
        client.leave()
        raise
    return _stream(client, fields)


def _stream(client: SnapshotClient, fields: Fields) -> Streaming:
    return Streaming(client, client.subscribers.stream_format.framing.head(), client.seq, fields)


@lru_cache(maxsize=QUERIES_REMEMBERED)
def shape_of(query: Query, viewer_uid: int | None) -> TaggedShape:
    """The shape the query asks for. Raises `HTTPError`."""
    return tagged(Shape(query.get(GPU), query.value(BLOCKS), viewer_uid))


@lru_cache(maxsize=QUERIES_REMEMBERED)
def _stream_format(shape: Shape, encoding: str, version: str) -> StreamFormat:
    """One object for all clients of a format, as frames that are kept hold on to it."""
    return StreamFormat(shape, Framing(gzip=encoding == "gzip", chunked=version == "1.1"))


def tagged(shape: Shape) -> TaggedShape:
    """The shape, with its part of an entity tag: all of it, so that no two have one."""
    gpu = "*" if shape.gpu is None else quote(shape.gpu, safe="")
    return TaggedShape(shape, f"{gpu};{shape.blocks};{shape.viewer_uid}")
