"""Requests about the newest snapshot and the recording, as paths; and their answers, as structs."""

from collections.abc import Collection
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from blackbox.client.errors import AnswerError
from blackbox.client.target import Target
from blackbox.model import endpoints
from blackbox.model.block_table import BlockTable, LayoutError, decode
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoint_parameters import EventDetail
from blackbox.model.parameter import Parameter, TimeText
from blackbox.model.view import BlockDetail

T = TypeVar("T")
Time = float | str | datetime
"""Unix seconds; text in any form that the server reads (`-15m`, `10 minutes ago`, `12:03`, ISO 8601), in UTC where it
names no zone; or a `datetime` (local where it names no zone)."""
GpuName = str | int | None
"""Index or UUID of a GPU, UUID of a MIG instance; None for all."""
Kinds = str | Collection[str] | None
"""Kinds of events; None for all."""


class Query:
    """An endpoint and the parameters given to it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._query: dict[str, str] = {}

    def time(self, parameter: Parameter[TimeText], value: Time | None) -> "Query":
        """Adds a time; None leaves it out."""
        return self.add(parameter, str(value.timestamp()) if isinstance(value, datetime) else value)

    def add(self, parameter: Parameter[T], value: object | None) -> "Query":
        """Adds a parameter; None leaves it out."""
        assert parameter in self.endpoint.parameters
        if value is not None:
            self._query[parameter.name] = str(value)
        return self

    @property
    def content_type(self) -> str:
        """Of its answer."""
        is_json = self._query.get(endpoints.REPORT_FORMAT.name) == "json"
        return endpoints.JSON if is_json else self.endpoint.answer.content_type or ""

    def path(self, server: Target) -> str:
        """What to ask the server for."""
        return server.base_path + self.endpoint.path + ("?" + urlencode(self._query) if self._query else "")


def snapshot(gpu: GpuName, blocks: BlockDetail) -> Query:
    """The newest snapshot."""
    return Query(endpoints.SNAPSHOT).add(endpoints.GPU, gpu).add(endpoints.BLOCKS, _blocks(blocks))


def snapshot_stream(gpu: GpuName, blocks: BlockDetail) -> Query:
    """Snapshots as they are made."""
    return Query(endpoints.SNAPSHOT_STREAM).add(endpoints.GPU, gpu).add(endpoints.BLOCKS, _blocks(blocks))


def columns(gpu: GpuName, time: Time | None, version: str | None, event: int | None) -> Query:
    """Blocks as columns."""
    query = Query(endpoints.COLUMNS).add(endpoints.GPU, gpu).time(endpoints.COLUMNS_TIME, time)
    query.add(endpoints.EVENT, event)
    return query.add(endpoints.VERSION, version)


def history(
    since: Time | None, until: Time | None, gpu: GpuName, pid: int | None, metric: str | None, points: int | None
) -> Query:
    """A metric over time."""
    query = Query(endpoints.HISTORY).time(endpoints.FROM, since).time(endpoints.TO, until)
    return _series(query, gpu, pid, metric).add(endpoints.POINTS, points)


def chart(
    since: Time | None,
    until: Time | None,
    gpu: GpuName,
    pid: int | None,
    metrics: str | Collection[str] | None,
    points: int | None,
) -> Query:
    """Several metrics over time."""
    query = Query(endpoints.CHART).time(endpoints.FROM, since).time(endpoints.TO, until)
    query.add(endpoints.SERIES_GPU, gpu).add(endpoints.PID, pid)
    return query.add(endpoints.METRICS_OF_CHART, _kinds(metrics)).add(endpoints.POINTS, points)


def stacks(since: Time | None, until: Time | None, gpu: GpuName, pid: int | None, points: int | None) -> Query:
    """Live memory by stack over time."""
    query = Query(endpoints.STACKS).time(endpoints.FROM, since).time(endpoints.TO, until)
    return query.add(endpoints.SERIES_GPU, gpu).add(endpoints.PID, pid).add(endpoints.MOMENTS, points)


def at(time: Time | None, gpu: GpuName, blocks: BlockDetail, event: int | None = None) -> Query:
    """The snapshot as of a time, or of an event itself."""
    query = Query(endpoints.SNAPSHOT_AT).time(endpoints.AT, time).add(endpoints.EVENT, event)
    return query.add(endpoints.GPU, gpu).add(endpoints.BLOCKS, _blocks(blocks))


def events(
    since: Time | None,
    until: Time | None,
    kind: Kinds,
    limit: int | None,
    detail: EventDetail | None = None,
    event: int | None = None,
    gpu: GpuName = None,
) -> Query:
    """What happened."""
    query = Query(endpoints.EVENTS).time(endpoints.SINCE, since).time(endpoints.UNTIL, until)
    query.add(endpoints.KIND, _kinds(kind)).add(endpoints.EVENT_GPU, gpu).add(endpoints.LIMIT, limit)
    return query.add(endpoints.EVENT_DETAIL, detail).add(endpoints.ONE_EVENT, event)


def dumps(limit: int | None) -> Query:
    """The dumps kept."""
    return Query(endpoints.DUMPS).add(endpoints.LIMIT, limit)


def report(event: int | None, dump: str | None) -> Query:
    """A report, as JSON."""
    query = Query(endpoints.REPORT).add(endpoints.REPORT_EVENT, event).add(endpoints.DUMP, dump)
    return query.add(endpoints.REPORT_FORMAT, "json")


def event_stream(kind: Kinds, gpu: GpuName = None) -> Query:
    """Events as they happen."""
    return Query(endpoints.EVENTS_STREAM).add(endpoints.KIND, _kinds(kind)).add(endpoints.EVENT_GPU, gpu)


def compare(a: Time, b: Time | None, gpu: GpuName) -> Query:
    """What differs between two times."""
    query = Query(endpoints.COMPARE).time(endpoints.BEFORE, a).time(endpoints.AFTER, b)
    return query.add(endpoints.GPU, gpu)


def aggregated(window: str | None, until: Time | None, gpu: GpuName, pid: int | None, metric: str | None) -> Query:
    """What each series came to over a window."""
    query = Query(endpoints.AGGREGATED).add(endpoints.WINDOW, window).time(endpoints.WINDOW_END, until)
    return _series(query, gpu, pid, metric)


def coverage(gpu: GpuName) -> Query:
    """What processes let Blackbox see."""
    return Query(endpoints.COVERAGE).add(endpoints.GPU, gpu)


def forecast(gpu: GpuName = None) -> Query:
    """When memory will be full."""
    return Query(endpoints.FORECAST).add(endpoints.GPU, gpu)


def _series(query: Query, gpu: GpuName, pid: int | None, metric: str | None) -> Query:
    return query.add(endpoints.SERIES_GPU, gpu).add(endpoints.PID, pid).add(endpoints.METRIC, metric)


def _blocks(detail: BlockDetail) -> BlockDetail | None:
    return None if detail == endpoints.BLOCKS.default else detail


def _kinds(kind: Kinds) -> str | None:
    return kind if kind is None or isinstance(kind, str) else ",".join(sorted(kind))


def block_table(body: bytes, before: BlockTable | None) -> BlockTable:
    """The table in `body`. Raises `AnswerError`."""
    try:
        return decode(body, before)
    except LayoutError as error:
        raise AnswerError(f"the answer is no table of blocks: {error}") from None


def answer(body: bytes, expected: type[T]) -> T:
    """The answer in `body`. Raises `AnswerError`."""
    try:
        return msgspec.json.decode(body, type=expected)
    except DECODE_ERRORS as error:
        raise AnswerError(f"the answer is not a {expected.__name__}: {error}") from None
