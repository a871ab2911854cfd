"""The client for programs that block."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from blackbox.client.errors import ClientError, UnreachableError, unreachable
from blackbox.client.exchange import READ_BYTES, SILENCE_SECONDS_MAX, TIMEOUT_SECONDS, Exchange
from blackbox.client.resume import Loss, Progress, StreamEvent, decode
from blackbox.client.target import DEFAULT_URL, Target, path, target
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import BlockDetail


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
        deadline = time.monotonic() + self._timeout_seconds
        exchange = Exchange(self._target)
        wanted = path(self._target, "/vram", None if gpu is None else str(gpu), blocks)
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
    ) -> "Stream":
        """Every new snapshot, across restarts of the server. `on_loss` hears of each lost connection."""
        wanted = path(self._target, "/vram/stream", None if gpu is None else str(gpu), blocks)
        return Stream(self._target, wanted, self._timeout_seconds, on_loss)


class Stream(Iterator[StreamEvent]):
    """Iterates over events until closed. Connects at the first `next`; once connected it reconnects for ever.

    Raises `UnreachableError` where the first connection fails, `StatusError` where the server refuses.
    """

    def __init__(
        self, server: Target, wanted: str, timeout_seconds: float, on_loss: Callable[[Loss], None] | None
    ) -> None:
        self._target = server
        self._path = wanted
        self._timeout_seconds = timeout_seconds
        self._on_loss = on_loss
        self._progress = Progress()
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

    def __next__(self) -> StreamEvent:
        return next(self._events)

    def __enter__(self) -> "Stream":
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

    def _run(self) -> Iterator[StreamEvent]:
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

    def _read_connection(self) -> Iterator[StreamEvent]:
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
