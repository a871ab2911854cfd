"""The composition root: builds the parts, runs them, stops them. The only module that knows them all."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from blackbox.errors import FailureError, UsageError
from blackbox.events import EventDetectors, EventWatcher
from blackbox.events.counts import EventCounts
from blackbox.heap import keep_small, keep_trimmed
from blackbox.hub import Hub
from blackbox.log import log_to_stderr
from blackbox.model.endpoints import COLUMNS, METRICS, SNAPSHOT, SNAPSHOT_STREAM
from blackbox.model.event import Event
from blackbox.model.forecast import Outlook
from blackbox.model.parts import Device
from blackbox.model.sample import Sample
from blackbox.model.status import ServerStats
from blackbox.model.view import Shape
from blackbox.paths import SNAPSHOT_SUFFIXES, data_directory, runtime_directory
from blackbox.pidfile import announced
from blackbox.readiness import ServiceManager
from blackbox.recorder import HeldError, Recorder
from blackbox.recorder.dumps.apart import keeper_apart
from blackbox.recorder.dumps.file import is_dump
from blackbox.recorder.dumps.keeper import DumpKeeper
from blackbox.recorder.query.outlook import forecast_of
from blackbox.recorder.storage.directory import DEMO_DIRECTORY
from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY
from blackbox.recorder.storage.upkeep import begin_apart
from blackbox.sampling.arrivals import SourceArrivals
from blackbox.sampling.gpu_pids import GpuPids
from blackbox.sampling.replay import Replay
from blackbox.sampling.runner import make_runner
from blackbox.sampling.sampler import IdleRelease, Sampler, WakeEvent
from blackbox.server import Server
from blackbox.settings import LOOPBACK, Settings
from blackbox.sources import SOURCES, SourceContext, SourceSpec
from blackbox.sources.vendor import VENDOR, vendor_of

if TYPE_CHECKING:
    from blackbox.fleet.shipper import Shipper
    from blackbox.outputs.notify.notifier import Notifier
    from blackbox.outputs.otlp.exporter import OtlpExporter

SAMPLER_STOP_SECONDS = 1.5
"""A source that hangs is killed well within this."""
RECORDER_STOP_SECONDS = 1.0
"""What is queued is written in milliseconds; a disk that hangs may keep the rest."""
NOTIFIER_STOP_SECONDS = 1.0
"""A message that is on its way arrives by then, or the service is not there."""
EXPORTER_STOP_SECONDS = 1.0
"""An export that is on its way likewise."""
SHIPPER_STOP_SECONDS = 1.0
"""A batch that is on its way arrives by then; else it is sent again after the next start."""
STOP_SECONDS_MAX = 2.7
"""What is not closed by then ends with the process; 3 s promised in all."""
WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - told apart, not bound
"""Addresses that mean all of this machine's, and that nobody can connect to."""
DEMANDING_ROUTES = frozenset(endpoint.path for endpoint in (SNAPSHOT, SNAPSHOT_STREAM, COLUMNS, METRICS))
"""Whoever asks for these wants figures; health checks do not."""

STDIN = 0
"""Where it is a terminal, SIGHUP means that the terminal was closed; elsewhere it asks to read files again."""

log = logging.getLogger(__name__)


def serve(settings: Settings, origins: Mapping[str, str]) -> int:
    """Runs the server until SIGTERM or SIGINT, or until its terminal is closed; returns the exit code. Raises
    `BlackboxError` where it cannot start."""
    keep_small()
    log_to_stderr(settings.log_level)
    with ExitStack() as stack, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, origins, _recording_directory(settings, stack)))
    return 0


def _recording_directory(settings: Settings, stack: ExitStack) -> Path | None:
    """Where is recorded; None where nothing is. What is played is recorded for as long as the server lives, apart from
    the recording of this machine."""
    if settings.no_record:
        return None
    if settings.replay is not None:
        from tempfile import TemporaryDirectory  # no other server needs it

        return Path(stack.enter_context(TemporaryDirectory(prefix="blackbox-replay-", ignore_cleanup_errors=True)))
    directory = settings.data_dir or data_directory()
    return directory / DEMO_DIRECTORY if settings.demo else directory


