"""The client for programs that block."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Generic, Self, TypeVar

from blackbox.client import questions
from blackbox.client.errors import ClientError, UnreachableError, unreachable
from blackbox.client.exchange import READ_BYTES, SILENCE_SECONDS_MAX, TIMEOUT_SECONDS, Exchange
from blackbox.client.questions import Question, Time
from blackbox.client.resume import EventProgress, Loss, Progress, SnapshotProgress, StreamEvent, decode
from blackbox.client.target import DEFAULT_URL, Target, target
from blackbox.model.query import Aggregate, Aggregated, Comparison, EventList, Forecast, History, NumberedEvent
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import BlockDetail

T = TypeVar("T")


class Client:
    """Asks one server. Holds no connection between calls, so threads may share it."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        unix_socket: str | Path | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` defaults to the system's trusted authorities. Raises `UsageError` when `url` is no HTTP URL."""
        self._target = target(url, token, Path(unix_socket) if unix_socket is not None else None, tls)
        self._timeout_seconds = timeout_seconds

    def snapshot(self, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> Snapshot:
        """The newest snapshot, of all GPUs or of one (index or UUID). Raises `ClientError`."""
        return decode(self.snapshot_json(gpu=gpu, blocks=blocks))

    def snapshot_json(self, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> bytes:
        """The same as the server's own JSON."""
        return self.ask(questions.snapshot(gpu, blocks))

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
        question = questions.history(since, until, gpu, pid, metric, points)
        return questions.answer(self.ask(question), History)

    def at(self, time: Time, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> Snapshot:
        """The snapshot as of a time. Raises `StatusError` (404) where nothing was recorded."""
        return decode(self.ask(questions.at(time, gpu, blocks)))

    def events(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        kind: str | Collection[str] | None = None,
        limit: int | None = None,
    ) -> tuple[NumberedEvent, ...]:
        """What happened, oldest first."""
        question = questions.events(since, until, kind, limit)
        return questions.answer(self.ask(question), EventList).events

    def compare(self, a: Time, b: Time | None = None, *, gpu: str | int | None = None) -> Comparison:
        """What is new, gone, grown or shrunk between two times; `b` defaults to now."""
        return questions.answer(self.ask(questions.compare(a, b, gpu)), Comparison)

    def aggregated(
        self,
        window: str | None = None,
        *,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metric: str | None = None,
    ) -> tuple[Aggregate, ...]:
        """What each series came to over a window (`15m`, `7d`; default five minutes)."""
        question = questions.aggregated(window, until, gpu, pid, metric)
        return questions.answer(self.ask(question), Aggregated).aggregates

    def forecast(self) -> Forecast:
        """When memory will be full, where it steadily fills. Predictions, with their evidence."""
        return questions.answer(self.ask(questions.forecast()), Forecast)

    def ask(self, question: Question) -> bytes:
        """The answer to any question, as the server's own JSON. Raises `ClientError`."""
        return self._get(question.path(self._target))

    def _get(self, wanted: str) -> bytes:
        deadline = time.monotonic() + self._timeout_seconds
        exchange = Exchange(self._target)
        with closing(_connect(self._target, self._timeout_seconds)) as connection:
            _send(self._target, connection, exchange.request(wanted, {"Accept": "application/json"}))
            while not exchange.complete:
                _receive(self._target, connection, exchange, deadline - time.monotonic())
        exchange.raise_refusal()
        exchange.require_type("application/json")
        return exchange.take_body()

    def stream(
        self,
        *,
        gpu: str | int | None = None,
        blocks: BlockDetail = "full",
        on_loss: Callable[[Loss], None] | None = None,
    ) -> "Stream[StreamEvent]":
        """Every new snapshot, across restarts of the server. `on_loss` hears of each lost connection."""
        wanted = questions.snapshot_stream(gpu, blocks).path(self._target)
        return Stream(self._target, wanted, self._timeout_seconds, on_loss, SnapshotProgress())

    def event_stream(
        self,
        *,
        kind: str | Collection[str] | None = None,
        after: int | None = None,
        on_loss: Callable[[Loss], None] | None = None,
    ) -> "Stream[NumberedEvent]":
        """Every event from now on (or behind the id `after`), across restarts of the server: none is missed."""
        wanted = questions.event_stream(kind).path(self._target)
        return Stream(self._target, wanted, self._timeout_seconds, on_loss, EventProgress(after))


class Stream(Iterator[T], Generic[T]):
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
        self._target = server
        self._path = wanted
        self._timeout_seconds = timeout_seconds
        self._on_loss = on_loss
        self._progress = progress
        self._connection: socket.socket | None = None
        self._closed = threading.Event()
        self._events = self._run()

    @property
    def missed_total(self) -> int:
        """Samples that never reached us, so far."""
        return self._progress.missed_total

    @property
    def reconnects_total(self) -> int:
        """Connections made after the first."""
        return self._progress.reconnects_total

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
                loss = self._progress.lost(error)
                if self._on_loss is not None:
                    self._on_loss(loss)
                self._closed.wait(loss.retry_in_seconds)

    def _read_connection(self) -> Iterator[T]:
        exchange = Exchange(self._target)
        with closing(_connect(self._target, self._timeout_seconds)) as connection:
            self._connection = connection
            _send(self._target, connection, exchange.request(self._path, self._progress.headers()))
            deadline = time.monotonic() + self._timeout_seconds
            while not exchange.headers_complete or (exchange.refused and not exchange.complete):
                _receive(self._target, connection, exchange, deadline - time.monotonic())
            exchange.raise_refusal()
            exchange.require_type("text/event-stream")
            self._progress.connected()
            while True:
                for event in self._progress.feed(exchange.take_body()):
                    if self._closed.is_set():
                        return
                    yield event
                if exchange.complete:
                    raise UnreachableError(f"{self._target.label} ended the stream")
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
