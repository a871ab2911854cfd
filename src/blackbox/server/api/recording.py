"""`GET /vram/history`, `at`, `events`, `compare` and `aggregated`: what was recorded."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from blackbox.analysis.compare import compare
from blackbox.merge import merge
from blackbox.merge.selection import devices_of
from blackbox.model import endpoints
from blackbox.model.codec import answer_json, compress, to_json
from blackbox.model.dump import DumpList
from blackbox.model.endpoint_parameters import HISTORY_SECONDS
from blackbox.model.event_list import folded
from blackbox.model.forecast import Forecast
from blackbox.model.moment import Moment
from blackbox.model.query import Aggregated, Chart, Comparison, EventList, History, StackHistory
from blackbox.model.snapshot import Snapshot
from blackbox.model.text import rfc3339
from blackbox.model.times import TIME_RANGE
from blackbox.model.view import Encoding, Shape, UnknownGpuError, with_blocks
from blackbox.recorder import Recording
from blackbox.recorder.query.stacks import StackFilter, stack_history
from blackbox.recorder.query.visibility import numbered
from blackbox.recorder.storage.event_log import RecordedEvent
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.negotiation import WHOLE, accepted_encoding
from blackbox.server.http.query import Query, in_order, not_reversed
from blackbox.server.http.request import HTTPError, Request
from blackbox.server.http.response import JSON, Fields, Response, text, too_much_waits, unavailable

SMALL_BYTES = 64 * 1024
"""An answer up to this size is always given: the kernel takes it for the client."""
FOLDED_EVENTS_MAX = 2000
"""The newest, that are looked at for those alike: some MB of JSON are read for the refusals among them."""
NO_RECORDING = "this server keeps no recording: it runs with --no-record"

Work = Callable[[Recording], bytes]
"""Makes the answer's body; runs on a thread of the query pool. Raises `HTTPError`, `UnknownGpuError`."""
Found = History | Chart | StackHistory | EventList | Comparison | Aggregated | Forecast | DumpList
"""Answers that say whether they are of the simulated machine."""


class SeriesFilter(NamedTuple):
    """The series that a request asks for, and who may see them."""

    gpu: str | None
    pid: int | None
    metric: str
    viewer_uid: int | None