async def _run(settings: Settings, origins: Mapping[str, str], directory: Path | None) -> None:
    loop = asyncio.get_running_loop()
    manager = ServiceManager()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    hub = Hub(time.monotonic, settings.blocks_max)
    recorder = None if directory is None else Recorder(directory, settings.data_limit_bytes, begin=begin_apart)
    counts = EventCounts()
    hub.subscribe(lambda published: counts.take(published.moment))
    notifier = await asyncio.to_thread(_make_notifier, settings, recorder, hub, lambda: _dashboard(settings, server))
    exporter = await asyncio.to_thread(_make_exporter, settings, hub)
    shipper = await asyncio.to_thread(_make_shipper, settings, recorder)
    server = Server(
        hub,
        settings,
        recording=None if recorder is None else recorder.recording,
        recorder_status=None if recorder is None else recorder.status,
        event_counts=counts.by_kind,
        setting_origins=origins,
        notify_status=None if notifier is None else notifier.status,
        otlp_status=None if exporter is None else exporter.status,
        fleet_status=None if shipper is None else shipper.status,
    )
    await server.start()  # first of all, so that a taken port is found before any GPU is opened
    loop.add_signal_handler(signal.SIGHUP, stopping.set if os.isatty(STDIN) else server.reload)
    if settings.replay_rules is not None and settings.replay is None:
        raise UsageError("--rules is for a PyTorch snapshot that is replayed: --replay FILE.pickle")
    if settings.replay is not None:
        sampler: Sampler | Replay = await asyncio.to_thread(_make_replay, settings, settings.replay, hub, recorder)
    else:
        sampler = _make_sampler(settings, hub, Demand(server.stats, time.monotonic))
    loop.add_signal_handler(signal.SIGUSR1, sampler.release)
    loop.add_signal_handler(signal.SIGUSR2, sampler.resume)
    is_recording = recorder is not None and _start_recording(recorder, hub, settings)
    dumps = _keep_dumps(recorder, hub) if recorder is not None and is_recording and settings.replay is None else None
    if notifier is not None:
        hub.subscribe(lambda published: notifier.take(published.moment))  # first: it knows the moment of each event
        notifier.start()
    if exporter is not None:
        exporter.start()
    if shipper is not None and is_recording:
        hub.subscribe(shipper.take)
        shipper.start()
    noter = _noter(counts, recorder if is_recording else None, dumps, notifier, shipper)
    watcher = EventWatcher(EventDetectors(settings.thresholds_percent), noter)
    hub.subscribe(lambda published: watcher.observe(published.moment))
    sampler.start()
    trimming = asyncio.create_task(keep_trimmed())
    with _announcement(server.port):
        manager.ready(f"serving {_log_start(settings, server)}")
        await stopping.wait()
        log.info("stopping")
        trimming.cancel()
        manager.stopping()
        await _stop(server, sampler, recorder, dumps, notifier, exporter, shipper)


async def _stop(
    server: Server,
    sampler: Sampler | Replay,
    recorder: Recorder | None,
    dumps: DumpKeeper | None,
    notifier: "Notifier | None",
    exporter: "OtlpExporter | None",
    shipper: "Shipper | None",
) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            closing = [asyncio.to_thread(sampler.close, SAMPLER_STOP_SECONDS)]
            if notifier is not None:
                closing.append(asyncio.to_thread(notifier.close, NOTIFIER_STOP_SECONDS))
            if exporter is not None:
                closing.append(asyncio.to_thread(exporter.close, EXPORTER_STOP_SECONDS))
            if shipper is not None:
                closing.append(asyncio.to_thread(shipper.close, SHIPPER_STOP_SECONDS))
            await asyncio.gather(server.stop(), *closing)
            if recorder is not None:
                await asyncio.to_thread(recorder.close, RECORDER_STOP_SECONDS)
            if dumps is not None:
                await asyncio.to_thread(dumps.close, RECORDER_STOP_SECONDS)
    except TimeoutError:
        log.warning("not everything was closed within %g s", STOP_SECONDS_MAX)


def _start_recording(recorder: Recorder, hub: Hub, settings: Settings) -> bool:
    """Records what the hub publishes, where that can be done. Raises `FailureError` where another server records there,
    or must record."""
    try:
        recorder.start()
    except HeldError:
        raise
    except FailureError as error:
        if settings.require_record:
            raise
        log.warning("nothing is recorded: %s", error)
        return False
    hub.subscribe(recorder.take)
    return True


def _keep_dumps(recorder: Recorder, hub: Hub) -> DumpKeeper:
    """Keeps the minutes before whatever goes wrong; not of what is played, which comes from such a dump."""
    dumps = keeper_apart(recorder.directory / DUMPS_DIRECTORY, recorder.recording, recorder.evictions)
    hub.subscribe(lambda published: dumps.take(published.moment))
    return dumps


def _make_notifier(
    settings: Settings, recorder: Recorder | None, hub: Hub, address: Callable[[], str]
) -> "Notifier | None":
    """Raises `BlackboxError` where people could not be told."""
    if not settings.notify and settings.notify_file is None:
        return None
    if settings.replay is not None:
        raise UsageError("--notify and --replay exclude each other: what is replayed is over")
    # no other server needs it, nor Apprise
    from blackbox.outputs.notify.notifier import Notifier
    from blackbox.outputs.notify.services import load_services

    recording = None if recorder is None else recorder.recording

    def outlook() -> Sequence[Outlook]:
        latest = hub.latest
        if latest is None or recording is None:
            return ()
        return forecast_of(recording, latest.snapshot(Shape(None, "summary", None)), latest.moment.timestamp).gpus

    return Notifier(
        load_services(settings.notify, settings.notify_file),
        host=socket.gethostname(),
        address=address,
        outlook=None if recording is None else outlook,
        within_seconds=settings.notify_within_seconds,
    )


