"""The event stream: one frame per moment and kind of stream, handed to every client; a slow client gets the newest."""

import asyncio
import logging
from typing import NamedTuple

from blackbox.hub import Hub, Published
from blackbox.model.server_stats import Stats
from blackbox.model.snapshot import Moment
from blackbox.model.view import Shape, UnknownGpuError
from blackbox.server.http.limits import Limits
from blackbox.server.http.sse import Framing, comment, event

BEFORE_FIRST = -1
"""`seq` of a client that has seen no event."""

SLICE_CLIENTS = 500
"""Streams written to before other connections get their turn: 5 ms."""

logger = logging.getLogger(__name__)


class Kind(NamedTuple):
    """Streams of one kind share every byte."""

    shape: Shape
    framing: Framing


class Group:
    """The clients of one kind, and its newest frame."""

    def __init__(self, kind: Kind, now: float) -> None:
        self.kind = kind
        self.clients: set[Client] = set()
        self.seq = BEFORE_FIRST
        self.frame = b""
        self.wrote_at = now
        """When the clients last got something."""


class Client:
    """One stream. Its slot holds no frame of its own: while the peer is slow, the group's newest is what waits."""

    __slots__ = ("_broadcaster", "_transport", "group", "ready", "seq")

    def __init__(self, broadcaster: "Broadcaster", group: Group) -> None:
        self._broadcaster = broadcaster
        self._transport: asyncio.WriteTransport | None = None
        self.group = group
        self.seq = BEFORE_FIRST
        """Last event handed to the transport."""
        self.ready = False
        """Takes frames: it has started, and everything before has left for the kernel."""

    def start(self, transport: asyncio.WriteTransport, opening: bytes, seq: int) -> None:
        """Sends what the stream opens with, which includes the event `seq`; frames follow from then on."""
        self._transport = transport
        self.seq = seq
        self.ready = True
        self.write(opening)
        if self.ready:
            self.offer()

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        self._broadcaster.stats.bytes_sent_total += len(data)

    def offer(self) -> None:
        """Sends the group's newest frame unless it has been sent, and says how many it skipped."""
        group = self.group
        if self.seq >= group.seq:
            return
        missed = group.seq - self.seq - 1 if self.seq != BEFORE_FIRST else 0
        self.seq = group.seq
        stats = self._broadcaster.stats
        stats.frames_sent_total += 1
        if missed:
            stats.frames_missed_total += missed
            self.write(group.kind.framing.piece(comment(f"missed {missed}")) + group.frame)
        else:
            self.write(group.frame)

    def pause(self) -> None:
        """The peer is slow: bytes wait here."""
        self.ready = False

    def resume(self) -> None:
        """Nothing waits here any more."""
        self.ready = True
        self.offer()

    def finish(self, reason: str) -> None:
        """Sends the newest event if it is still missing, the reason, and the end of the stream."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.offer()
        self.ready = False
        framing = self.group.kind.framing
        self.write(framing.piece(comment(reason)) + framing.ending())
        transport.close()

    def leave(self) -> None:
        self._broadcaster.leave(self)


class Broadcaster:
    """Frames every moment on the publishing thread, hands the frames out on the event loop."""

    def __init__(self, hub: Hub, stats: Stats, limits: Limits, streams_max: int) -> None:
        self._hub = hub
        self._limits = limits
        self._streams_max = streams_max
        self._groups: dict[Kind, Group] = {}
        self._kinds: tuple[Kind, ...] = ()
        """Keys of `_groups`; replaced, never changed, so that the publishing thread may read it."""
        self.stats = stats

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unsubscribe = self._hub.subscribe(self._on_moment)

    def stop(self, reason: str) -> None:
        """Gives every stream the newest event, and ends it."""
        self._unsubscribe()
        latest = self._hub.latest
        if latest is not None:
            self._deliver(latest.moment.seq, self._frames(latest))
        for group in tuple(self._groups.values()):
            for client in tuple(group.clients):
                client.finish(reason)

    def join(self, kind: Kind) -> Client | None:
        """A client that gets every event from now on once it starts; None when there are too many streams."""
        if self.stats.streams_open >= self._streams_max:
            self.stats.streams_refused_total += 1
            return None
        if kind not in self._groups:
            self._groups[kind] = Group(kind, self._loop.time())
            self._kinds = tuple(self._groups)
        group = self._groups[kind]
        client = Client(self, group)
        group.clients.add(client)
        self.stats.streams_open += 1
        self.stats.streams_total += 1
        return client

    def leave(self, client: Client) -> None:
        """Forgets the client; a second time does nothing."""
        group = client.group
        if client not in group.clients:
            return
        client.ready = False
        group.clients.remove(client)
        self.stats.streams_open -= 1
        if not group.clients:
            del self._groups[group.kind]
            self._kinds = tuple(self._groups)

    def sweep(self, now: float) -> None:
        """Breaks a silence that has become too long."""
        for group in self._groups.values():
            if now - group.wrote_at >= self._limits.heartbeat_seconds:
                group.wrote_at = now
                heartbeat = group.kind.framing.piece(comment("heartbeat"))
                for client in group.clients:
                    if client.ready:
                        client.write(heartbeat)

    def _on_moment(self, _moment: Moment) -> None:
        latest = self._hub.latest
        if latest is None or not self._kinds:
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

    def _frames(self, published: Published) -> dict[Kind, bytes | None]:
        return {kind: frame(published, kind) for kind in self._kinds}

    def _deliver(self, seq: int, frames: dict[Kind, bytes | None]) -> None:
        now = self._loop.time()
        for kind, newest in frames.items():
            group = self._groups.get(kind)
            if group is None or seq <= group.seq:
                continue
            if newest is None:
                for client in tuple(group.clients):
                    client.finish(f"GPU {kind.shape.gpu} is gone")
                continue
            group.seq, group.frame, group.wrote_at = seq, newest, now
            self._hand_out(tuple(group.clients))

    def _hand_out(self, clients: tuple[Client, ...]) -> None:
        """Offers the newest frame to each, a slice at a time, so that other askers need not wait for all of them."""
        for client in clients[:SLICE_CLIENTS]:
            if client.ready:
                client.offer()
        if len(clients) > SLICE_CLIENTS:
            self._loop.call_soon(self._hand_out, clients[SLICE_CLIENTS:])


def frame(published: Published, kind: Kind) -> bytes | None:
    """The moment's event as one kind of stream carries it; None where its GPU is gone."""
    try:
        return kind.framing.piece(event(published.moment.seq, published.body(kind.shape)))
    except UnknownGpuError:
        return None
