"""The real server in this process, on a thread of its own, and a client that speaks in raw bytes."""

import asyncio
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import uvloop

from blackbox.hub import Hub
from blackbox.model.sample import Sample
from blackbox.recorder import Recording
from blackbox.server import Limits, Server
from blackbox.settings import Settings
from tests import moments
from tests.waiting import PATIENCE_SECONDS, until

T = TypeVar("T")

QUICK = Limits(
    head_seconds=0.3,
    body_seconds=0.3,
    idle_seconds=0.6,
    stall_seconds=0.4,
    linger_seconds=0.3,
    sweep_seconds=0.05,
    stop_seconds=1.0,
    heartbeat_seconds=0.3,
)
"""Deadlines that a test can wait for."""
WATCHFUL = Limits(sweep_seconds=QUICK.sweep_seconds)
"""Looks at files as often, without a deadline that who asks on a loaded machine may miss."""


class Serving:
    """A hub and its server; nothing is published but by `publish`."""

    def __init__(
        self, settings: Settings | None = None, limits: Limits | None = None, recording: Recording | None = None
    ) -> None:
        self.hub = Hub(time.monotonic)
        self.server = Server(self.hub, settings or Settings(port=0), limits, recording=recording)
        self.seq = 0
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.run(self.server.start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._thread.is_alive():
            self.stop()

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    def call(self, work: Callable[[], T]) -> T:
        """Calls on the server's loop, after everything that waits there already."""
        done: Future[T] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(work()))
        return done.result(PATIENCE_SECONDS)

    def post(self, work: Callable[[], object]) -> None:
        """Calls on the server's loop in one of its next turns."""
        self._loop.call_soon_threadsafe(work)

    def publish(self, *samples: Sample, **changes: Any) -> int:
        """Publishes a moment, taken now; returns its number."""
        self.seq += 1
        now = {"seq": self.seq, "taken_at": time.monotonic(), "timestamp": time.time()}
        self.hub.publish(moments.moment(*samples, **(now | changes)))
        return self.seq

    def stop(self) -> None:
        """Stops the server and its loop."""
        try:
            self.run(self.server.stop())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def connect(self, receive_buffer: int | None = None) -> "Raw":
        return Raw.tcp(self.port, receive_buffer)

    def ask(self, path: str, method: str = "GET", **headers: str) -> "Reply":
        """One request on a connection of its own; underscores in header names stand for dashes."""
        with self.connect() as raw:
            raw.request(path, method, **headers)
            return raw.reply(method)

    def until(self, condition: Callable[[], bool]) -> None:
        until(condition)


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Raw:
    """A client socket."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(PATIENCE_SECONDS)
        self.socket = connected
        self._pending = b""

    @classmethod
    def tcp(cls, port: int, receive_buffer: int | None = None) -> Self:
        connected = socket.socket()
        if receive_buffer is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connected.connect(("127.0.0.1", port))
        return cls(connected)

    @classmethod
    def unix(cls, path: Path) -> Self:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(str(path))
        return cls(connected)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, path: str, method: str = "GET", **headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1"]
        fields = {"host": "localhost"} | headers
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def reply(self, method: str = "GET") -> Reply:
        """The next answer, parsed by the standard library."""
        stream = _Stream(self)
        response = http.client.HTTPResponse(stream, method=method)  # type: ignore[arg-type]
        response.begin()
        body = response.read()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def until(self, end: bytes) -> bytes:
        """Everything up to and with `end`."""
        while end not in self._pending:
            self._receive()
        found, _, self._pending = self._pending.partition(end)
        return found + end

    def rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            while True:
                self._receive()
        except EOFError:
            found, self._pending = self._pending, b""
            return found

    def take(self, size: int) -> bytes:
        """At most `size` bytes, at least one; nothing at the end."""
        if not self._pending:
            try:
                self._receive()
            except EOFError:
                return b""
        found, self._pending = self._pending[:size], self._pending[size:]
        return found

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError(self._pending)
        self._pending += data


class _Stream(io.RawIOBase):
    """What `http.client` reads from: never more than it asks for leaves the socket's rest."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    def makefile(self, *_args: object) -> io.BufferedReader:
        return io.BufferedReader(self, 1)

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        data = self._raw.take(len(into))
        into[: len(data)] = data
        return len(data)
