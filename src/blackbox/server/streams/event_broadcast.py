"""The stream of recorded events. Each client has its place in the recording and reads on from there as fast as it takes
it, so no queue can overflow and none is lost to a slow or returning client."""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
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
LOOK_BACK = 2000
"""Ids follow the clock in milliseconds: an event noticed just before a stream began may be recorded just after."""

logger = logging.getLogger(__name__)


class EventFilter(NamedTuple):
    """Which events a stream gets."""

    kinds: Collection[str] | None = None
    """None for all."""
    gpus: Collection[str] | None = None
    """UUIDs; None for all, and for what happened on none."""

    def wants(self, event: Event) -> bool:
        """Whether it gets the event."""
        return (self.kinds is None or event.kind in self.kinds) and (self.gpus is None or event.gpu_uuid in self.gpus)


class EventClient:
    """One stream of events."""

    def __init__(self, streams: "EventStreams", wanted: EventFilter, framing: Framing, viewer: Viewer) -> None:
        self._streams = streams
        self._wanted = wanted
        self._framing = framing
        self._viewer = viewer
        self._outbox: Outbox | None = None
        self.cursor = 0
        """Id of the last event that was looked at for it."""
        self.ready = False
        """It has started, and everything written so far has been handed to the kernel."""
        self.wrote_at = 0.0

    def start(self, outbox: Outbox, first: bytes, seq: int) -> None:
        """Sends the first bytes of the stream; events after `seq` follow."""
        self._outbox = outbox
        self.cursor = seq
        self.ready = True
        self.write(first)

    def write(self, data: bytes) -> None:
        """Hands bytes to the outbox."""
        assert self._outbox is not None
        self._outbox.write(data)
        self.wrote_at = self._streams.now
        self._streams.stats.bytes_sent_total += len(data)

    def offer(self, found: Sequence[RecordedEvent]) -> None:
        """Sends the events after its cursor that it wants."""
        fresh = [recorded for recorded in found if recorded.id > self.cursor]
        if not fresh:
            return
        self.cursor = fresh[-1].id
        wanted = [recorded for recorded in fresh if self._wanted.wants(recorded.event)]
        if wanted:
            self._streams.stats.frames_sent_total += len(wanted)
            self.write(self._framing.piece(b"".join(map(self._frame, wanted))))

    def heartbeat(self) -> None:
        """Sends a comment, so that proxies see the stream alive."""
        self.write(self._framing.piece(comment("heartbeat")))

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
        self.write(self._framing.piece(comment(reason)) + self._framing.tail())
        outbox.close()

    def leave(self) -> None:
        """Forgets the stream; a second time does nothing."""
        self._streams.leave(self)

    def _frame(self, recorded: RecordedEvent) -> bytes:
        body = answer_json(numbered(recorded, self._viewer.uid))
        return named_event(recorded.id, recorded.event.kind, body)


class EventStreams:
    """All streams of events. Lives on the event loop; looks at the recording only while anybody listens."""

    def __init__(self, query_pool: QueryPool, stats: ServerStats, limits: Limits, streams_max: int) -> None:
        self._query_pool = query_pool
        self._limits = limits
        self._streams_max = streams_max
        self._clients: set[EventClient] = set()
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
        self._clients.add(client)
        self.stats.streams_open += 1
        self.stats.streams_total += 1
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        return client

    def leave(self, client: EventClient) -> None:
        """Forgets the client; a second time does nothing."""
        if client in self._clients:
            client.ready = False
            self._clients.remove(client)
            self.stats.streams_open -= 1

    async def place_now(self) -> int:
        """The place in the recording behind everything that is there already."""
        recent = int(time.time() * 1000) - LOOK_BACK
        found = await self._after(recent)
        while len(found) == AT_ONCE:
            found = await self._after(found[-1].id)
        return found[-1].id if found else recent

    def stop(self, reason: str) -> None:
        """Ends every stream."""
        if self._looking is not None:
            self._looking.cancel()
        for client in tuple(self._clients):
            client.finish(reason)

    async def _after(self, number: int) -> list[RecordedEvent]:
        return await self._query_pool.ask(partial(self._query_pool.recording.events_after, number, AT_ONCE))

    async def _look(self) -> None:
        while self._clients:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._serve([client for client in self._clients if client.ready])
            except Exception:
                logger.exception("fault in the stream of events")
        self._looking = None

    async def _serve(self, ready: Sequence[EventClient]) -> None:
        if not ready:
            return
        found = await self._after(min(client.cursor for client in ready))
        for client in ready:
            if client.ready:
                client.offer(found)
            if client.ready and self.now - client.wrote_at >= self._limits.heartbeat_seconds:
                client.heartbeat()
