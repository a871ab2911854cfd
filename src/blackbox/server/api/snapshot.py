"""`GET /vram` and `GET /vram/stream`."""

from functools import lru_cache
from typing import cast, get_args
from zlib import crc32

from blackbox.hub import Published
from blackbox.model.view import BlockDetail, Encoding, Shape
from blackbox.server.api.context import Context
from blackbox.server.http.answer import Answer, Answering, Streaming, Viewer
from blackbox.server.http.negotiation import STREAMED, WHOLE, accepted_encoding, has_tag
from blackbox.server.http.offload import off_loop
from blackbox.server.http.request import Refusal, Request, last_event_id_of
from blackbox.server.http.response import JSON, Fields, Response, unavailable
from blackbox.server.http.sse import Framing
from blackbox.server.streams.resume import Opening, opening
from blackbox.server.streams.snapshot_broadcast import Client, Kind

INLINE_BYTES = 64 * 1024
"""A body up to this size is framed on the event loop, in less time than handing it to a thread takes."""
QUERIES_REMEMBERED = 256
"""Different queries whose meaning is kept."""

_VARY = ("Vary", "Accept-Encoding")


def vram(context: Context, request: Request, viewer: Viewer) -> Answering:
    """The newest snapshot."""
    shape = shape_of(request.target.query, viewer.uid)
    latest = context.hub.latest
    if latest is None:
        return unavailable("no sample yet", retry_after_seconds=1)
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), WHOLE)
    body = latest.made(shape, encoding)
    if body is None:
        return _vram_made_now(context, request, latest, shape, encoding)
    return _answer(context, request, latest, shape, encoding, body)


async def _vram_made_now(
    context: Context, request: Request, latest: Published, shape: Shape, encoding: Encoding
) -> Answer:
    body = await off_loop(context.workers, latest.body, shape, encoding)
    return _answer(context, request, latest, shape, encoding, body)


def _answer(
    context: Context, request: Request, latest: Published, shape: Shape, encoding: Encoding, body: bytes
) -> Response:
    context.hub.demand(shape, encoding)
    tag = f'W/"{context.start_id}-{latest.moment.seq}-{shape_tag(shape)}"'
    fields: Fields = (("Cache-Control", "no-cache"), ("ETag", tag), _VARY)
    known = request.headers.get(b"if-none-match")
    if known is not None and has_tag(known, tag):
        return Response(304, fields=fields)
    if encoding != "identity":
        fields += (("Content-Encoding", encoding),)
    return Response(200, body, JSON, fields)


def vram_stream(context: Context, request: Request, viewer: Viewer) -> Answering:
    """Every snapshot from now on."""
    shape = shape_of(request.target.query, viewer.uid)
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), STREAMED)
    fields: Fields = (_VARY,) if encoding == "identity" else (("Content-Encoding", encoding), _VARY)
    if request.method == "HEAD":
        return Streaming(None, fields=fields)
    kind = Kind(shape, Framing(gzip=encoding == "gzip", chunked=request.version == "1.1"))
    last_event_id = last_event_id_of(request)
    client = context.broadcaster.join(kind)
    if client is None:
        return unavailable("too many streams", retry_after_seconds=5)
    if last_event_id is None and (ready := _ready_opening(context, client)) is not None:
        return _stream(context, client, ready, fields)
    return _stream_made_now(context, client, last_event_id, fields)


def _ready_opening(context: Context, client: Client) -> Opening | None:
    """The opening, where no work stands before it."""
    group, latest = client.group, context.hub.latest
    if latest is None:
        return opening(context.hub, group.kind, None, context.limits.resume_bytes)
    if group.seq == latest.moment.seq:
        return Opening(group.kind.framing.opening() + group.frame, group.seq, sent=1, missed=0)
    body = latest.made(group.kind.shape)
    if body is not None and len(body) <= INLINE_BYTES:
        return opening(context.hub, group.kind, None, context.limits.resume_bytes)
    return None


async def _stream_made_now(context: Context, client: Client, last_event_id: int | None, fields: Fields) -> Answer:
    try:
        made = await off_loop(
            context.workers, opening, context.hub, client.group.kind, last_event_id, context.limits.resume_bytes
        )
    except BaseException:
        client.leave()
        raise
    return _stream(context, client, made, fields)


def _stream(context: Context, client: Client, made: Opening, fields: Fields) -> Streaming:
    context.stats.frames_sent_total += made.sent
    context.stats.frames_missed_total += made.missed
    return Streaming(client, made.data, made.seq, fields)


@lru_cache(maxsize=QUERIES_REMEMBERED)
def shape_tag(shape: Shape) -> str:
    """Tells the shapes of one moment apart."""
    return f"{crc32(repr(shape).encode()):x}"


@lru_cache(maxsize=QUERIES_REMEMBERED)
def shape_of(query: tuple[tuple[str, str], ...], viewer_uid: int | None) -> Shape:
    """The shape the query asks for. Raises `Refusal`."""
    gpu: str | None = None
    blocks: BlockDetail = "full"
    seen: set[str] = set()
    for name, value in query:
        if name in seen:
            raise Refusal(400, f"parameter {name!a:.40} is given twice")
        seen.add(name)
        if name == "gpu" and value:
            gpu = value
        elif name == "blocks" and value in get_args(BlockDetail):
            blocks = cast("BlockDetail", value)
        elif name == "blocks":
            raise Refusal(400, f"blocks={value!a:.40}: must be none, summary or full")
        elif name == "gpu":
            raise Refusal(400, "gpu is empty: must be an index or a UUID")
        else:
            raise Refusal(400, f"unknown parameter {name!a:.40}: there are gpu and blocks")
    return Shape(gpu, blocks, viewer_uid)