@handles(endpoints.HISTORY)
def history(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """A metric over time."""
    since, to = _range(query)
    points = query.value(endpoints.POINTS)
    wanted = _series_filter(query, viewer)

    def find(recording: Recording) -> History:
        gpu, pid, metric, viewer_uid = wanted
        return recording.history(since, to, gpu=gpu, pid=pid, metric=metric, points=points, viewer_uid=viewer_uid)

    return found_answer(context, request, viewer, find)


@handles(endpoints.CHART)
def chart(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Several metrics over time, with marks."""
    since, to = _range(query)
    gpu, pid = query.get(endpoints.SERIES_GPU), query.get(endpoints.PID)
    metrics, points = query.value(endpoints.METRICS_OF_CHART), query.value(endpoints.POINTS)

    def find(recording: Recording) -> Chart:
        return recording.chart(since, to, gpu=gpu, pid=pid, metrics=metrics, points=points, viewer_uid=viewer.uid)

    return found_answer(context, request, viewer, find)


@handles(endpoints.STACKS)
def stacks(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Live memory by stack over time."""
    since, to = _range(query)
    wanted = StackFilter(query.get(endpoints.SERIES_GPU), query.get(endpoints.PID), viewer.uid)
    points = query.value(endpoints.MOMENTS)

    def find(recording: Recording) -> StackHistory:
        return stack_history(recording, since, to, wanted, points)

    return found_answer(context, request, viewer, find)


@handles(endpoints.SNAPSHOT_AT)
def at(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """The snapshot as of a time, or of an event."""
    then, event = query.time_or(endpoints.AT, time.time(), None), query.get(endpoints.EVENT)
    if then is None and event is None:
        raise HTTPError(400, "t or event is needed")
    gpu, detail = query.get(endpoints.GPU), query.value(endpoints.BLOCKS)

    def work(recording: Recording) -> bytes:
        snapshot = merge(recorded_moment(recording, then, event, viewer), gpu, viewer.uid)
        return to_json(with_blocks(snapshot, detail, context.settings.blocks_max))

    return recorded_answer(context, request, viewer, work)


@handles(endpoints.EVENTS)
def events(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """What happened."""
    now = time.time()
    since = query.time_or(endpoints.SINCE, now, None)
    since, until = not_reversed(since, query.time_or(endpoints.UNTIL, now, None))
    kinds, limit = query.get(endpoints.KIND), query.value(endpoints.LIMIT)
    detail, number = query.value(endpoints.EVENT_DETAIL), query.get(endpoints.ONE_EVENT)
    gpus = gpu_uuids(context, query.get(endpoints.EVENT_GPU))

    def find(recording: Recording) -> EventList:
        if number is not None:
            found = _one_event(recording, number)
        elif detail == "folded":
            found = recording.events(since, until, kinds, FOLDED_EVENTS_MAX, gpus=gpus, light=True)
        else:
            found = recording.events(
                since, until, kinds, limit, gpus=gpus, light=detail == "light", viewer_uid=viewer.uid
            )
        told = [numbered(one, viewer.uid) for one in found]
        if detail == "folded" and number is None:
            told = folded(told)[-limit:]
        return EventList(events=tuple(told))

    return found_answer(context, request, viewer, find)


@handles(endpoints.COMPARE)
def compared(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """What is new, gone, grown or shrunk between two times, or since one."""
    now = time.time()
    before, after = query.time(endpoints.BEFORE, now), query.time_or(endpoints.AFTER, now, None)
    gpu = query.get(endpoints.GPU)
    latest = context.hub.latest
    if latest is None:
        return unavailable("no sample yet", retry_after_seconds=1)

    def find(recording: Recording) -> Comparison:
        old = _snapshot(recording, before, viewer, gpu)
        if after is None:
            new = latest.snapshot(Shape(gpu, viewer_uid=viewer.uid))
        else:
            new = _snapshot(recording, after, viewer, gpu)
        return compare(old, new)

    return found_answer(context, request, viewer, find)


@handles(endpoints.AGGREGATED)
def aggregated(context: Context, request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """What each series came to over a window."""
    now = time.time()
    to = query.time_or(endpoints.WINDOW_END, now, now)
    since = to - query.value(endpoints.WINDOW)
    if since < 0:
        raise HTTPError(400, f"window: it begins before there are times: they are {TIME_RANGE}")
    wanted = _series_filter(query, viewer)

    def find(recording: Recording) -> Aggregated:
        gpu, pid, metric, viewer_uid = wanted
        found = recording.aggregated(since, to, gpu=gpu, pid=pid, metric=metric, viewer_uid=viewer_uid)
        return Aggregated(from_=since, to=to, aggregates=found)

    return found_answer(context, request, viewer, find)


def gpu_uuids(context: Context, name: str | None) -> frozenset[str] | None:
    """The UUIDs of a GPU and its instances; None where none is named. A UUID that is not there now may have been.
    Raises `UnknownGpuError`."""
    if name is None:
        return None
    latest = context.hub.latest
    try:
        devices = () if latest is None else devices_of(latest.moment, name)
    except UnknownGpuError:
        if name.isdecimal():
            raise
        devices = ()
    return frozenset(device.uuid for device in devices) or frozenset((name,))


def _one_event(recording: Recording, number: int) -> list[RecordedEvent]:
    found = recording.event(number)
    if found is None:
        raise HTTPError(404, f"no event {number} is recorded")
    return [RecordedEvent(number, found)]


def _series_filter(query: Query, viewer: Viewer) -> SeriesFilter:
    gpu, pid = query.get(endpoints.SERIES_GPU), query.get(endpoints.PID)
    return SeriesFilter(gpu, pid, query.value(endpoints.METRIC), viewer.uid)


def _range(query: Query) -> tuple[float, float]:
    """Start and end of a question about a range of time."""
    now = time.time()
    to = query.time_or(endpoints.TO, now, now)
    return in_order(query.time_or(endpoints.FROM, now, max(0.0, to - HISTORY_SECONDS)), to)


def recorded_moment(recording: Recording, then: float | None, event: int | None, viewer: Viewer) -> Moment:
    """The moment of an event itself, or as of a time. Raises `HTTPError`."""
    if event is not None:
        moment, of = recording.moment_of_event(event, viewer.uid), f"of event {event}"
    else:
        assert then is not None
        moment, of = recording.moment_at(then), f"at {rfc3339(then)}"
    if moment is None:
        raise _nothing(recording, of, then)
    return moment


def _nothing(recording: Recording, of: str, then: float | None) -> HTTPError:
    """Nothing was recorded `of` that; and from when to when anything was, or that `then` lies in between."""
    span = recording.span()
    reach = "is empty" if span is None else f"reaches from {rfc3339(span[0])} to {rfc3339(span[1])}"
    if span is not None and then is not None and span[0] <= then <= span[1]:
        reach += ", with a gap there"
    return HTTPError(404, f"nothing was recorded {of}: the recording {reach}")


def _snapshot(recording: Recording, then: float, viewer: Viewer, gpu: str | None) -> Snapshot:
    snapshot = recording.at(then, gpu=gpu, viewer_uid=viewer.uid)
    if snapshot is None:
        raise _nothing(recording, f"at {rfc3339(then)}", then)
    return snapshot


def found_answer(
    context: Context, request: Request, viewer: Viewer, find: Callable[[Recording], Found]
) -> AnswerOrCoroutine:
    """The answer with what `find` found in the recording, which says whether it is of the simulated machine."""

    def work(recording: Recording) -> bytes:
        return answer_json(msgspec.structs.replace(find(recording), simulated=context.simulated))

    return recorded_answer(context, request, viewer, work)


def recorded_answer(
    context: Context, request: Request, viewer: Viewer, work: Work, content_type: str = JSON
) -> AnswerOrCoroutine:
    """The answer that `work` makes out of the recording; 404 where there is none. It depends on nothing but the target
    of the request and who asks: whoever asks the same before it is begun gets the same."""
    query_pool = context.query_pool
    if query_pool is None:
        return text(404, NO_RECORDING)
    encoding = accepted_encoding(request.headers.get(b"accept-encoding", b""), WHOLE)
    question = request.target, viewer, encoding
    answering = query_pool.answer(lambda: _response(work(query_pool.recording), encoding, content_type), question)
    return _with_room(context, answering)


async def _with_room(context: Context, answering: Awaitable[Response]) -> Response:
    """The answer, or 503 where it is large and there is no room for it to wait: unlike the newest snapshot it is for
    those alone who asked the same at the same time."""
    answer = await answering
    return answer if len(answer.body) <= SMALL_BYTES or context.waiting.has_room(answer.body) else too_much_waits()


def _response(body: bytes, encoding: Encoding, content_type: str) -> Response:
    fields: Fields = (("Cache-Control", "no-store"), ("Vary", "Accept-Encoding"))
    if encoding != "identity":
        fields += (("Content-Encoding", encoding),)
    return Response(200, compress(body, encoding), content_type, fields)
