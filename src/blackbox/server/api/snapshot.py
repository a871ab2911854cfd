"""`GET /vram` and `GET /vram/stream`."""

from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

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
from blackbox.server.http.response import JSON, Fields, Response, unavailable
from blackbox.server.http.sse import Framing
from blackbox.server.streams.resume import ResumedFrames, resume
from blackbox.server.streams.snapshot_broadcast import SnapshotClient, StreamFormat

INLINE_BYTES = 64 * 1024
"""A body up to this size is framed on the event loop, in less time than handing it to a thread takes."""

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
    return _answer(context, request, latest, wanted, encoding, body)


async def _vram_made_now(
    context: Context, request: Request, latest: Published, wanted: TaggedShape, encoding: Encoding
) -> Answer:
    body = await off_loop(context.workers, latest.body, wanted.shape, encoding)
    return _answer(context, request, latest, wanted, encoding, body)


def _answer(
    context: Context, request: Request, latest: Published, wanted: TaggedShape, encoding: Encoding, body: bytes
) -> Response:
    context.hub.demand(wanted.shape, encoding)
    tag = f'W/"{context.start_id}-{latest.moment.seq}-{wanted.tag}"'
    fields: Fields = (("Cache-Control", "no-cache"), ("ETag", tag), _VARY)
    known = request.headers.get(b"if-none-match")
    if known is not None and has_tag(known, tag):
        return Response(304, fields=fields)
    if encoding != "identity":
        fields += (("Content-Encoding", encoding),)
    return Response(200, body, JSON, fields)


@handles(SNAPSHOT_STREAM)
def vram_stream(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Every snapshot from now on."""
    shape = shape_of(query, viewer.uid).shape
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), STREAMED)
    fields: Fields = (_VARY,) if encoding == "identity" else (("Content-Encoding", encoding), _VARY)
    if request.method == "HEAD":
        return Streaming(None, fields=fields)
    stream_format = StreamFormat(shape, Framing(gzip=encoding == "gzip", chunked=request.version == "1.1"))
    last_event_id = last_event_id_of(request)
    client = context.broadcaster.join(stream_format)
    if client is None:
        return unavailable("too many streams", retry_after_seconds=5)
    if last_event_id is None and (ready := _ready_frames(context, client)) is not None:
        return _stream(context, client, ready, fields)
    return _stream_made_now(context, client, last_event_id, fields)


def _ready_frames(context: Context, client: SnapshotClient) -> ResumedFrames | None:
    """The opening, where no work stands before it."""
    subscribers, latest = client.subscribers, context.hub.latest
    if latest is None:
        return resume(context.hub, subscribers.stream_format, None, context.limits.resume_bytes)
    if subscribers.seq == latest.moment.seq:
        return ResumedFrames(
            subscribers.stream_format.framing.head() + subscribers.frame, subscribers.seq, sent=1, missed=0
        )
    body = latest.made(subscribers.stream_format.shape)
    if body is not None and len(body) <= INLINE_BYTES:
        return resume(context.hub, subscribers.stream_format, None, context.limits.resume_bytes)
    return None


async def _stream_made_now(
    context: Context, client: SnapshotClient, last_event_id: int | None, fields: Fields
) -> Answer:
    try:
        made = await off_loop(
            context.workers,
            resume,
            context.hub,
            client.subscribers.stream_format,
            last_event_id,
            context.limits.resume_bytes,
        )
    except BaseException:
        client.leave()
        raise
    return _stream(context, client, made, fields)


def _stream(context: Context, client: SnapshotClient, made: ResumedFrames, fields: Fields) -> Streaming:
    context.stats.frames_sent_total += made.sent
    context.stats.frames_missed_total += made.missed
    return Streaming(client, made.data, made.seq, fields)


@lru_cache(maxsize=QUERIES_REMEMBERED)
def shape_of(query: Query, viewer_uid: int | None) -> TaggedShape:
    """The shape the query asks for. Raises `HTTPError`."""
    shape = Shape(query.get(GPU), query.value(BLOCKS), viewer_uid)
    return TaggedShape(shape, f"{crc32(repr(shape).encode()):x}")
