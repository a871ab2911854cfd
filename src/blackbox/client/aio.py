"""The client for programs that await."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Self, TypeVar

from blackbox.client import queries
from blackbox.client.base import BaseClient, BaseStream
from blackbox.client.errors import ClientError, UnreachableError, unreachable
from blackbox.client.exchange import READ_BYTES, SILENCE_SECONDS_MAX, Exchange
from blackbox.client.queries import Query, Time
from blackbox.client.resume import EventProgress, Loss, Progress, SnapshotProgress, StreamEvent, decode
from blackbox.client.rows import Rows
from blackbox.client.target import Target
from blackbox.model import endpoints
from blackbox.model.about import Coverage, OwnCost, ProcessCoverage, SettingInForce, SettingsInForce
from blackbox.model.block_table import BlockTable
from blackbox.model.dump import DumpInfo, DumpList
from blackbox.model.endpoint_parameters import EventDetail
from blackbox.model.forecast import Forecast
from blackbox.model.query import (
    Aggregate,
    Aggregated,
    Chart,
    Comparison,
    EventList,
    History,
    NumberedEvent,
    StackHistory,
)
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import BlockDetail

T = TypeVar("T")
StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncClient(BaseClient):
    """Asks one server. Holds no connection between calls, so tasks may share it."""

    async def snapshot(self, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> Snapshot:
        """The newest snapshot, of all GPUs or of one (index or UUID). Raises `ClientError`."""
        return decode(await self.snapshot_json(gpu=gpu, blocks=blocks))

    async def snapshot_json(self, *, gpu: str | int | None = None, blocks: BlockDetail = "full") -> bytes:
        """The same as the server's own JSON."""
        return await self.ask(queries.snapshot(gpu, blocks))

    async def columns(
        self,
        *,
        gpu: str | int | None = None,
        time: Time | None = None,
        event: int | None = None,
        since: BlockTable | None = None,
    ) -> BlockTable:
        """Every block as columns of numbers, of the newest sample, of a time or of an event itself. `since`: the
        table last got, of the same GPUs; what is the same as there is not sent again. Raises `ClientError`."""
        version = since.head.version if since is not None else None
        query = queries.columns(gpu, time, version, event)
        return queries.block_table(await self.ask(query), since)

    async def history(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metric: str | None = None,
        points: int | None = None,
    ) -> History:
        """A metric (default `used_bytes`) over time (default the last hour). Raises `ClientError`."""
        query = queries.history(since, until, gpu, pid, metric, points)
        return queries.answer(await self.ask(query), History)

    async def chart(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metrics: str | Collection[str] | None = None,
        points: int | None = None,
    ) -> Chart:
        """Several metrics over time as arrays on one grid, with what happened meanwhile. Raises `ClientError`."""
        query = queries.chart(since, until, gpu, pid, metrics, points)
        return queries.answer(await self.ask(query), Chart)

    async def stacks(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        points: int | None = None,
    ) -> StackHistory:
        """Live memory by the stack that allocated it, over time; of the last hour without `since`."""
        return queries.answer(await self.ask(queries.stacks(since, until, gpu, pid, points)), StackHistory)

    async def at(
        self,
        time: Time | None = None,
        *,
        gpu: str | int | None = None,
        blocks: BlockDetail = "full",
        event: int | None = None,
    ) -> Snapshot:
        """The snapshot as of a time, or that of an event itself (its id). Raises `StatusError` (404) where nothing was
        recorded."""
        return decode(await self.ask(queries.at(time, gpu, blocks, event)))

    async def events(
        self,
        *,
        since: Time | None = None,
        until: Time | None = None,
        kind: str | Collection[str] | None = None,
        gpu: str | int | None = None,
        limit: int | None = None,
        detail: EventDetail = "full",
        event: int | None = None,
    ) -> Rows[NumberedEvent]:
        """What happened, oldest first: in full, `light` (refusals without allocator and history), or `folded` (events
        alike as one, with `repeats`). Or the one event of an id; raises `StatusError` (404) where there is none."""
        query = queries.events(since, until, kind, limit, detail, event, gpu)
        return Rows(queries.answer(await self.ask(query), EventList).events)

    async def dumps(self, *, limit: int | None = None) -> Rows[DumpInfo]:
        """The dumps kept beside the recording, oldest first."""
        return Rows(queries.answer(await self.ask(queries.dumps(limit)), DumpList).dumps)

    async def report(self, *, event: int | None = None, dump: str | None = None) -> dict[str, Any]:
        """What led to an event (its id), or what is in a dump (its name): causes, figures, advice. docs/reports.md has
        the keys. Raises `StatusError` (404) where nothing is left of it."""
        return queries.answer(await self.ask(queries.report(event, dump)), dict[str, Any])

    async def compare(self, a: Time, b: Time | None = None, *, gpu: str | int | None = None) -> Comparison:
        """What is new, gone, grown or shrunk between two times; `b` defaults to now."""
        return queries.answer(await self.ask(queries.compare(a, b, gpu)), Comparison)

    async def aggregated(
        self,
        window: str | None = None,
        *,
        until: Time | None = None,
        gpu: str | int | None = None,
        pid: int | None = None,
        metric: str | None = None,
    ) -> Rows[Aggregate]:
        """What each series came to over a window (`15m`, `7d`; default five minutes)."""
        query = queries.aggregated(window, until, gpu, pid, metric)
        return Rows(queries.answer(await self.ask(query), Aggregated).aggregates)

    async def forecast(self, *, gpu: str | int | None = None) -> Forecast:
        """When memory will be full, where it steadily fills. Predictions, with their evidence."""
        return queries.answer(await self.ask(queries.forecast(gpu)), Forecast)

    async def coverage(self, *, gpu: str | int | None = None) -> Rows[ProcessCoverage]:
        """What each process lets Blackbox see of its memory, and why not more."""
        return Rows(queries.answer(await self.ask(queries.coverage(gpu)), Coverage).processes)

    async def settings(self) -> Rows[SettingInForce]:
        """The server's settings, and where each was set."""
        return Rows(queries.answer(await self.ask(Query(endpoints.SETTINGS)), SettingsInForce).settings)

    async def status(self) -> OwnCost:
        """What the server itself takes and does."""
        return queries.answer(await self.ask(Query(endpoints.STATUS)), OwnCost)

    async def ask(self, query: Query) -> bytes:
        """The answer to any query, as the server's own bytes. Raises `ClientError`."""
        return await self._get(query.path(self._target), query.content_type)

    async def _get(self, wanted: str, content_type: str) -> bytes:
        exchange = Exchange(self._target)
        async with (
            _time_limit(self._target, self._timeout_seconds),
            _connection(self._target, self._timeout_seconds) as (reader, writer),
        ):
            await _send(self._target, writer, exchange.request(wanted, {"Accept": content_type}))
            while not exchange.complete:
                await _receive(self._target, reader, exchange)
        return exchange.whole_body(content_type)

    def stream(
        self,
        *,
        gpu: str | int | None = None,
        blocks: BlockDetail = "full",
        on_loss: Callable[[Loss], None] | None = None,
    ) -> "AsyncStream[StreamEvent]":
        """Every new snapshot, across restarts of the server. `on_loss` hears of each lost connection."""
        wanted = queries.snapshot_stream(gpu, blocks).path(self._target)
        return AsyncStream(self._target, wanted, self._timeout_seconds, on_loss, SnapshotProgress())

    def event_stream(
        self,
        *,
        kind: str | Collection[str] | None = None,
        gpu: str | int | None = None,
        after: int | None = None,
        on_loss: Callable[[Loss], None] | None = None,
    ) -> "AsyncStream[NumberedEvent]":
        """Every event from now on (or behind the id `after`), across restarts of the server: none is missed."""
        wanted = queries.event_stream(kind, gpu).path(self._target)
        return AsyncStream(self._target, wanted, self._timeout_seconds, on_loss, EventProgress(after))


