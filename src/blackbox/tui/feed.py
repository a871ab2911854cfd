"""What one server tells, kept up to date: its newest snapshot by its stream, events and forecast every few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Literal, NamedTuple

from blackbox.client import AsyncClient, ClientError, Loss, StatusError
from blackbox.model.forecast import Forecast
from blackbox.model.query import NumberedEvent
from blackbox.model.snapshot import Snapshot
from blackbox.model.text import rfc3339_seconds
from blackbox.terminal.ledger import GpuLedger, leaves, ledgers
from blackbox.tui.answers import reason_of

EVERY_SECONDS = 5.0
"""Between questions about events and the forecast, as on the page."""
EVENTS_KEPT_MAX = 500
"""As on the page; the server has the others."""
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 1.0, 15.0
"""Before a first connection is tried again; from the shortest, doubled."""
CONNECTED_POLL_SECONDS = 0.2
"""Until there is a connection, its state is looked at so often."""
NOT_FOUND = 404
PEAK_WINDOW = "1h"


class Connection(NamedTuple):
    """How it goes with a server."""

    state: Literal["connecting", "live", "lost"] = "connecting"
    since: float = 0.0
    """Unix seconds, by this machine's clock."""
    reason: str | None = None
    retry_at: float | None = None


class ServerState:
    """What is known of one server. Filled by its `Feed`, or by hand in tests."""

    def __init__(self, label: str) -> None:
        self.label = label
        """Its URL, or what else was given for it."""
        self.connection = Connection()
        self.snapshot: Snapshot | None = None
        """The newest; None before the first."""
        self.ledgers: tuple[GpuLedger, ...] = ()
        self.events: tuple[NumberedEvent, ...] = ()
        """The newest that are kept, oldest first."""
        self.has_events = False
        """They were asked for, so that none means none."""
        self.troubles: dict[str, str] = {}
        """Of `events`, `forecast` and `peaks`: why there was no answer the last time."""
        self.forecast: Forecast | None = None
        self.peaks: dict[tuple[str | None, int | None, float | None], float] = {}
        """The most that a process held within the last hour, by GPU, pid and start."""
        self.no_recording: str | None = None
        """Why nothing recorded can be asked for; None where a recording is kept, or nobody knows yet."""

    @property
    def name(self) -> str:
        """Of the machine, once it is known."""
        return self.snapshot.host if self.snapshot is not None else self.label

    @property
    def why_no_events(self) -> str:
        """What stands where no event does."""
        if "events" in self.troubles:
            return f"the events did not come: {self.troubles['events']}"
        return "none in what is kept" if self.has_events else "the events have not come yet"

    @property
    def why_no_forecast(self) -> str | None:
        """Why nobody can tell whether a GPU fills."""
        trouble = self.troubles.get("forecast")
        return self.no_recording or (f"the forecast did not come: {trouble}" if trouble else None)

    @property
    def now(self) -> float:
        """Time of the newest snapshot, in Unix seconds; 0 before the first."""
        return rfc3339_seconds(self.snapshot.timestamp) if self.snapshot is not None else 0.0

    @property
    def leaves(self) -> tuple[GpuLedger, ...]:
        """GPUs that hold memory, of the newest snapshot."""
        return tuple(leaves(self.ledgers))

    def take_snapshot(self, snapshot: Snapshot) -> None:
        """The newest."""
        self.snapshot = snapshot
        self.ledgers = ledgers(snapshot)

    def take_events(self, found: tuple[NumberedEvent, ...]) -> None:
        """Adds events that are not known yet."""
        self.has_events = True
        known = {event.id for event in self.events}
        fresh = tuple(event for event in found if event.id not in known)
        self.events = (*self.events, *fresh)[-EVENTS_KEPT_MAX:]


class Feed:
    """Keeps a `ServerState` up to date until it is cancelled. `on_change` is called after every change."""

    def __init__(self, client: AsyncClient, state: ServerState, on_change: Callable[[], None]) -> None:
        self._client = client
        self._state = state
        self._on_change = on_change

    async def run(self) -> None:
        """Never ends by itself: a server that goes away is tried again for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_stream())
            tasks.create_task(self._ask_again_and_again())

    async def _follow_stream(self) -> None:
        retry = RETRY_SECONDS_MIN
        while True:
            try:
                async with aclosing(self._client.stream(blocks="none", on_loss=self._on_loss)) as stream:
                    async for event in stream:
                        self._state.take_snapshot(event.snapshot)
                        self._set_live()
                        self._on_change()
                        retry = RETRY_SECONDS_MIN
            except ClientError as error:
                self._on_loss(Loss(error, retry))
            await asyncio.sleep(retry)
            retry = min(RETRY_SECONDS_MAX, retry * 2)

    def _set_live(self) -> None:
        if self._state.connection.state != "live":
            self._state.connection = Connection("live", time.time())

    def _on_loss(self, loss: Loss) -> None:
        before, now = self._state.connection, time.time()
        since = before.since if before.state == "lost" else now
        self._state.connection = Connection("lost", since, str(loss.error), now + loss.retry_in_seconds)
        self._on_change()

    async def _ask_again_and_again(self) -> None:
        while True:
            if self._state.connection.state == "live":
                for name, ask in (("events", self._events), ("forecast", self._forecast), ("peaks", self._peaks)):
                    await self._asked(name, ask)
                self._on_change()
                await asyncio.sleep(EVERY_SECONDS)
            else:
                await asyncio.sleep(CONNECTED_POLL_SECONDS)

    async def _asked(self, name: str, ask: Callable[[], Awaitable[None]]) -> None:
        """Asks, and keeps why there was no answer."""
        try:
            await ask()
            self._state.troubles.pop(name, None)
        except ClientError as error:
            self._state.troubles[name] = reason_of(error)
            if name == "events" and isinstance(error, StatusError) and error.status == NOT_FOUND:
                self._state.no_recording = reason_of(error)

    async def _events(self) -> None:
        known = self._state.events
        since = known[-1].timestamp if known else None
        limit = EVENTS_KEPT_MAX
        self._state.take_events(await self._client.events(since=since, limit=limit, detail="light"))
        self._state.no_recording = None

    async def _forecast(self) -> None:
        self._state.forecast = None if self._state.no_recording else await self._client.forecast()

    async def _peaks(self) -> None:
        peaks = () if self._state.no_recording else await self._client.aggregated(PEAK_WINDOW)
        self._state.peaks = {(one.gpu_uuid, one.pid, one.start_time): one.max for one in peaks if one.engine is None}
