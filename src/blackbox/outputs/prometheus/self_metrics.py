"""Series of Blackbox itself: its build, its sources and what they cost, its HTTP server, its recorder."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from blackbox.model.event import EventKind
from blackbox.model.facts import DRIVER_VERSION, NVML_VERSION, PID_SCOPE
from blackbox.model.metric_names import MetricType
from blackbox.model.moment import Moment
from blackbox.model.status import FleetStatus, NotifyStatus, OtlpStatus, RecorderStatus, ServerStats, SourceStatus
from blackbox.outputs.prometheus.family import Family, LabelledValue

REFUSALS_KEY = re.compile(r"agents_refused_(\w+)_total")
"""Keys of a source's `cost`; the source of agents has one for each of its few reasons."""
UP_STATES = ("ok", "degraded")


class Build(NamedTuple):
    """What is running."""

    version: str
    python_version: str


class ServerState(NamedTuple):
    """Blackbox at the time of a scrape."""

    build: Build
    http: ServerStats
    moment: Moment | None
    """The newest; None before the first."""
    lag_seconds: float
    """Time since that moment."""
    fresh: bool
    """That moment is new enough to be shown."""
    xids: Mapping[str, int]
    """GPU UUID -> Xid errors since the server started."""
    events: Mapping[EventKind, int] = {}
    """Kind -> events since the server started; empty where nobody counts."""
    recorder: RecorderStatus | None = None
    """None where nothing is recorded."""
    notify: NotifyStatus | None = None
    """None where nobody is notified."""
    otlp: OtlpStatus | None = None
    """None where nothing is exported."""
    fleet: FleetStatus | None = None
    """None where nothing is shipped."""


def server_families() -> Iterator[Family[ServerState]]:
    """All families about Blackbox itself."""
    yield Family("blackbox_build_info", "gauge", "What is running.", ("version", "python_version"), _build)
    yield Family("blackbox_simulated", "gauge", "1 when the readings come from the simulator.", (), _simulated)
    yield Family("blackbox_last_sample_timestamp_seconds", "gauge", "The last sample, in Unix time.", (), _sampled_at)
    yield Family(
        "blackbox_source_info", "gauge", "Facts a source knows.", ("source", *(fact.key for fact in INFO_FACTS)), _facts
    )
    for name, kind, text, read in SOURCES:
        yield Family(f"blackbox_source_{name}", kind, text, ("source",), _over_sources(read))
    yield Family(
        "blackbox_agent_refusals_total",
        "counter",
        "What agents said and was not taken: reports, failed allocations, connections.",
        ("reason",),
        _refusals,
    )
    yield Family("blackbox_gpu_xid_errors_total", "counter", "Xid errors seen on the GPU.", ("uuid",), _xids)
    yield Family(
        "blackbox_events_total", "counter", "Events since the start, such as an out-of-memory.", ("kind",), _events
    )
    yield Family("blackbox_http_requests_total", "counter", "Answers given.", ("route", "status"), _requests)
    for name, kind, text, count in COUNTS:
        yield Family(f"blackbox_{name}", kind, text, (), _counted(count))
    for name, kind, text, recorded in RECORDER:
        yield Family(f"blackbox_recorder_{name}", kind, text, (), _of_recorder(recorded))
    yield Family(
        "blackbox_recorder_dumps_evicted_total",
        "counter",
        "Dumps deleted to keep the limits, by kind of event and whose limit was reached.",
        ("kind", "reason"),
        _evicted,
    )
    for name, kind, text, told in NOTIFY:
        yield Family(f"blackbox_notify_{name}", kind, text, (), _of_notify(told))
    for name, kind, text, exported in OTLP:
        yield Family(f"blackbox_otlp_{name}", kind, text, (), _of_otlp(exported))
    for name, kind, text, shipped in FLEET:
        yield Family(f"blackbox_fleet_{name}", kind, text, (), _of_fleet(shipped))


INFO_FACTS = (DRIVER_VERSION, NVML_VERSION, PID_SCOPE)

ReadSource = Callable[[SourceStatus, ServerState], float | None]

