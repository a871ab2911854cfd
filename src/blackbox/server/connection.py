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
from blackbox.server.http.connection_pool import Crowd
from blackbox.server.http.request import Refusal, Request
from blackbox.server.http.request_parser import RequestReader
from blackbox.server.http.response import Response, head, stream_head, unavailable

COPY_BYTES = 64 * 1024
"""Up to this size head and body are joined into one write; above, the copy would cost more than it saves."""
_PEER_CREDENTIALS = struct.Struct("3i")


class Connection(asyncio.Protocol):
    """Feeds its reader, answers one request at a time, and turns into a stream when asked for one."""

    __slots__ = (
        "_answering",
        "_app",
        "_client",
        "_crowd",
        "_deadline",
        "_held",
        "_last",
        "_limits",
        "_paused",
        "_peer",
        "_queue",
        "_reader",
        "_tls",
        "_transport",
        "_waiting_bytes",
    )

    def __init__(self, app: App, crowd: Crowd, tls: bool) -> None:
        self._app = app
        self._crowd = crowd
        self._limits = app.context.limits
        self._tls = tls
        self._reader: RequestReader | None = RequestReader(self._limits)
        """None once nothing more is read as HTTP: streaming, refused, or closing."""
        self._queue: list[Request | Refusal] = []
        """Read, not yet answered; while it holds anything, reading pauses."""
        self._answering: asyncio.Task[Answer] | None = None
        self._held = False
        """Reading is paused."""
        self._last = False
        """The connection ends with the queue."""
        self._paused = False
        """Bytes wait here because the peer is slow."""
        self._waiting_bytes = 0
        """How many waited when it last took some."""
        self._client: StreamClient | None = None
        self._deadline = inf

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        served = self._crowd.enter(self)
        if served:
            self._peer = Peer(_peer_uid(transport), self._tls)
            self._deadline = self._crowd.now + self._limits.idle_seconds
        elif self._crowd.has_room_to_refuse:
            self._refuse(unavailable("too many connections", retry_after_seconds=5))
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            return
        before = reader.phase
        found = reader.feed(data)
        self._queue += found
        if reader.phase != "idle" and (found or reader.phase != before):
            seconds = self._limits.head_seconds if reader.phase == "head" else self._limits.body_seconds
            self._deadline = self._crowd.now + seconds
        if len(self._queue) > self._limits.pipelined:
            del self._queue[self._limits.pipelined :]
            self._last = True
            self._stop_reading()
        self._pump()
        if reader.wants_continue and self._reader is reader and self._answering is None and not self._queue:
            reader.wants_continue = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def eof_received(self) -> bool:
        """A peer that closed its half may still wait for answers (not on TLS, which knows no halves)."""
        if self._tls or (self._answering is None and not self._queue):
            return False
        self._last = True
        self._stop_reading()
        return True

    def pause_writing(self) -> None:
        self._paused = True
        self._waiting_bytes = self._transport.get_write_buffer_size()
        self._deadline = self._crowd.now + self._limits.stall_seconds
        if self._client is not None:
            self._client.pause()

    def resume_writing(self) -> None:
        self._paused = False
        if self._transport.is_closing():
            return
        if self._client is not None:
            self._client.resume()
        elif self._reader is not None or self._queue:
            self._rest()
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        self._crowd.leave(self)
        self._stop_reading()
        self._queue.clear()
        if self._client is not None:
            self._client.leave()

    # Called by the crowd

    def check_deadline(self, now: float) -> None:
        if self._paused:
            self._check_progress(now)
        elif now >= self._deadline and self._client is None and self._answering is None:
            self._expire()

    def end(self) -> None:
        if self._client is not None:
            return
        if self._answering is not None or self._queue:
            self._last = True
            self._stop_reading()
        else:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    # Requests to answers

    def _pump(self) -> None:
        queue = self._queue
        while queue and self._answering is None and not self._paused and not self._transport.is_closing():
            item = queue.pop(0)
            if isinstance(item, Refusal):
                self._refuse(self._app.refuse(item))
                return
            answer = self._app.answer(item, self._peer)
            if isinstance(answer, ANSWERS):
                self._say(item, answer)
            else:
                self._answering = asyncio.get_running_loop().create_task(answer)
                self._answering.add_done_callback(partial(self._answered, item))
        self._hold(bool(queue))

    def _answered(self, request: Request, task: asyncio.Task[Answer]) -> None:
        self._answering = None
        if task.cancelled():
            return
        answer = task.result()
        if not self._transport.is_closing():
            self._say(request, answer)
            self._pump()
        elif isinstance(answer, Streaming) and answer.client is not None:
            answer.client.leave()

    def _say(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, Response):
            self._send(request, answer)
        elif answer.client is None:
            self._write(self._stream_head(request, answer))
        else:
            self._stream(self._stream_head(request, answer), answer, answer.client)
            return
        if not request.keep_alive or self._crowd.ending or (self._last and not self._queue):
            self._close()
        else:
            self._rest()

    def _send(self, request: Request, response: Response) -> None:
        connection = None
        if not request.keep_alive:
            connection = "close"
        elif request.version == "1.0":
            connection = "keep-alive"
        start = head(response, self._crowd.date, connection)
        body = b"" if request.method == "HEAD" else response.body
        if len(body) <= COPY_BYTES:
            self._write(start + body)
        else:
            self._write(start)
            self._write(body)

    def _stream_head(self, request: Request, streaming: Streaming) -> bytes:
        chunked = request.version == "1.1"
        connection = "keep-alive" if chunked and request.keep_alive else "close"
        return stream_head(self._crowd.date, streaming.fields, connection, chunked=chunked)

    def _stream(self, start: bytes, streaming: Streaming, client: StreamClient) -> None:
        self._stop_reading()
        self._queue.clear()
        self._client = client
        self._deadline = inf
        self._transport.set_write_buffer_limits(high=1)  # TLS in uvloop takes 0 for "always paused"
        _keep_unsent_below(self._transport, self._limits.unsent_bytes)
        client.start(self._transport, start + streaming.data, streaming.seq)
        if self._crowd.ending:
            client.finish("server stopping")

    def _refuse(self, response: Response) -> None:
        """Says why, and reads on for a moment so that the answer is not lost in a reset."""
        self._stop_reading()
        self._queue.clear()
        self._write(head(response, self._crowd.date, "close") + response.body)
        self._deadline = self._crowd.now + self._limits.linger_seconds
        self._hold(False)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        self._app.context.stats.bytes_sent_total += len(data)
        self._transport.write(data)

    # Deadlines and endings

    def _rest(self) -> None:
        if self._reader is not None and self._reader.phase == "idle":
            self._deadline = self._crowd.now + self._limits.idle_seconds

    def _check_progress(self, now: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting != self._waiting_bytes:
            self._waiting_bytes = waiting
            self._deadline = now + self._limits.stall_seconds
        elif now >= self._deadline:
            self._app.context.stats.connections_stalled_total += 1
            self.abort()

    def _expire(self) -> None:
        if self._reader is None:
            self.abort()
            return
        self._app.context.stats.connections_expired_total += 1
        if self._reader.phase == "idle":
            self._close()
        else:
            self._refuse(self._app.refuse(Refusal(408, f"request {self._reader.phase} took too long")))

    def _close(self) -> None:
        """Closes once everything written has left."""
        self._stop_reading()
        self._deadline = self._crowd.now + self._limits.stall_seconds
        self._transport.close()

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.drop()
            self._reader = None

    def _hold(self, hold: bool) -> None:
        if hold and not self._held:
            self._transport.pause_reading()
        elif self._held and not hold and not self._transport.is_closing():
            self._transport.resume_reading()
        self._held = hold


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