def _make_exporter(settings: Settings, hub: Hub) -> "OtlpExporter | None":
    """Raises `BlackboxError` where nothing could be exported."""
    if settings.otlp is None:
        if settings.otlp_headers_file or settings.otlp_ca or settings.otlp_processes:
            raise UsageError("what begins with --otlp- is for an export: --otlp URL")
        return None
    # no other server needs it, nor OpenTelemetry's messages
    from blackbox.outputs.otlp.wiring import make_exporter

    return make_exporter(settings, hub)


def _make_shipper(settings: Settings, recorder: Recorder | None) -> "Shipper | None":
    """Raises `BlackboxError` where nothing could be shipped."""
    if settings.fleet is None:
        return None
    if recorder is None:
        raise UsageError("--fleet ships the recording: it does not go with --no-record")
    # no other server needs it
    from blackbox.fleet.wiring import make_shipper

    return make_shipper(settings, recorder.recording)


def _dashboard(settings: Settings, server: Server) -> str:
    """Where people reach it: what the settings say, else this machine by the name it has."""
    if settings.public_url is not None:
        return settings.public_url
    host = "localhost" if {*settings.hosts} <= {*LOOPBACK} else socket.gethostname()
    return f"{'https' if server.is_secure else 'http'}://{host}:{server.port}"


def _noter(
    counts: EventCounts,
    recorder: Recorder | None,
    dumps: DumpKeeper | None,
    notifier: "Notifier | None",
    shipper: "Shipper | None",
) -> Callable[[Event], None]:
    """Where detected events go, beside the log."""

    def note(event: Event) -> None:
        counts.note(event)
        if recorder is not None:
            recorder.note(event)
        if dumps is not None:
            dumps.note(event)
        if notifier is not None:
            notifier.note(event)
        if shipper is not None:
            shipper.note(event)

    return note


def _make_sampler(settings: Settings, hub: Hub, demand: "Demand") -> Sampler:
    wake_event = WakeEvent()
    context = SourceContext(settings.source_options, GpuPids(lambda: _samples(hub)), lambda: _devices(hub))
    arrivals = SourceArrivals(
        [spec for spec in SOURCES if _is_wanted(spec, settings)],
        settings.source_options,
        lambda spec: make_runner(spec, context, settings.interval_seconds, wake_event.answered),
    )
    return Sampler(
        arrivals(),
        hub.publish,
        interval_seconds=settings.interval_seconds,
        host=socket.gethostname(),
        wake_event=wake_event,
        idle_release=IdleRelease(settings.idle_release_seconds, demand.last_asked_at)
        if settings.idle_release_seconds
        else None,
        arrivals=arrivals,
    )


def _make_replay(settings: Settings, path: Path, hub: Hub, recorder: Recorder | None) -> Replay:
    """Raises `FailureError` where the file is neither a dump nor a snapshot, `UsageError` where it takes no rules, or
    they cannot be used."""
    speed, rules = settings.replay_speed, settings.replay_rules
    ready = (lambda: True) if recorder is None else recorder.has_room
    if path.name.lower().endswith(SNAPSHOT_SUFFIXES) and not is_dump(path):
        # no other server needs what replays a trace
        from blackbox.sources.memory_snapshot.playback import moments_of_file
        from blackbox.sources.memory_snapshot.rules_file import read_rules

        played = moments_of_file(path) if rules is None else moments_of_file(path, read_rules(rules))
        gap_seconds = settings.interval_seconds
        return Replay(played, hub.publish, name=path.name, speed=speed, gap_seconds_min=gap_seconds, ready=ready)
    if rules is not None:
        raise UsageError(f"--rules is for a PyTorch snapshot ({', '.join(SNAPSHOT_SUFFIXES)}), not for {path.name}")
    # no other server reads a dump that may come from anyone
    from blackbox.recorder.dumps.played import played_moments

    moments = played_moments(path)
    return Replay(moments, hub.publish, name=path.name, speed=speed, end=moments.close, ready=ready)


def _is_wanted(spec: SourceSpec, settings: Settings) -> bool:
    if settings.demo:
        return spec.simulated
    options = settings.source_options
    return spec.runs(options, vendor_of(VENDOR.of(options)))


def _samples(hub: Hub) -> Sequence[Sample]:
    """Those of the newest moment."""
    return () if hub.latest is None else hub.latest.moment.samples


def _devices(hub: Hub) -> list[Device]:
    """Those of the newest moment."""
    return [device for sample in _samples(hub) for device in sample.devices]


class Demand:
    """When somebody last wanted figures, as far as the server's counters tell."""

    def __init__(self, stats: ServerStats, clock: Callable[[], float]) -> None:
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


def _log_start(settings: Settings, server: Server) -> str:
    """Logs what runs, and returns where it is to be asked."""
    if settings.demo:
        log.warning("demo mode: the machine is SIMULATED, no figure is real")
    if os.geteuid() == 0:
        log.warning("running as root, which no figure of the driver needs")
    host = settings.hosts[0]
    if host in (*LOOPBACK, *WILDCARDS):
        host = "localhost"
    scheme = "https" if server.is_secure else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}/vram"
    log.info("serving %s", url)
    return url
