"""The stream of snapshots: one frame per moment and format, handed to every client; a slow client gets the newest."""

import asyncio
import logging
from typing import NamedTuple

from blackbox.hub import Hub, Published
from blackbox.model.status import ServerStats
from blackbox.model.view import Shape, UnknownGpuError
from blackbox.server.http.limits import Limits
from blackbox.server.http.sse import Framing, comment, event

BEFORE_FIRST = -1
"""`seq` of a client that has seen no event."""

SLICE_CLIENTS = 500
"""Streams written to before other connections get their turn: 5 ms."""

logger = logging.getLogger(__name__)


class StreamFormat(NamedTuple):
    """What a stream carries, and how. Streams of one format share every byte."""

    shape: Shape
    framing: Framing


class Subscribers:
    """The clients of one format, and its newest frame."""

    def __init__(self, stream_format: StreamFormat, now: float) -> None:
        self.stream_format = stream_format
        self.clients: set[SnapshotClient] = set()
        self.seq = BEFORE_FIRST
        self.frame = b""
        self.wrote_at = now
        """Loop time at which the clients were last sent something."""


class SnapshotClient:
    """One stream of snapshots. It queues no frames: a slow peer gets the newest of its format once it has caught up."""

    __slots__ = ("_broadcaster", "_transport", "ready", "seq", "subscribers")

    def __init__(self, broadcaster: "Broadcaster", subscribers: Subscribers) -> None:
        self._broadcaster = broadcaster
        self._transport: asyncio.WriteTransport | None = None
        self.subscribers = subscribers
        self.seq = BEFORE_FIRST
        """Last event handed to the transport."""
        self.ready = False
        """It has started, and everything written so far has been handed to the kernel."""

    def start(self, transport: asyncio.WriteTransport, first: bytes, seq: int) -> None:
        """Sends the first bytes of the stream, whose last event is `seq`; newer frames follow."""
        self._transport = transport
        self.seq = seq
        self.ready = True
        self.write(first)
        if self.ready:
            self.offer()

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        self._broadcaster.stats.bytes_sent_total += len(data)

    def offer(self) -> None:
        """Sends the newest frame of its format unless it has been sent, preceded by how many were skipped."""
        subscribers = self.subscribers
        if self.seq >= subscribers.seq:
            return
        missed = subscribers.seq - self.seq - 1 if self.seq != BEFORE_FIRST else 0
        self.seq = subscribers.seq
        stats = self._broadcaster.stats
        stats.frames_sent_total += 1
        if missed:
            stats.frames_missed_total += missed
            self.write(subscribers.stream_format.framing.piece(comment(f"missed {missed}")) + subscribers.frame)
        else:
            self.write(subscribers.frame)

    def pause(self) -> None:
        """The peer is slow: bytes wait in the transport."""
        self.ready = False

    def resume(self) -> None:
        """The transport's buffer is empty again."""
        self.ready = True
        self.offer()

    def finish(self, reason: str) -> None:
        """Sends the newest event if it is still missing, the reason, and the end of the stream."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.offer()
        self.ready = False
        framing = self.subscribers.stream_format.framing
        self.write(framing.piece(comment(reason)) + framing.tail())
        transport.close()

    def leave(self) -> None:
        self._broadcaster.leave(self)


class Broadcaster:
    """Encodes every moment once per format on the publishing thread, and hands the frames out on the event loop."""

    def __init__(self, hub: Hub, stats: ServerStats, limits: Limits, streams_max: int) -> None:
        self._hub = hub
        self._limits = limits
        self._streams_max = streams_max
        self._subscribers: dict[StreamFormat, Subscribers] = {}
        self._formats: tuple[StreamFormat, ...] = ()
        """Keys of `_subscribers`; replaced, never changed, so that the publishing thread may read it."""
        self.stats = stats

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unsubscribe = self._hub.subscribe(self._on_moment)

    def stop(self, reason: str) -> None:
        """Sends the newest event on every stream and ends it."""
        self._unsubscribe()
        latest = self._hub.latest
        if latest is not None:
            self._deliver(latest.moment.seq, self._frames(latest))
        for subscribers in tuple(self._subscribers.values()):
            for client in tuple(subscribers.clients):
                client.finish(reason)

    def join(self, stream_format: StreamFormat) -> SnapshotClient | None:
        """A client that gets every event from now on once it starts; None when there are too many streams."""
        if self.stats.streams_open >= self._streams_max:
            self.stats.streams_refused_total += 1
            return None
        if stream_format not in self._subscribers:
            self._subscribers[stream_format] = Subscribers(stream_format, self._loop.time())
            self._formats = tuple(self._subscribers)
        subscribers = self._subscribers[stream_format]
        client = SnapshotClient(self, subscribers)
        subscribers.clients.add(client)
        self.stats.streams_open += 1
        self.stats.streams_total += 1
        return client

    def leave(self, client: SnapshotClient) -> None:
        """Forgets the client; a second time does nothing."""
        subscribers = client.subscribers
        if client not in subscribers.clients:
            return
        client.ready = False
        subscribers.clients.remove(client)
        self.stats.streams_open -= 1
        if not subscribers.clients:
            del self._subscribers[subscribers.stream_format]
            self._formats = tuple(self._subscribers)

    def sweep(self, now: float) -> None:
        """Sends a heartbeat on streams that have been silent for `heartbeat_seconds`."""
        for subscribers in self._subscribers.values():
            if now - subscribers.wrote_at >= self._limits.heartbeat_seconds:
                subscribers.wrote_at = now
                heartbeat = subscribers.stream_format.framing.piece(comment("heartbeat"))
                for client in subscribers.clients:
                    if client.ready:
                        client.write(heartbeat)

    def _on_moment(self, _: Published) -> None:
        latest = self._hub.latest
        if latest is None or not self._formats:
            return
        try:
            frames = self._frames(latest)
        except Exception:
            logger.exception("moment %d cannot be streamed", latest.moment.seq)
            return
        try:
            self._loop.call_soon_threadsafe(self._deliver, latest.moment.seq, frames)
        except RuntimeError:  # the loop is closed, and with it every stream
            self._unsubscribe()

    def _frames(self, published: Published) -> dict[StreamFormat, bytes | None]:
        return {stream_format: frame(published, stream_format) for stream_format in self._formats}

    def _deliver(self, seq: int, frames: dict[StreamFormat, bytes | None]) -> None:
        now = self._loop.time()
        for stream_format, newest in frames.items():
            subscribers = self._subscribers.get(stream_format)
            if subscribers is None or seq <= subscribers.seq:
                continue
            if newest is None:
                for client in tuple(subscribers.clients):
                    client.finish(f"GPU {stream_format.shape.gpu} is gone")
                continue
            subscribers.seq, subscribers.frame, subscribers.wrote_at = seq, newest, now
            self._hand_out(tuple(subscribers.clients))

    def _hand_out(self, clients: tuple[SnapshotClient, ...]) -> None:
        """Offers the newest frame to each, a slice at a time, so that other connections are served in between."""
        for client in clients[:SLICE_CLIENTS]:
            if client.ready:
                client.offer()
        if len(clients) > SLICE_CLIENTS:
            self._loop.call_soon(self._hand_out, clients[SLICE_CLIENTS:])


def frame(published: Published, stream_format: StreamFormat) -> bytes | None:
    """The moment's event in one format; None where the machine no longer has its GPU."""
    try:
        return stream_format.framing.piece(event(published.moment.seq, published.body(stream_format.shape)))
    except UnknownGpuError:
        return None