class AsyncStream(BaseStream[T], AsyncIterator[T]):
    """Iterates over events until closed. Connects at the first event; once connected it reconnects for ever.

    Raises `UnreachableError` where the first connection fails, `StatusError` where the server refuses.
    """

    def __init__(
        self,
        server: Target,
        wanted: str,
        timeout_seconds: float,
        on_loss: Callable[[Loss], None] | None,
        progress: Progress[T],
    ) -> None:
        super().__init__(server, wanted, timeout_seconds, on_loss, progress)
        self._events = self._run()

    async def __anext__(self) -> T:
        return await anext(self._events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the stream and its connection."""
        await self._events.aclose()

    async def _run(self) -> AsyncGenerator[T, None]:
        while True:
            try:
                async with aclosing(self._read_connection()) as events:
                    async for event in events:
                        yield event
            except ClientError as error:
                await asyncio.sleep(self._lost(error))

    async def _read_connection(self) -> AsyncGenerator[T, None]:
        exchange = Exchange(self._target)
        async with _connection(self._target, self._timeout_seconds) as (reader, writer):
            async with _time_limit(self._target, self._timeout_seconds):
                await _send(self._target, writer, self._request(exchange))
                while not exchange.stream_decided:
                    await _receive(self._target, reader, exchange)
            self._begin(exchange)
            while True:
                for event in self._arrived(exchange):
                    yield event
                async with _time_limit(self._target, SILENCE_SECONDS_MAX):
                    await _receive(self._target, reader, exchange)


@asynccontextmanager
async def _time_limit(server: Target, seconds: float) -> AsyncGenerator[None, None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UnreachableError(f"no answer from {server.label} within {seconds:g} s") from None


@asynccontextmanager
async def _connection(server: Target, timeout_seconds: float) -> AsyncGenerator[StreamPair, None]:
    async with _time_limit(server, timeout_seconds):
        reader, writer = await _connect(server)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _connect(server: Target) -> StreamPair:
    try:
        if server.unix_socket is not None:
            name = server.host if server.tls is not None else None
            return await asyncio.open_unix_connection(server.unix_socket, ssl=server.tls, server_hostname=name)
        return await asyncio.open_connection(server.host, server.port, ssl=server.tls)
    except OSError as error:
        raise unreachable(server.label, error) from error


async def _send(server: Target, writer: asyncio.StreamWriter, request: bytes) -> None:
    try:
        writer.write(request)
        await writer.drain()
    except OSError as error:
        raise unreachable(server.label, error) from error


async def _receive(server: Target, reader: asyncio.StreamReader, exchange: Exchange) -> None:
    try:
        data = await reader.read(READ_BYTES)
    except OSError as error:
        raise unreachable(server.label, error) from error
    exchange.feed(data)