SOURCES: tuple[tuple[str, MetricType, str, ReadSource], ...] = (
    (
        "up",
        "gauge",
        "1 while the source answers and its last good sample is fresh.",
        lambda status, seen: float(seen.fresh and status.state in UP_STATES),
    ),
    (
        "last_success_timestamp_seconds",
        "gauge",
        "Last good sample of the source, in Unix time.",
        lambda status, seen: None if status.age_seconds is None else _sampled(seen) - status.age_seconds,
    ),
    (
        "age_seconds",
        "gauge",
        "Time since the last good sample of the source.",
        lambda status, seen: None if status.age_seconds is None else status.age_seconds + seen.lag_seconds,
    ),
    ("duration_seconds", "gauge", "Time the last sample took.", lambda status, _: status.duration_seconds),
    ("samples_total", "counter", "Samples taken.", lambda status, _: status.samples_total),
    ("failures_total", "counter", "Samples that failed.", lambda status, _: status.failures_total),
    ("restarts_total", "counter", "Times the source's process was replaced.", lambda status, _: status.restarts_total),
    (
        "driver_calls_total",
        "counter",
        "Calls into the driver library.",
        lambda status, _: status.cost.get("driver_calls_total"),
    ),
    (
        "cpu_seconds_total",
        "counter",
        "CPU time the source took.",
        lambda status, _: status.cost.get("cpu_seconds_total"),
    ),
    (
        "driver_seconds_total",
        "counter",
        "Time spent in the driver library.",
        lambda status, _: status.cost.get("driver_seconds_total"),
    ),
    (
        "events_dropped_total",
        "counter",
        "Events beyond what is kept between two samples, or that could not be encoded.",
        lambda status, _: status.cost.get("events_dropped_total"),
    ),
)

COUNTS: tuple[tuple[str, MetricType, str, Callable[[ServerStats], int]], ...] = (
    ("http_connections_open", "gauge", "Connections open.", lambda http: http.connections_open),
    ("http_connections_total", "counter", "Connections accepted.", lambda http: http.connections_total),
    (
        "http_connections_refused_total",
        "counter",
        "Connections over the cap.",
        lambda http: http.connections_refused_total,
    ),
    (
        "http_connections_expired_total",
        "counter",
        "Connections closed at a deadline: slow head, slow body, idle.",
        lambda http: http.connections_expired_total,
    ),
    (
        "http_connections_stalled_total",
        "counter",
        "Connections dropped because the client took no bytes, or too few.",
        lambda http: http.connections_stalled_total,
    ),
    (
        "http_connections_ended_for_room_total",
        "counter",
        "Connections ended because too many bytes waited for clients, and these were the slowest.",
        lambda http: http.connections_ended_for_room_total,
    ),
    (
        "http_waiting_bytes",
        "gauge",
        "Bytes held until clients take them; what many wait for counts once.",
        lambda http: http.waiting_bytes,
    ),
    (
        "http_sent_bytes_total",
        "counter",
        "Bytes of all answers and events.",
        lambda http: http.bytes_sent_total,
    ),
    ("streams_open", "gauge", "Event streams open.", lambda http: http.streams_open),
    ("streams_total", "counter", "Event streams opened.", lambda http: http.streams_total),
    (
        "streams_refused_total",
        "counter",
        "Event streams over the cap, answered 503.",
        lambda http: http.streams_refused_total,
    ),
    ("stream_events_sent_total", "counter", "Events handed to streams.", lambda http: http.frames_sent_total),
    (
        "stream_events_missed_total",
        "counter",
        "Events that slow streams did not get, as they were told.",
        lambda http: http.frames_missed_total,
    ),
)


RECORDING = "recording"
RECORDER: tuple[tuple[str, MetricType, str, Callable[[RecorderStatus], float]], ...] = (
    ("up", "gauge", "1 while the disk takes what is recorded, 0 while it is paused.", lambda it: it.state == RECORDING),
    ("disk_bytes", "gauge", "Disk the recording takes, as of the last minute.", lambda it: it.bytes),
    ("disk_limit_bytes", "gauge", "Disk the recording may take.", lambda it: it.limit_bytes),
    ("moments_total", "counter", "Moments committed.", lambda it: it.moments_total),
    ("events_total", "counter", "Events on the disk.", lambda it: it.events_total),
    ("dropped_total", "counter", "Moments and events lost: the disk was too slow.", lambda it: it.dropped_total),
    ("failures_total", "counter", "Moments lost: the disk did not take them.", lambda it: it.failures_total),
    ("damaged_total", "counter", "Records and files that could not be read.", lambda it: it.damaged_total),
    ("dumps", "gauge", "Dumps kept beside the recording, as of the last minute.", lambda it: it.dumps),
)

OTLP: tuple[tuple[str, MetricType, str, Callable[[OtlpStatus], float]], ...] = (
    ("exports_total", "counter", "Requests that the receiver of OTLP took.", lambda otlp: otlp.exports_total),
    ("failures_total", "counter", "Requests that it did not take.", lambda otlp: otlp.failures_total),
    ("points_total", "counter", "Points that it took.", lambda otlp: otlp.points_total),
    ("rejected_points_total", "counter", "Points that it rejected.", lambda otlp: otlp.rejected_total),
    ("sent_bytes_total", "counter", "Bytes of the requests taken, before compression.", lambda otlp: otlp.bytes_total),
    ("cpu_seconds_total", "counter", "CPU time of the export.", lambda otlp: otlp.cpu_seconds),
)

