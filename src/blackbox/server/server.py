"""The server: puts sockets, access, routes and streams together, and takes them apart again."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from platform import python_version
from types import MappingProxyType
from typing import TYPE_CHECKING

from blackbox.hub import Hub
from blackbox.model.event import EventKind
from blackbox.model.status import FleetStatus, NotifyStatus, OtlpStatus, RecorderStatus, ServerStats
from blackbox.recorder import Recording
from blackbox.server.api.context import Context
from blackbox.server.api.events_stream import EventStreams
from blackbox.server.app import App
from blackbox.server.auth.access import Access
from blackbox.server.auth.web_config import TlsConfig, tls_config
from blackbox.server.connection import Connection
from blackbox.server.http.connection_pool import ConnectionPool
from blackbox.server.http.limits import Limits
from blackbox.server.http.listeners import BACKLOG, connection_limits, open_tcp, open_unix
from blackbox.server.http.offload import off_loop
from blackbox.server.http.query_pool import QueryPool
from blackbox.server.http.waiting_budget import WaitingBudget
from blackbox.server.streams.snapshot_broadcast import Broadcaster
from blackbox.settings import Settings

if TYPE_CHECKING:
    from blackbox.outputs.prometheus.exporter import PrometheusExporter
    from blackbox.server.auth.tls import Tls
    from blackbox.server.http.fleet_pool import FleetPool

logger = logging.getLogger(__name__)

WORKERS = 4
"""Threads for work that would hold up the event loop: new encodings, scrapes."""


class Server:
    """Serves a hub over HTTP. All but the hub's publishing happens on the event loop that starts it."""

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        recording: Recording | None = None,
        recorder_status: Callable[[], RecorderStatus] | None = None,
        event_counts: Callable[[], Mapping[EventKind, int]] | None = None,
        setting_origins: Mapping[str, str] = MappingProxyType({}),
        notify_status: Callable[[], NotifyStatus] | None = None,
        otlp_status: Callable[[], OtlpStatus] | None = None,
        fleet_status: Callable[[], FleetStatus] | None = None,
    ) -> None:
        """`clock` is the one that `Moment.taken_at` was read from; `recording` and `recorder_status` are None where
        nothing is recorded; `event_counts` tells how many events there were, by kind;
        `setting_origins` where each setting was set (`blackbox.server.api.about`); `notify_status` how notifications
        go, None where none are sent; `otlp_status` how the export goes, None where nothing is exported; `fleet_status`
        how the shipping goes, likewise.
        """
        self._hub = hub
        self._settings = settings
        self._limits = limits or Limits()
        self._clock = clock
        self._recorder_status = recorder_status
        self._event_counts = event_counts
        self._setting_origins = setting_origins
        self._notify_status = notify_status
        self._otlp_status = otlp_status
        self._fleet_status = fleet_status
        self._query_pool = None if recording is None else QueryPool(recording)
        self.stats = ServerStats()
        self.port = settings.port
        """The TCP port. Where the settings say 0: the one picked, once started."""

    async def start(self) -> None:
        """Returns once connections are accepted. Raises `UsageError`, `FailureError`, and then leaves nothing open."""
        settings, limits = self._settings, self._limits
        self._loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(WORKERS, "blackbox-http")
        self._access = Access(settings, socket.gethostname(), limits)
        self._fleet_pool = None if settings.fleet_read is None else await asyncio.to_thread(_make_fleet_pool, settings)
        config = tls_config(settings, self._access.web_config)
        self._tls = None if config is None else _make_tls(config)
        tcp, unix = self._open_sockets()
        self.port = tcp[0].getsockname()[1]
        self._connections = ConnectionPool(limits, self.stats, connection_limits(limits.spare_fds))
        self._broadcaster = Broadcaster(self._hub, self.stats, limits, settings.streams_max, self._workers)
        self._broadcaster.start(self._loop)
        self._event_streams = self._make_event_streams()
        self._exporter: asyncio.Future[PrometheusExporter] | None = None
        app = App(self._make_context(), self._access)
        plain = partial(Connection, app, self._connections, tls=False)
        secure = plain if self._tls is None else partial(Connection, app, self._connections, tls=True)
        ssl = None if self._tls is None else self._tls.context
        handshake = None if ssl is None else limits.head_seconds
        self._listening = [
            await self._loop.create_server(
                secure, sock=opened, backlog=BACKLOG, ssl=ssl, ssl_handshake_timeout=handshake
            )
            for opened in tcp
        ]
        if unix is not None:
            self._listening.append(await self._loop.create_unix_server(plain, sock=unix, backlog=BACKLOG))
        self._sweeping = self._loop.call_later(limits.sweep_seconds, self._sweep)

    async def stop(self) -> None:
        """Accepts no more, gives every stream its last event, and returns when all connections are closed."""
        for listening in self._listening:
            listening.close()
        self._remove_unix_path()
        self._broadcaster.stop("server stopping")
        if self._event_streams is not None:
            self._event_streams.stop("server stopping")
        await self._connections.shutdown()
        self._sweeping.cancel()
        self._stop_exporter()
        self._workers.shutdown(wait=False, cancel_futures=True)
        if self._fleet_pool is not None:
            self._fleet_pool.close()
        self._access.close()
        if self._query_pool is not None:
            self._query_pool.close()

    def reload(self) -> None:
        """Reads the token file, the web config and the TLS files again; what cannot be read leaves the last good one in
        force. For the event loop, once started."""
        self._access.reload()
        if self._tls is not None:
            self._tls.reload()
        logger.info("token, web config and TLS files are read again")

    @property
    def is_secure(self) -> bool:
        """TCP connections speak TLS; known once started."""
        return self._tls is not None

    def _open_sockets(self) -> tuple[list[socket.socket], socket.socket | None]:
        settings = self._settings
        tcp = open_tcp(settings.hosts, settings.port)
        if settings.unix_socket is None:
            return tcp, None
        try:
            unix = open_unix(settings.unix_socket, settings.socket_group)
        except BaseException:
            for opened in tcp:
                opened.close()
            raise
        self._unix_inode = settings.unix_socket.stat().st_ino
        return tcp, unix

    def _make_context(self) -> Context:
        return Context(
            hub=self._hub,
            settings=self._settings,
            limits=self._limits,
            stats=self.stats,
            broadcaster=self._broadcaster,
            clock=self._clock,
            start_id=self._hub.start_id,
            exporter=self._made_exporter,
            workers=self._workers,
            waiting=WaitingBudget(self._limits, self.stats, self._loop.time),
            query_pool=self._query_pool,
            event_streams=self._event_streams,
            recorder_status=self._recorder_status,
            setting_origins=self._setting_origins,
            notify_status=self._notify_status,
            otlp_status=self._otlp_status,
            fleet_status=self._fleet_status,
            fleet_pool=self._fleet_pool,
        )

    def _make_event_streams(self) -> EventStreams | None:
        if self._query_pool is None:
            return None
        return EventStreams(self._query_pool, self.stats, self._limits, self._settings.streams_max)

    async def _made_exporter(self) -> "PrometheusExporter":
        """The exporter, made when it is first asked for: it takes 4 MiB, and a while for its imports."""
        if self._exporter is None:
            self._exporter = asyncio.ensure_future(off_loop(self._workers, self._make_exporter))
        return await asyncio.shield(self._exporter)  # whoever asked first may leave

    def _stop_exporter(self) -> None:
        if self._exporter is None:
            return
        if self._exporter.done() and self._exporter.exception() is None:
            self._exporter.result().close()
        self._exporter.cancel()

    def _make_exporter(self) -> "PrometheusExporter":
        from importlib.metadata import version

        from blackbox.outputs.prometheus.exporter import PrometheusExporter
        from blackbox.outputs.prometheus.self_metrics import Build

        build = Build(version("blackbox-vram"), python_version())
        return PrometheusExporter(
            self._hub,
            self.stats,
            build,
            self._clock,
            self._settings.process_metrics,
            self._recorder_status,
            self._event_counts,
            self._notify_status,
            self._otlp_status,
            self._fleet_status,
        )

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeping = self._loop.call_at(now + self._limits.sweep_seconds, self._sweep)
        self._connections.sweep(now)
        self._broadcaster.sweep(now)
        self._access.refresh()
        if self._tls is not None:
            self._tls.refresh()

    def _remove_unix_path(self) -> None:
        """Unless another server has put its own there."""
        path = self._settings.unix_socket
        if path is not None and _inode(path) == self._unix_inode:
            path.unlink(missing_ok=True)


def _make_tls(config: TlsConfig) -> "Tls":
    """Imports what no other server needs. Raises `FailureError`."""
    from blackbox.server.auth.tls import Tls

    return Tls(config)


def _make_fleet_pool(settings: Settings) -> "FleetPool":
    """Imports what no other server needs."""
    from blackbox.server.http.fleet_pool import FleetPool

    return FleetPool(settings)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
