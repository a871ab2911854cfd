"""The stream of recorded events. Each client has its place in the recording and reads on from there as fast as it takes
it, so no queue can overflow and none is lost to a slow or returning client."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from blackbox.model.codec import answer_json
from blackbox.model.event import Event
from blackbox.model.status import ServerStats
from blackbox.recorder import RecordedEvent
from blackbox.recorder.query.visibility import numbered
from blackbox.server.http.answer import Viewer
from blackbox.server.http.limits import Limits
from blackbox.server.http.outbox import Outbox
from blackbox.server.http.query_pool import QueryPool
from blackbox.server.http.sse import Framing, comment, named_event

POLL_SECONDS = 0.25
"""Between reads of the recording while there are clients: half the default interval between samples."""
AT_ONCE = 500
"""Events read at a time; a client that missed more gets them in several reads."""
SLICE_BYTES = 64 * 1024
"""Of events handed to clients before other connections get their turn."""
LOOK_BACK = 2000
"""Ids follow the clock in milliseconds: an event noticed just before a stream began may be recorded just after."""

logger = logging.getLogger(__name__)


class EventFilter(NamedTuple):
    """Which events a stream gets."""

    kinds: frozenset[str] | None = None
    """None for all."""
    gpus: frozenset[str] | None = None
    """UUIDs; None for all, and for what happened on none."""

    def wants(self, event: Event) -> bool:
        """Whether it gets the event."""
        return (self.kinds is None or event.kind in self.kinds) and (self.gpus is None or event.gpu_uuid in self.gpus)


class Position(NamedTuple):
    """All that the next bytes of a stream depend on besides the recording: clients at one place share them."""

    cursor: int
    """Id of the last event that was looked at."""
    wanted: EventFilter
    framing: Framing
    viewer: Viewer


class Portion(NamedTuple):
    """What comes next at a place."""

    cursor: int
    """Where the client is afterwards."""
    events: int = 0
    data: bytes = b""
    """Those events, framed; nothing where none is wanted."""


def portion_of(place: Position, found: Sequence[RecordedEvent]) -> Portion:
    """Of events that were read, in the order of their ids: those after the cursor that are wanted."""
    fresh = [recorded for recorded in found if recorded.id > place.cursor]
    wanted = [recorded for recorded in fresh if place.wanted.wants(recorded.event)]
    cursor = fresh[-1].id if fresh else place.cursor
    if not wanted:
        return Portion(cursor)
    return Portion(cursor, len(wanted), place.framing.piece(b"".join(_frame(one, place.viewer) for one in wanted)))


def _frame(recorded: RecordedEvent, viewer: Viewer) -> bytes:
    body = answer_json(numbered(recorded, viewer.uid))
    return named_event(recorded.id, recorded.event.kind, body)


class EventClient:
    """One stream of events."""

    def __init__(self, streams: "EventStreams", wanted: EventFilter, framing: Framing, viewer: Viewer) -> None:
        self._streams = streams
        self._outbox: Outbox | None = None
        self.place = Position(0, wanted, framing, viewer)
        self.ready = False
        """It has started, and everything written so far has been handed to the kernel."""
        self.wrote_at = 0.0

    def start(self, outbox: Outbox, first: bytes, seq: int) -> None:
        """Sends the first bytes of the stream; events after `seq` follow."""
        self._outbox = outbox
        self.place = self.place._replace(cursor=seq)
        self.ready = True
        self.write(first)

    def write(self, data: bytes) -> None:
        """Hands bytes to the outbox."""
        assert self._outbox is not None
        self._outbox.write(data)
        self.wrote_at = self._streams.now
        self._streams.stats.bytes_sent_total += len(data)

    def take(self, portion: Portion) -> None:
        """Sends what comes next at its place."""
        self.place = self.place._replace(cursor=portion.cursor)
        if portion.events:
            self._streams.stats.frames_sent_total += portion.events
            self.write(portion.data)

    def heartbeat(self) -> None:
        """Sends a comment, so that proxies see the stream alive."""
        self.write(self.place.framing.piece(comment("heartbeat")))

    def pause(self) -> None:
        """The peer is slow: bytes wait for it."""
        self.ready = False

    def resume(self) -> None:
        """Nothing waits for it any more."""
        self.ready = True

    def finish(self, reason: str) -> None:
        """Sends the reason and the end of the stream."""
        outbox = self._outbox
        if outbox is None or outbox.is_closing():
            return
        self.ready = False
        framing = self.place.framing
        self.write(framing.piece(comment(reason)) + framing.tail())
        outbox.close()

    def give_up(self) -> None:
        """Closes its connection at once."""
        self.ready = False
        if self._outbox is not None:
            self._outbox.give_up()

    def leave(self) -> None:
        """Forgets the stream; a second time does nothing."""
        self._streams.leave(self)


class EventStreams:
    """All streams of events. Lives on the event loop; looks at the recording only while anybody listens."""

    def __init__(self, query_pool: QueryPool, stats: ServerStats, limits: Limits, streams_max: int) -> None:
        self._query_pool = query_pool
        self._limits = limits
        self._streams_max = streams_max
        self.clients: set[EventClient] = set()
        """Those that have joined and not left."""
        self._looking: asyncio.Task[None] | None = None
        self.stats = stats

    @property
    def now(self) -> float:
        """Seconds on the event loop's clock."""
        return asyncio.get_running_loop().time()

    def join(self, wanted: EventFilter, framing: Framing, viewer: Viewer) -> EventClient | None:
        """A client that gets events once it starts; None when there are too many streams."""
        if self.stats.streams_open >= self._streams_max:
            self.stats.streams_refused_total += 1
            return None
        client = EventClient(self, wanted, framing, viewer)
        self.clients.add(client)
        self.stats.streams_open += 1
        self.stats.streams_total += 1
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        return client

    def leave(self, client: EventClient) -> None:
        """Forgets the client; a second time does nothing."""
        if client in self.clients:
            client.ready = False
            self.clients.remove(client)
            self.stats.streams_open -= 1

    async def place_now(self) -> int:
        """The place in the recording behind everything that is there already."""
        recent = int(time.time() * 1000) - LOOK_BACK
        place, found = recent, await self._after(recent, light=True)
        while found:
            place = found[-1].id
            found = await self._after(place, light=True)
        return place

    def stop(self, reason: str) -> None:
        """Ends every stream."""
        if self._looking is not None:
            self._looking.cancel()
        for client in tuple(self.clients):
            try:
                client.finish(reason)
            except Exception:
                logger.exception("fault in a stream of events: its connection is closed")
                client.give_up()

    async def _after(self, number: int, *, light: bool = False) -> list[RecordedEvent]:
        read = partial(self._query_pool.recording.events_after, number, AT_ONCE, light=light)
        return await self._query_pool.ask(read)

    async def _look(self) -> None:
        while self.clients:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._serve([client for client in self.clients if client.ready])
            except Exception:
                logger.exception("fault in the stream of events")
        self._looking = None

    async def _serve(self, ready: Sequence[EventClient]) -> None:
        if not ready:
            return
        found = await self._after(min(client.place.cursor for client in ready))
        portions: dict[Position, Portion] = {}
        handed = 0
        for client in ready:
            try:
                handed += self._serve_one(client, found, portions)
            except Exception:
                logger.exception("fault in a stream of events: its connection is closed")
                client.give_up()
            if handed >= SLICE_BYTES:
                handed = 0
                await asyncio.sleep(0)

    def _serve_one(self, client: EventClient, found: Sequence[RecordedEvent], portions: dict[Position, Portion]) -> int:
        """Gives a client what comes next at its place; returns how many bytes those were. `portions` are those that
        were made for the clients before."""
        handed = 0
        if client.ready:
            portion = portions.get(client.place) or portion_of(client.place, found)
            portions[client.place] = portion
            client.take(portion)
            handed = len(portion.data)
        if client.ready and self.now - client.wrote_at >= self._limits.heartbeat_seconds:
            client.heartbeat()
        return handed
