"""The stream of snapshots: one frame per moment and format, handed to every client; a slow client gets the newest."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import islice

from blackbox.hub import Hub, Published
from blackbox.model.status import ServerStats
from blackbox.model.view import UnknownGpuError
from blackbox.server.http.limits import Limits
from blackbox.server.http.offload import off_loop
from blackbox.server.http.outbox import Outbox
from blackbox.server.http.sse import comment
from blackbox.server.streams.frame_cache import FrameCache, StreamFormat, make_frame

BEFORE_FIRST = -1
"""`seq` of a client that has seen no event."""

FORMATS_AHEAD_MAX = 8
"""Formats encoded on the publishing thread, those with the most clients: each takes some milliseconds on a machine with
many processes, and the next sample must not wait. The others are encoded one after the other on a worker, and skip what
is published meanwhile."""
SLICE_CLIENTS = 100
"""Streams written to before other connections get their turn: a millisecond."""

logger = logging.getLogger(__name__)


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
    """One stream of snapshots. It queues no frames: a slow peer gets the newest of its format once it has caught up.
    Before that, one that comes back gets the kept moments it missed, each once it has taken the one before.
    """

    __slots__ = (
        "_broadcaster",
        "_first",
        "_first_seq",
        "_making",
        "_outbox",
        "_resume_from",
        "_resume_to",
        "ready",
        "seq",
        "subscribers",
    )

    def __init__(self, broadcaster: "Broadcaster", subscribers: Subscribers) -> None:
        self._broadcaster = broadcaster
        self._outbox: Outbox | None = None
        self._first = b""
        """The frame it begins with."""
        self._first_seq = BEFORE_FIRST
        self._making: asyncio.Task[None] | None = None
        """Makes the next frame that it missed."""
        self._resume_from = BEFORE_FIRST
        self._resume_to = BEFORE_FIRST
        """It gets every kept moment up to this one, then the newest alone."""
        self.subscribers = subscribers
        self.seq = BEFORE_FIRST
        """Last event handed to the outbox, or that the client had already."""
        self.ready = False
        """It has started, and everything written so far has been handed to the kernel."""

    def opening(self, last_event_id: int | None) -> Published | None:
        """Finds what the stream begins with: the newest moment, or the first after the last that the client saw.
        Returns the moment where its frame is yet to be made (`make`).
        """
        hub = self._broadcaster.hub
        latest = hub.latest
        if latest is None:
            return None
        first: Published | None = latest
        if last_event_id is not None and last_event_id <= latest.moment.seq:  # one above is another start's
            self.seq = self._resume_from = last_event_id
            self._resume_to = latest.moment.seq
            first = hub.after(last_event_id)
        if first is None:
            return None
        frame = self._broadcaster.frame_ready(first, self.subscribers)
        if frame is None:
            return first
        self._first, self._first_seq = frame, first.moment.seq
        return None

    async def make(self, published: Published) -> None:
        """Makes the frame that the stream begins with. Raises `UnknownGpuError`."""
        frame = await self._broadcaster.frames.make(published, self.subscribers.stream_format)
        self._first, self._first_seq = frame, published.moment.seq

    def start(self, outbox: Outbox, first: bytes, seq: int) -> None:
        """Sends the first bytes of the stream; events after `seq` follow."""
        self._outbox = outbox
        self.seq = seq
        self.ready = True
        begin, self._first = self._first, b""
        if begin:
            self._send(self._first_seq, begin, first)
        else:
            self.write(first)
        if self.ready:
            self.offer()

    def write(self, data: bytes, more: bytes = b"") -> None:
        assert self._outbox is not None
        self._outbox.write(data, more)
        self._broadcaster.stats.bytes_sent_total += len(data) + len(more)

    def offer(self) -> None:
        """Sends what comes next, unless it has been sent: the kept moments that it missed, else the newest frame."""
        subscribers = self.subscribers
        if self._resume_to != BEFORE_FIRST:
            self._resume()
        elif self.seq < subscribers.seq:
            self._send(subscribers.seq, subscribers.frame)

    def _send(self, seq: int, frame: bytes, before: bytes = b"") -> None:
        """Sends a frame, preceded by `before` and by how many were skipped before it."""
        missed = seq - self.seq - 1 if self.seq != BEFORE_FIRST else 0
        self.seq = seq
        stats = self._broadcaster.stats
        stats.frames_sent_total += 1
        if missed:
            stats.frames_missed_total += missed
            before += self.subscribers.stream_format.framing.piece(comment(f"missed {missed}"))
        if before:
            self.write(before, frame)
        else:
            self.write(frame)

    def _resume(self) -> None:
        """Sends kept moments, one after the other, until the peer is slow or one has to be made first."""
        while self.ready and self._making is None and self.seq < self._resume_to:
            published = self._broadcaster.hub.after(self.seq)
            if published is None:
                break
            frame = self._broadcaster.frame_ready(published, self.subscribers)
            if frame is None:
                self._making = self._broadcaster.loop.create_task(self._make_next(published))
                return
            self._send(published.moment.seq, frame)
        if self.ready and self._making is None:
            self._resumed()

    def _resumed(self) -> None:
        """Goes on to what was published meanwhile, where that is less than what was sent: else the peer is slow."""
        sent, more = self.seq - self._resume_from, self.subscribers.seq - self.seq
        self._resume_from = self.seq
        self._resume_to = self.subscribers.seq if 0 < more < sent else BEFORE_FIRST
        self.offer()

    async def _make_next(self, published: Published) -> None:
        try:
            frame = await self._broadcaster.frames.make(published, self.subscribers.stream_format)
        except UnknownGpuError:
            self.finish(f"GPU {self.subscribers.stream_format.shape.gpu} is gone")
            return
        finally:
            self._making = None
        if self.ready:
            self._send(published.moment.seq, frame)
        if self.ready:
            self.offer()

    def pause(self) -> None:
        """The peer is slow: bytes wait for it."""
        self.ready = False

    def resume(self) -> None:
        """Nothing waits for it any more."""
        self.ready = True
        self.offer()

    def finish(self, reason: str) -> None:
        """Sends the newest event if it is still missing, the reason, and the end of the stream."""
        outbox = self._outbox
        if outbox is None or outbox.is_closing():
            return
        self._resume_to = BEFORE_FIRST
        self.offer()
        self.ready = False
        framing = self.subscribers.stream_format.framing
        self.write(framing.piece(comment(reason)) + framing.tail())
        outbox.close()

    def give_up(self) -> None:
        """Closes its connection at once."""
        self.ready = False
        if self._outbox is not None:
            self._outbox.give_up()

    def leave(self) -> None:
        """Forgets the stream; a second time does nothing."""
        if self._making is not None:
            self._making.cancel()
        self._broadcaster.leave(self)


class Broadcaster:
    """Encodes every moment once per format, and hands the frames out on the event loop."""

    def __init__(self, hub: Hub, stats: ServerStats, limits: Limits, streams_max: int, workers: Executor) -> None:
        self._limits = limits
        self._streams_max = streams_max
        self._workers = workers
        self._subscribers: dict[StreamFormat, Subscribers] = {}
        self._ahead: tuple[StreamFormat, ...] = ()
        """Formats encoded on the publishing thread; replaced, never changed, so that it may read this."""
        self._others: asyncio.Task[None] | None = None
        """Encodes the other formats."""
        self.hub = hub
        self.stats = stats
        self.frames = FrameCache(workers)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listens to the hub."""
        self.loop = loop
        self._unsubscribe = self.hub.subscribe(self._on_moment)

    def stop(self, reason: str) -> None:
        """Sends the newest event on every stream and ends it."""
        self._unsubscribe()
        if self._others is not None:
            self._others.cancel()
        latest = self.hub.latest
        if latest is not None:
            self._deliver(latest.moment.seq, self._frames(latest))
        for subscribers in tuple(self._subscribers.values()):
            for client in tuple(subscribers.clients):
                _send_to(client, partial(SnapshotClient.finish, reason=reason))

    def join(self, stream_format: StreamFormat) -> SnapshotClient | None:
        """A client that gets every event from now on once it starts; None when there are too many streams."""
        if self.stats.streams_open >= self._streams_max:
            self.stats.streams_refused_total += 1
            return None
        if stream_format not in self._subscribers:
            self._subscribers[stream_format] = Subscribers(stream_format, self.loop.time())
            self._choose_ahead()
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
            self._choose_ahead()

    def sweep(self, now: float) -> None:
        """Sends a heartbeat on streams that have been silent for `heartbeat_seconds`."""
        self._choose_ahead()
        for subscribers in self._subscribers.values():
            if now - subscribers.wrote_at >= self._limits.heartbeat_seconds:
                subscribers.wrote_at = now
                heartbeat = subscribers.stream_format.framing.piece(comment("heartbeat"))
                self._in_slices(iter(tuple(subscribers.clients)), partial(SnapshotClient.write, data=heartbeat))

    def frame_ready(self, published: Published, subscribers: Subscribers) -> bytes | None:
        """The moment's frame where that takes no more time than the event loop can spare, else None."""
        if published.moment.seq == subscribers.seq:
            return subscribers.frame
        return self.frames.ready(published, subscribers.stream_format)

    def _choose_ahead(self) -> None:
        """The formats with the most clients."""
        found = sorted(self._subscribers.values(), key=lambda subscribers: -len(subscribers.clients))
        self._ahead = tuple(subscribers.stream_format for subscribers in found[:FORMATS_AHEAD_MAX])

    def _on_moment(self, _: Published) -> None:
        latest = self.hub.latest
        if latest is None or not self._ahead:
            return
        try:
            frames = self._frames(latest)
        except Exception:
            logger.exception("moment %d cannot be streamed", latest.moment.seq)
            return
        try:
            self.loop.call_soon_threadsafe(self._publish, latest.moment.seq, frames)
        except RuntimeError:  # the loop is closed, and with it every stream
            self._unsubscribe()

    def _frames(self, published: Published) -> dict[StreamFormat, bytes | None]:
        return {stream_format: _frame(published, stream_format) for stream_format in self._ahead}

    def _publish(self, seq: int, frames: dict[StreamFormat, bytes | None]) -> None:
        self._deliver(seq, frames)
        if self._others is None and len(self._subscribers) > len(frames):
            self._others = self.loop.create_task(self._encode_others())

    async def _encode_others(self) -> None:
        """Encodes formats that have not got the newest moment, in turn, one at a time."""
        try:
            while behind := self._behind():
                for stream_format in behind:
                    latest = self.hub.latest
                    assert latest is not None
                    frame = await off_loop(self._workers, _frame, latest, stream_format)
                    self._deliver(latest.moment.seq, {stream_format: frame})
        except Exception:
            logger.exception("a moment cannot be streamed")
        finally:
            self._others = None

    def _behind(self) -> list[StreamFormat]:
        latest = self.hub.latest
        newest = BEFORE_FIRST if latest is None else latest.moment.seq
        ahead = self._ahead
        found = (one for one in self._subscribers.values() if one.seq < newest and one.stream_format not in ahead)
        return [subscribers.stream_format for subscribers in found]

    def _deliver(self, seq: int, frames: dict[StreamFormat, bytes | None]) -> None:
        now = self.loop.time()
        for stream_format, newest in frames.items():
            subscribers = self._subscribers.get(stream_format)
            if subscribers is None or seq <= subscribers.seq:
                continue
            if newest is None:
                reason = f"GPU {stream_format.shape.gpu} is gone"
                for client in tuple(subscribers.clients):
                    _send_to(client, partial(SnapshotClient.finish, reason=reason))
                continue
            subscribers.seq, subscribers.frame, subscribers.wrote_at = seq, newest, now
            self._in_slices(iter(tuple(subscribers.clients)), SnapshotClient.offer)

    def _in_slices(self, clients: Iterator[SnapshotClient], send: Callable[[SnapshotClient], None]) -> None:
        """Sends to each that is ready, a slice at a time, so that other connections are served in between."""
        chosen = tuple(islice(clients, SLICE_CLIENTS))
        for client in chosen:
            if client.ready:
                _send_to(client, send)
        if chosen:
            self.loop.call_soon(self._in_slices, clients, send)


def _send_to(client: SnapshotClient, send: Callable[[SnapshotClient], None]) -> None:
    """Sends to one client. A fault in it costs that client its stream, and no other a moment."""
    try:
        send(client)
    except Exception:
        logger.exception("fault in a stream: its connection is closed")
        client.give_up()


def _frame(published: Published, stream_format: StreamFormat) -> bytes | None:
    """The moment's event in one format; None where the machine no longer has its GPU."""
    try:
        return make_frame(published, stream_format)
    except UnknownGpuError:
        return None
