"""`GET /vram/columns`: blocks as packed columns."""

import time

from blackbox.hub import Published
from blackbox.merge import merged
from blackbox.merge.block_table import table, table_rows
from blackbox.model.block_table import CONTENT_TYPE
from blackbox.model.codec import compress
from blackbox.model.endpoints import COLUMNS, COLUMNS_TIME, EVENT, GPU, VERSION
from blackbox.model.view import Encoding, Shape
from blackbox.recorder import Recording
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.api.recording import recorded_answer, recorded_moment
from blackbox.server.api.snapshot import TaggedShape, tagged, tagged_answer
from blackbox.server.http.answer import Answer, AnswerOrCoroutine, Viewer
from blackbox.server.http.negotiation import WHOLE, accepted_encoding
from blackbox.server.http.offload import off_loop
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request
from blackbox.server.http.response import unavailable

RECORDED_VERSION = ""
"""Of an answer about a time: none may be named by `since`."""


@handles(COLUMNS)
def columns(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """The blocks of the newest moment, or of a time."""
    now = time.time()
    then = query.time_or(COLUMNS_TIME, now, None)
    event = query.get(EVENT)
    shape = Shape(query.get(GPU), "columns", viewer.uid)
    if then is not None or event is not None:
        return _of_recording(context, request, shape, viewer, then, event)
    latest = context.hub.latest
    if latest is None:
        return unavailable("no sample yet", retry_after_seconds=1)
    wanted, version = tagged(shape), query.get(VERSION)
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), WHOLE)
    before = None if version is None else context.hub.of_version(version)
    if before is not None and before is not latest:
        return _changed(context, request, latest, before, wanted, encoding)
    body = latest.made(shape, encoding)
    if body is None:
        return _made_now(context, request, latest, wanted, encoding)
    return tagged_answer(context, request, latest, wanted, encoding, body, CONTENT_TYPE)


async def _made_now(
    context: Context, request: Request, latest: Published, wanted: TaggedShape, encoding: Encoding
) -> Answer:
    body = await off_loop(context.workers, latest.body, wanted.shape, encoding)
    return tagged_answer(context, request, latest, wanted, encoding, body, CONTENT_TYPE)


async def _changed(
    context: Context,
    request: Request,
    latest: Published,
    before: Published,
    wanted: TaggedShape,
    encoding: Encoding,
) -> Answer:
    def work() -> bytes:
        return compress(latest.changed_columns(wanted.shape, before), encoding)

    body = await off_loop(context.workers, work)
    return tagged_answer(context, request, latest, wanted, encoding, body, CONTENT_TYPE, ahead=False)


def _of_recording(
    context: Context, request: Request, shape: Shape, viewer: Viewer, then: float | None, event: int | None
) -> AnswerOrCoroutine:
    def work(recording: Recording) -> bytes:
        moment = recorded_moment(recording, then, event, viewer)
        made = merged(moment, shape.gpu, shape.viewer_uid)
        return table(made.bare, table_rows(made.rows, context.settings.blocks_max), RECORDED_VERSION)

    return recorded_answer(context, request, viewer, work, CONTENT_TYPE)
