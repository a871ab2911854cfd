"""What a route may use, and what it may answer."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar

from blackbox.hub import Hub
from blackbox.model.server_stats import Stats
from blackbox.server.http.limits import Limits
from blackbox.server.http.request import Request
from blackbox.server.http.response import Fields, Response
from blackbox.server.streams.snapshot_broadcast import Broadcaster
from blackbox.settings import Settings

if TYPE_CHECKING:
    from blackbox.outputs.prometheus.exporter import PrometheusExporter
    from blackbox.recorder import RecorderStatus
    from blackbox.server.api.events_stream import EventStreams
    from blackbox.server.http.query_pool import Questions

P = ParamSpec("P")
T = TypeVar("T")


class Asker(NamedTuple):
    """Who asks, as far as it matters to the answer."""

    viewer_uid: int | None = None
    """May see inside the processes of this user only; None: inside all."""


class StreamClient(Protocol):
    """What a connection needs of a stream that it carries."""

    def start(self, transport: asyncio.WriteTransport, opening: bytes, seq: int) -> None:
        """Sends what the stream opens with, up to and with the event `seq`; more follows from then on."""
        ...

    def pause(self) -> None:
        """The peer is slow: bytes wait here."""
        ...

    def resume(self) -> None:
        """Nothing waits here any more."""
        ...

    def finish(self, reason: str) -> None:
        """Sends the reason and the end of the stream."""
        ...

    def leave(self) -> None:
        """Forgets the stream; a second time does nothing."""
        ...


class Streaming(NamedTuple):
    """An answer that goes on."""

    client: StreamClient | None
    """None for HEAD, which gets the head alone."""
    data: bytes = b""
    seq: int = 0
    fields: Fields = ()


Answer = Response | Streaming
Answering = Answer | Coroutine[Any, Any, Answer]
"""A coroutine where the answer takes more than an event loop can spare."""


class Context(NamedTuple):
    """The parts of the server that routes share."""

    hub: Hub
    settings: Settings
    limits: Limits
    stats: Stats
    broadcaster: Broadcaster
    clock: Callable[[], float]
    """The machine's monotonic clock, as in `Moment.taken_at`."""
    start_id: str
    """Different for every start of the server, so that entity tags of another start never match."""
    exporter: "asyncio.Future[PrometheusExporter]"
    """Being made while the server starts."""
    workers: Executor
    questions: "Questions | None"
    """About the recording; None where nothing is recorded."""
    event_streams: "EventStreams | None"
    """Likewise."""
    recorder_status: "Callable[[], RecorderStatus] | None"
    """Likewise."""


async def off_loop(workers: Executor, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `work` returns, on a worker thread."""
    return await asyncio.get_running_loop().run_in_executor(workers, partial(work, *arguments, **options))


Handler = Callable[[Context, Request, Asker], Answering]
