"""The client for programs that block."""

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from typing import Any, Self, TypeVar

from blackbox.client import queries
from blackbox.client.base import BaseClient, BaseStream
from blackbox.client.errors import ClientError, UnreachableError, unreachable
from blackbox.client.exchange import READ_BYTES, SILENCE_SECONDS_MAX, Exchange
from blackbox.client.queries import Query, Time
from blackbox.client.resume import EventProgress, Loss, Progress, SnapshotProgress, StreamEvent, decode
from blackbox.client.rows import Rows
from blackbox.client.target import Target
from blackbox.model import endpoints
from blackbox.model.about import Coverage, OwnCost, ProcessCoverage, SettingInForce, SettingsInForce
from blackbox.model.block_table import BlockTable
from blackbox.model.dump import DumpInfo, DumpList
from blackbox.model.endpoint_parameters import EventDetail
from blackbox.model.forecast import Forecast
from blackbox.model.query import (
    Aggregate,
    Aggregated,
    Chart,
    Comparison,
    EventList,
    History,
    NumberedEvent,
    StackHistory,
)
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import BlockDetail

T = TypeVar("T")


class Client(BaseClient):
    """Asks one server. Holds no connection between calls, so threads may share it."""

    def snapshot(self, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> Snapshot:
        """The newest snapshot, of all GPUs or of one (index or UUID). Raises `ClientError`."""
        return decode(self.snapshot_json(gpu=gpu, blocks=blocks))

    def snapshot_json(self, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> bytes:
        """The same as the server's own JSON."""
        return self.ask(queries.snapshot(gpu, blocks))

    def columns(
        self,
        *,
        gpu: str | int | None = None,
        time: Time | None = None,
        event: int | None = None,
        since: BlockTable | None = None,
    ) -> BlockTable:
        """Every block as columns of numbers, of the newest sample, of a time or of an event itself. `since`: the
        table last got, of the same GPUs; what is the same as there is not sent again. Raises `ClientError`."""
        version = since.head.version if since is not None else None
        query = queries.columns(gpu, time, version, event)
        return queries.block_table(self.ask(query), since)

    def history(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metric: str | None = None,
        points: int | None = None,
    ) -> History:
        """A metric (default `used_bytes`) over time (default the last hour). Raises `ClientError`."""
        query = queries.history(since, until, gpu, pid, metric, points)
        return queries.answer(self.ask(query), History)

    def chart(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metrics: str | Collection[str] | None = None,
        points: int | None = None,
    ) -> Chart:
        """Several metrics over time as arrays on one grid, with what happened meanwhile. Raises `ClientError`."""
        query = queries.chart(since, until, gpu, pid, metrics, points)
        return queries.answer(self.ask(query), Chart)

    def stacks(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        points: int | None = None,
    ) -> StackHistory:
        """Live memory by the stack that allocated it, over time; of the last hour without `since`."""
        return queries.answer(self.ask(queries.stacks(since, until, gpu, pid, points)), StackHistory)

    def at(
        self,
        time: Time | None = None,
        *,
        gpu: str | int | None = None,
        blocks: BlockDetail = "full",
        event: int | None = None,
    ) -> Snapshot:
        """The snapshot as of a time, or that of an event itself (its id). Raises `StatusError` (404) where nothing was
        recorded."""
        return decode(self.ask(queries.at(time, gpu, blocks, event)))

    def events(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        kind: str | Collection[str] | None = None,
        gpu: str | int | None = None,
        limit: int | None = None,
        detail: EventDetail = "full",
        event: int | None = None,
    ) -> Rows[NumberedEvent]:
        """What happened, oldest first: in full, `light` (refusals without allocator and history), or `folded` (events
        alike as one, with `repeats`). Or the one event of an id; raises `StatusError` (404) where there is none."""
        query = queries.events(since, until, kind, limit, detail, event, gpu)
        return Rows(queries.answer(self.ask(query), EventList).events)

    def dumps(self, *, limit: int | None = None) -> Rows[DumpInfo]:
        """The dumps kept beside the recording, oldest first."""
        return Rows(queries.answer(self.ask(queries.dumps(limit)), DumpList).dumps)

    def report(self, *, event: int | None = None, dump: str | None = None) -> dict[str, Any]:
        """What led to an event (its id), or what is in a dump (its name): causes, figures, advice. docs/reports.md has
        the keys. Raises `StatusError` (404) where nothing is left of it."""
        return queries.answer(self.ask(queries.report(event, dump)), dict[str, Any])

    def compare(self, a: Time, b: Time | None = None, *, gpu: str | int | None = None) -> Comparison:
        """What is new, gone, grown or shrunk between two times; `b` defaults to now."""
        return queries.answer(self.ask(queries.compare(a, b, gpu)), Comparison)

    def aggregated(
        self,
        window: str | None = None,
        *,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metric: str | None = None,
    ) -> Rows[Aggregate]:
        """What each series came to over a window (`15m`, `7d`; default five minutes)."""
        query = queries.aggregated(window, until, gpu, pid, metric)
        return Rows(queries.answer(self.ask(query), Aggregated).aggregates)

    def forecast(self, *, gpu: str | int | None = None) -> Forecast:
        """When memory will be full, where it steadily fills. Predictions, with their evidence."""
        return queries.answer(self.ask(queries.forecast(gpu)), Forecast)

    def coverage(self, *, gpu: str | int | None = None) -> Rows[ProcessCoverage]:
        """What each process lets Blackbox see of its memory, and why not more."""
        return Rows(queries.answer(self.ask(queries.coverage(gpu)), Coverage).processes)

    def settings(self) -> Rows[SettingInForce]:
        """The server's settings, and where each was set."""
        return Rows(queries.answer(self.ask(Query(endpoints.SETTINGS)), SettingsInForce).settings)

    def status(self) -> OwnCost:
        """What the server itself takes and does."""
        return queries.answer(self.ask(Query(endpoints.STATUS)), OwnCost)

    def ask(self, query: Query) -> bytes:
        """The answer to any query, as the server's own bytes. Raises `ClientError`."""
        return self._get(query.path(self._target), query.content_type)

    def _get(self, wanted: str, content_type: str) -> bytes:
        deadline = time.monotonic() + self._timeout_seconds
        exchange = Exchange(self._target)
        with closing(_connect(self._target, self._timeout_seconds)) as connection:
            _send(self._target, connection, exchange.request(wanted, {"Accept": content_type}))
            while not exchange.complete:
                _receive(self._target, connection, exchange, deadline - time.monotonic())
        return exchange.whole_body(content_type)

    def stream(
        self,
        *,
        gpu: str | int | None = None,
        blocks: BlockDetail = "full",
        on_loss: Callable[[Loss], None] | None = None,
    ) -> "Stream[StreamEvent]":
        """Every new snapshot, across restarts of the server. `on_loss` hears of each lost connection."""
        wanted = queries.snapshot_stream(gpu, blocks).path(self._target)
        return Stream(self._target, wanted, self._timeout_seconds, on_loss, SnapshotProgress())

    def event_stream(
        self,
        *,
        kind: str | Collection[str] | None = None,
        gpu: str | int | None = None,
        after: int | None = None,
        on_loss: Callable[[Loss], None] | None = None,
    ) -> "Stream[NumberedEvent]":
        """Every event from now on (or behind the id `after`), across restarts of the server: none is missed."""
        wanted = queries.event_stream(kind, gpu).path(self._target)
        return Stream(self._target, wanted, self._timeout_seconds, on_loss, EventProgress(after))


class Stream(BaseStream[T], Iterator[T]):
    """Iterates over events until closed. Connects at the first `next`; once connected it reconnects for ever.

    Raises `UnreachableError` where the first connection fails, `StatusError` where the server refuses.
    """

    def __init__(
        self,
        server: Target,
        wanted: str,
        timeout_seconds: float,
        on_loss: Callable[[Loss], None] | None,
        progress: Progress[T],
    ) -> None:
        super().__init__(server, wanted, timeout_seconds, on_loss, progress)
        self._connection: socket.socket | None = None
        self._closed = threading.Event()
        self._events = self._run()

    def __next__(self) -> T:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream; from another thread it ends a waiting `next` too, with `StopIteration`."""
        self._closed.set()
        connection = self._connection
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _run(self) -> Iterator[T]:
        while not self._closed.is_set():
            try:
                yield from self._read_connection()
            except ClientError as error:
                if self._closed.is_set():
                    return
                self._closed.wait(self._lost(error))

    def _read_connection(self) -> Iterator[T]:
        exchange = Exchange(self._target)
        with closing(_connect(self._target, self._timeout_seconds)) as connection:
            self._connection = connection
            _send(self._target, connection, self._request(exchange))
            deadline = time.monotonic() + self._timeout_seconds
            while not exchange.stream_decided:
                _receive(self._target, connection, exchange, deadline - time.monotonic())
            self._begin(exchange)
            while True:
                for event in self._arrived(exchange):
                    if self._closed.is_set():
                        return
                    yield event
                _receive(self._target, connection, exchange, SILENCE_SECONDS_MAX)


def _connect(server: Target, timeout_seconds: float) -> socket.socket:
    try:
        connection = _open(server, timeout_seconds)
    except OSError as error:
        raise unreachable(server.label, error) from error
    if server.tls is None:
        return connection
    try:
        return server.tls.wrap_socket(connection, server_hostname=server.host)
    except OSError as error:
        connection.close()
        raise unreachable(server.label, error) from error


def _open(server: Target, timeout_seconds: float) -> socket.socket:
    if server.unix_socket is None:
        return socket.create_connection((server.host, server.port), timeout_seconds)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_seconds)
    try:
        connection.connect(str(server.unix_socket))
    except OSError:
        connection.close()
        raise
    return connection


def _send(server: Target, connection: socket.socket, request: bytes) -> None:
    try:
        connection.sendall(request)
    except OSError as error:
        raise unreachable(server.label, error) from error


def _receive(server: Target, connection: socket.socket, exchange: Exchange, timeout_seconds: float) -> None:
    if timeout_seconds <= 0:
        raise UnreachableError(f"{server.label} did not answer in time")
    try:
        connection.settimeout(timeout_seconds)
        data = connection.recv(READ_BYTES)
    except OSError as error:
        raise unreachable(server.label, error) from error
    exchange.feed(data)
