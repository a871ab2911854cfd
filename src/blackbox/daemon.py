"""The composition root: builds the parts, runs them, stops them. The only module that knows them all."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator

import uvloop

from blackbox.errors import FailureError
from blackbox.hub import Hub
from blackbox.model.snapshot import Moment
from blackbox.pidfile import announced, runtime_directory
from blackbox.runner import ChildRunner, Runner
from blackbox.sampler import Bell, Idle, Sampler
from blackbox.server import Server
from blackbox.server.stats import Stats
from blackbox.settings import LOOPBACK, Settings
from blackbox.sources import SOURCES, Source, SourceSpec

SAMPLER_STOP_SECONDS = 1.5
"""A source that hangs is killed well within this."""
STOP_SECONDS_MAX = 2.7
"""What is not closed by then ends with the process; 3 s promised in all."""
WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - told apart, not bound
"""Addresses that mean all of this machine's, and that nobody can connect to."""
DEMANDING_ROUTES = ("/vram", "/vram/stream", "/metrics")
"""Whoever asks for these wants figures; health checks do not."""

log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Runs the server until SIGTERM or SIGINT; returns the exit code. Raises `BlackboxError` where it cannot start."""
    _log_to_stderr(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))
    return 0


async def _run(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    hub = Hub(time.monotonic, settings.blocks_max)
    server = Server(hub, settings)
    await server.start()  # first of all, so that a taken port is found before any GPU is opened
    sampler = _make_sampler(settings, hub.publish, Demand(server.stats, time.monotonic))
    loop.add_signal_handler(signal.SIGUSR1, sampler.release)
    loop.add_signal_handler(signal.SIGUSR2, sampler.resume)
    sampler.start()
    with _announcement(server.port):
        _log_start(settings, server)
        await stopping.wait()
        log.info("stopping")
        await _stop(server, sampler)


async def _stop(server: Server, sampler: Sampler) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await asyncio.gather(server.stop(), asyncio.to_thread(sampler.close, SAMPLER_STOP_SECONDS))
    except TimeoutError:
        log.warning("not everything was closed within %g s", STOP_SECONDS_MAX)


def _make_sampler(settings: Settings, publish: Callable[[Moment], None], demand: "Demand") -> Sampler:
    bell = Bell()
    specs = [spec for spec in SOURCES if (spec.name == "simulated" if settings.demo else spec.default)]
    return Sampler(
        [_make_runner(spec, settings.interval_seconds, bell) for spec in specs],
        publish,
        interval_seconds=settings.interval_seconds,
        host=socket.gethostname(),
        bell=bell,
        idle=Idle(settings.idle_release_seconds, demand.last_asked_at) if settings.idle_release_seconds else None,
    )


def _make_runner(spec: SourceSpec, interval_seconds: float, bell: Bell) -> Runner:
    if spec.isolation == "child":
        return ChildRunner(spec, interval_seconds=interval_seconds, answered=bell.ring)
    module, _, name = spec.factory.partition(":")
    make: Callable[[], Source] = getattr(importlib.import_module(module), name)
    return Runner(make(), interval_seconds=interval_seconds, answered=bell.ring)


class Demand:
    """When somebody last wanted figures, as far as the server's counters tell."""

    def __init__(self, stats: Stats, clock: Callable[[], float]) -> None:
        self._stats = stats
        self._clock = clock
        self._asked_total = 0
        self._asked_at = clock()

    def last_asked_at(self) -> float:
        """On the monotonic clock, as exactly as this is called often; its making counts as the first time."""
        requests = self._stats.requests_total.copy()
        asked_total = sum(count for (route, _), count in requests.items() if route in DEMANDING_ROUTES)
        if self._stats.streams_open or asked_total != self._asked_total:
            self._asked_total = asked_total
            self._asked_at = self._clock()
        return self._asked_at


@contextlib.contextmanager
def _announcement(port: int) -> Generator[None, None, None]:
    """Lets `blackbox release` and `blackbox resume` find this server; where that fails it serves all the same."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(announced(runtime_directory(), port))
        except FailureError as error:
            log.warning("'blackbox release' will not find this server: %s", error)
        yield


def _log_start(settings: Settings, server: Server) -> None:
    if settings.demo:
        log.warning("demo mode: the machine is SIMULATED, no figure is real")
    if os.geteuid() == 0:
        log.warning("running as root, which no figure of the driver needs")
    host = settings.hosts[0]
    if host in (*LOOPBACK, *WILDCARDS):
        host = "localhost"
    scheme = "https" if server.is_secure else "http"
    log.info("serving %s://%s:%d/vram", scheme, f"[{host}]" if ":" in host else host, server.port)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
