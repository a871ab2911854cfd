"""One connection: bytes in, answers out, in order, within its deadlines."""

import asyncio
import socket
import struct
from functools import partial
from math import inf
from typing import cast

from blackbox.server.app import ANSWERS, App
from blackbox.server.auth.access import Peer
from blackbox.server.http.answer import Answer, StreamClient, Streaming
from blackbox.server.http.connection_pool import ConnectionPool
from blackbox.server.http.outbox import Outbox
from blackbox.server.http.ready_answers import ReadyAnswer, may_be_repeated
from blackbox.server.http.request import HTTPError, Request
from blackbox.server.http.request_parser import RequestReader
from blackbox.server.http.response import Response, head, stream_head, unavailable

COPY_BYTES = 64 * 1024
"""Up to this size head and body are joined into one write; above, the copy would cost more than it saves."""
_PEER_CREDENTIALS = struct.Struct("3i")


class Connection(asyncio.Protocol):
    """Parses what arrives, answers requests one by one in order, and becomes an event stream where one is asked for."""

    __slots__ = (
        "_app",
        "_asked",
        "_client",
        "_close_after_queue",
        "_deadline",
        "_limits",
        "_outbox",
        "_peer",
        "_pool",
        "_queue",
        "_reader",
        "_reading_paused",
        "_stats",
        "_task",
        "_tls",
        "_transport",
    )

    def __init__(self, app: App, pool: ConnectionPool, tls: bool) -> None:
        self._app = app
        self._pool = pool
        self._limits = app.context.limits
        self._stats = app.context.stats
        self._tls = tls
        self._reader: RequestReader | None = RequestReader(self._limits)
        """None once nothing more is parsed: the connection streams, was refused, or is closing."""
        self._queue: list[Request | HTTPError] = []
        """Requests received and not yet answered; reading pauses while there are any."""
        self._asked: tuple[tuple[object, ...], bytes] | None = None
        """While a request is answered that came whole and alone: the state of the server at that time, and its
        bytes."""
        self._task: asyncio.Task[Answer] | None = None
        """Makes the answer to the request before those in the queue."""
        self._reading_paused = False
        self._close_after_queue = False
        """The connection closes once the queue is answered."""
        self._client: StreamClient | None = None
        """The stream that the connection carries."""
        self._deadline = inf
        """Loop time of the end of what the connection waits for: a head, a body, the next request, or a slow peer."""

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        scheduler = self._pool.scheduler
        scheduler.arrivals += 1
        self._outbox = Outbox(self._transport, self._app.context.waiting, scheduler, self._limits, tls=self._tls)
        served = self._pool.add(self)
        if served:
            self._peer = Peer(_peer_uid(transport), self._tls)
            self._deadline = self._pool.now + self._limits.idle_seconds
        elif self._pool.may_refuse:
            self._refuse(unavailable("too many connections", retry_after_seconds=5))
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        self._pool.scheduler.arrivals += 1
        before = reader.phase
        asked = None
        if before == "idle" and self._task is None and not self._queue and not self._outbox.is_waiting:
            state = self._app.state(self._pool.date)
            ready = self._app.ready.find(state, data, self._peer)
            if ready is not None and not self._transport.is_closing():
                self._repeat(ready)
                return
            asked = state, data
        found = reader.feed(data)
        self._queue += found
        if reader.phase != "idle" and (found or reader.phase != before):
            seconds = self._limits.head_seconds if reader.phase == "head" else self._limits.body_seconds
            self._deadline = self._pool.now + seconds
        if len(self._queue) > self._limits.pipelined:
            del self._queue[self._limits.pipelined :]
            self._close_after_queue = True
            self._stop_reading()
        self._asked = asked if len(found) == 1 and reader.phase == "idle" and not reader.finished else None
        self._process_queue()
        self._asked = None
        if reader.wants_continue and self._reader is reader and self._task is None and not self._queue:
            reader.wants_continue = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def eof_received(self) -> bool:
        """A peer that closed its half may still read answers (not on TLS, which cannot be half closed)."""
        if self._tls or (self._task is None and not self._queue):
            return False
        self._close_after_queue = True
        self._stop_reading()
        return True

    def pause_writing(self) -> None:
        self._outbox.pause()
        if self._client is not None:
            self._client.pause()

    def resume_writing(self) -> None:
        if not self._outbox.resume() or self._outbox.is_closing():
            return
        if self._client is not None:
            self._client.resume()
        elif self._reader is not None or self._queue:
            self._arm_idle_deadline()
            self._process_queue()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        self._pool.remove(self)
        self._outbox.drop()
        self._stop_reading()
        self._queue.clear()
        if self._client is not None:
            self._client.leave()

    # Called by the pool

    def check_deadline(self, now: float) -> None:
        if self._outbox.is_waiting:
            self._check_progress(now)
        elif now >= self._deadline and self._client is None and self._task is None:
            self._expire()

    def end(self) -> None:
        if self._client is not None:
            return
        if self._task is not None or self._queue:
            self._close_after_queue = True
            self._stop_reading()
        else:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    # Requests to answers

    def _process_queue(self) -> None:
        queue = self._queue
        while queue and self._may_answer_now():
            item = queue.pop(0)
            if isinstance(item, HTTPError):
                self._refuse(self._app.refuse(item))
                return
            answer = self._app.answer(item, self._peer)
            if isinstance(answer, ANSWERS):
                self._write_response(item, answer)
            else:
                self._task = asyncio.get_running_loop().create_task(answer)
                self._task.add_done_callback(partial(self._answered, item))
        self._pause_reading(bool(queue))

    def _may_answer_now(self) -> bool:
        return self._task is None and not self._outbox.is_waiting and not self._outbox.is_closing()

    def _repeat(self, ready: ReadyAnswer) -> None:
        """Gives the same answer to the same request."""
        data, stats = ready.data, self._stats
        stats.requests_total[ready.counted_as] += 1
        stats.bytes_sent_total += len(data)
        self._outbox.write(data)
        if self._pool.stopping:
            self._close()
        else:
            self._deadline = self._pool.time() + self._limits.idle_seconds

    def _answered(self, request: Request, task: asyncio.Task[Answer]) -> None:
        self._task = None
        if task.cancelled():
            return
        answer = task.result()
        if not self._outbox.is_closing():
            self._write_response(request, answer)
            self._process_queue()
        elif isinstance(answer, Streaming) and answer.client is not None:
            answer.client.leave()

    def _write_response(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, Response):
            self._send(request, answer)
        elif answer.client is None:
            self._write(self._stream_head(request, answer))
        else:
            self._stream(self._stream_head(request, answer), answer, answer.client)
            return
        if not request.keep_alive or self._pool.stopping or (self._close_after_queue and not self._queue):
            self._close()
        else:
            self._arm_idle_deadline()

    def _send(self, request: Request, response: Response) -> None:
        connection = None
        if not request.keep_alive:
            connection = "close"
        elif request.version == "1.0":
            connection = "keep-alive"
        start = head(response, self._pool.date, connection)
        body = b"" if request.method == "HEAD" else response.body
        if len(body) <= COPY_BYTES:
            data = start + body
            if self._asked is not None and may_be_repeated(response, request.headers):
                counted_as = request.target.path, response.status
                self._app.ready.keep(*self._asked, self._peer, ReadyAnswer(data, counted_as))
            self._write(data)
        else:
            self._write(start, body)

    def _stream_head(self, request: Request, streaming: Streaming) -> bytes:
        chunked = request.version == "1.1"
        connection = "keep-alive" if chunked and request.keep_alive else "close"
        return stream_head(self._pool.date, streaming.fields, connection, chunked=chunked)

    def _stream(self, start: bytes, streaming: Streaming, client: StreamClient) -> None:
        self._stop_reading()
        self._queue.clear()
        self._client = client
        self._deadline = inf
        _keep_unsent_below(self._transport, self._limits.unsent_bytes)
        client.start(self._outbox, start + streaming.data, streaming.seq)
        if self._pool.stopping:
            client.finish("server stopping")

    def _refuse(self, response: Response) -> None:
        """Answers and closes, but reads on for `linger_seconds`: a reset could destroy the answer on its way."""
        self._stop_reading()
        self._queue.clear()
        self._write(head(response, self._pool.date, "close") + response.body)
        self._deadline = self._pool.now + self._limits.linger_seconds
        self._pause_reading(False)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._outbox.close()

    def _write(self, data: bytes, more: bytes = b"") -> None:
        self._stats.bytes_sent_total += len(data) + len(more)
        self._outbox.write(data, more)

    # Deadlines, and closing

    def _arm_idle_deadline(self) -> None:
        if self._reader is not None and self._reader.phase == "idle":
            self._deadline = self._pool.now + self._limits.idle_seconds

    def _check_progress(self, now: float) -> None:
        if self._outbox.is_too_slow(now):
            self._stats.connections_stalled_total += 1
            self.abort()

    def _expire(self) -> None:
        if self._reader is None:
            self.abort()
            return
        self._stats.connections_expired_total += 1
        if self._reader.phase == "idle":
            self._close()
        else:
            self._refuse(self._app.refuse(HTTPError(408, f"request {self._reader.phase} took too long")))

    def _close(self) -> None:
        """Closes once everything written has been sent."""
        self._stop_reading()
        self._deadline = self._pool.now + self._limits.stall_seconds
        self._outbox.close()

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.drop()
            self._reader = None

    def _pause_reading(self, pause: bool) -> None:
        if pause and not self._reading_paused:
            self._transport.pause_reading()
        elif self._reading_paused and not pause and not self._transport.is_closing():
            self._transport.resume_reading()
        self._reading_paused = pause


def _peer_uid(transport: asyncio.BaseTransport) -> int | None:
    """User at the other end of a Unix socket; None on TCP."""
    peer: socket.socket = transport.get_extra_info("socket")
    if peer.family != socket.AF_UNIX:
        return None
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    return _PEER_CREDENTIALS.unpack(credentials)[1]


def _keep_unsent_below(transport: asyncio.BaseTransport, size: int) -> None:
    """Bounds the old frames that the kernel queues for a slow peer."""
    peer: socket.socket = transport.get_extra_info("socket")
    if peer.family != socket.AF_UNIX:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)