SHIPPING = "shipping"
FLEET: tuple[tuple[str, MetricType, str, Callable[[FleetStatus], float | None]], ...] = (
    ("up", "gauge", "1 while the fleet's database takes what is shipped.", lambda it: float(it.state == SHIPPING)),
    ("lag_seconds", "gauge", "Time since the end of the last minute that was shipped.", lambda it: it.lag_seconds),
    ("rows_total", "counter", "Rows shipped, and seen to arrive.", lambda it: it.rows_total),
    ("batches_total", "counter", "Batches of these.", lambda it: it.batches_total),
    ("sent_bytes_total", "counter", "Bytes of these, before compression.", lambda it: it.bytes_total),
    ("errors_total", "counter", "Tries that failed; nothing is lost by one.", lambda it: it.failures_total),
    ("set_aside_total", "counter", "Rows that the database will never take.", lambda it: it.set_aside_total),
    ("gaps", "gauge", "Stretches and rows lost before they were shipped, ever.", lambda it: it.gaps_total),
    ("cpu_seconds_total", "counter", "CPU time of the shipping.", lambda it: it.cpu_seconds),
)

NOTIFY: tuple[tuple[str, MetricType, str, Callable[[NotifyStatus], int]], ...] = (
    ("sent_total", "counter", "Messages that a service took.", lambda it: it.sent_total),
    ("failures_total", "counter", "Messages that a service did not take.", lambda it: it.failures_total),
    ("folded_total", "counter", "Notices told together with others.", lambda it: it.folded_total),
    ("dropped_total", "counter", "Notices and messages given up.", lambda it: it.dropped_total),
    ("waiting", "gauge", "Notices and messages not sent yet.", lambda it: it.waiting),
)


def _build(seen: ServerState) -> Iterator[LabelledValue]:
    yield (seen.build.version, seen.build.python_version), 1


def _simulated(seen: ServerState) -> Iterator[LabelledValue]:
    if seen.moment is not None:
        yield (), float(seen.moment.simulated)


def _sampled_at(seen: ServerState) -> Iterator[LabelledValue]:
    if seen.moment is not None:
        yield (), seen.moment.timestamp


def _sampled(seen: ServerState) -> float:
    return seen.moment.timestamp if seen.moment is not None else 0.0


def _statuses(seen: ServerState) -> tuple[SourceStatus, ...]:
    return seen.moment.sources if seen.moment is not None else ()


def _facts(seen: ServerState) -> Iterator[LabelledValue]:
    for status in _statuses(seen):
        yield (status.name, *(fact.of(status.facts) or "" for fact in INFO_FACTS)), 1


def _over_sources(read: ReadSource) -> Callable[[ServerState], Iterator[LabelledValue]]:
    def series(seen: ServerState) -> Iterator[LabelledValue]:
        for status in _statuses(seen):
            yield (status.name,), read(status, seen)

    return series


def _refusals(seen: ServerState) -> Iterator[LabelledValue]:
    for status in _statuses(seen):
        for key, count in status.cost.items():
            if (reason := REFUSALS_KEY.fullmatch(key)) is not None:
                yield (reason[1],), count


def _counted(count: Callable[[ServerStats], int]) -> Callable[[ServerState], Iterator[LabelledValue]]:
    def series(seen: ServerState) -> Iterator[LabelledValue]:
        yield (), count(seen.http)

    return series


def _of_recorder(count: Callable[[RecorderStatus], float]) -> Callable[[ServerState], Iterator[LabelledValue]]:
    def series(seen: ServerState) -> Iterator[LabelledValue]:
        if seen.recorder is not None:
            yield (), float(count(seen.recorder))

    return series


def _of_otlp(count: Callable[[OtlpStatus], float]) -> Callable[[ServerState], Iterator[LabelledValue]]:
    def series(seen: ServerState) -> Iterator[LabelledValue]:
        if seen.otlp is not None:
            yield (), count(seen.otlp)

    return series


def _of_fleet(count: Callable[[FleetStatus], float | None]) -> Callable[[ServerState], Iterator[LabelledValue]]:
    def series(seen: ServerState) -> Iterator[LabelledValue]:
        if seen.fleet is not None:
            yield (), count(seen.fleet)

    return series


def _of_notify(count: Callable[[NotifyStatus], int]) -> Callable[[ServerState], Iterator[LabelledValue]]:
    def series(seen: ServerState) -> Iterator[LabelledValue]:
        if seen.notify is not None:
            yield (), count(seen.notify)

    return series


def _evicted(seen: ServerState) -> Iterator[LabelledValue]:
    if seen.recorder is not None:
        for kind, reasons in seen.recorder.dumps_evicted.items():
            for reason, count in reasons.items():
                yield (kind, reason), count


def _xids(seen: ServerState) -> Iterator[LabelledValue]:
    for uuid, count in seen.xids.items():
        yield (uuid,), count


def _events(seen: ServerState) -> Iterator[LabelledValue]:
    for kind, count in seen.events.items():
        yield (kind,), count


def _requests(seen: ServerState) -> Iterator[LabelledValue]:
    for (route, status), count in sorted(dict(seen.http.requests_total).items()):
        yield (route, str(status)), count
