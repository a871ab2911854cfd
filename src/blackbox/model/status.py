"""The state of Blackbox itself: its sources, what the server counted since it started, and how the recording goes."""

from collections import Counter
from typing import Literal

from msgspec import Struct, field

from blackbox.model.quantity import Count

SourceState = Literal[
    "starting", "ok", "degraded", "stale", "failed", "no_driver", "no_access", "version_mismatch", "released"
]


class UserStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a source has to say of one user's programs, besides its parts."""

    uid: int | None
    """None where the user is not known."""
    reasons: tuple[str, ...] = ()
    """What is wrong, one line each."""
    cost: dict[str, float] = {}
    """What it cost these programs, added to the cost of the source."""
    facts: dict[str, str] = {}
    """What is known about them."""


class SourceStatus(Struct, frozen=True, kw_only=True):
    """Health of one source, and what it costs."""

    name: str
    """Such as `nvml`."""
    state: SourceState
    """`ok`; `starting`; `degraded`: some of its parts fail; `stale`: late; `failed`; `no_driver`; `no_access`;
    `version_mismatch`: library and driver differ; `released`: the driver was let go of on request."""
    reason: str | None
    """Why `state` is not `ok`, and what to do about it."""
    age_seconds: float | None
    """Since its last good sample; null before the first."""
    duration_seconds: float | None
    """Wall time its last sample took."""
    samples_total: Count
    """Samples taken."""
    failures_total: Count
    """Samples that failed."""
    restarts_total: Count
    """Times its child process was replaced."""
    cost: dict[str, float]
    """What its sampling cost the machine so far; units in the names."""
    facts: dict[str, str]
    """What it knows about the machine: driver version and the like."""


class ServerStats(Struct, kw_only=True):
    """Counters and gauges of one server. Written on the event loop alone; reading from anywhere is safe."""

    requests_total: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    """(route, status) -> answers. The route is a path of the table, or `other`."""
    connections_open: int = 0
    connections_total: int = 0
    connections_refused_total: int = 0
    """Over the cap: answered 503 or closed unanswered."""
    connections_expired_total: int = 0
    """Closed at a deadline: slow head, slow body, idle."""
    connections_stalled_total: int = 0
    """Dropped because the peer took no bytes, or too few."""
    connections_ended_for_room_total: int = 0
    """Ended because too many bytes waited for clients, and these were the slowest."""
    waiting_bytes: int = 0
    """Held until clients take them; what many wait for counts once."""
    streams_open: int = 0
    streams_total: int = 0
    streams_refused_total: int = 0
    """Over `streams_max`."""
    frames_sent_total: int = 0
    """Events handed to streams."""
    frames_missed_total: int = 0
    """Events that slow or late stream clients did not get; each client was told."""
    bytes_sent_total: int = 0
    """Bytes of answers and events, before TLS."""
    errors_total: int = 0
    """Answers 500; the causes are in the log."""


RecorderState = Literal["recording", "paused", "off"]
"""`paused`: the disk does not take anything; tried again every second. `off`: not started, or closed."""


class RecorderStatus(Struct, frozen=True, kw_only=True):
    """How the recording goes."""

    state: RecorderState
    """`paused`: the disk does not take anything; tried again every second. `off`: not started, or closed."""
    reason: str | None
    """Why it is not `recording`."""
    directory: str
    bytes: int
    """Disk taken, as of the last minute."""
    limit_bytes: int
    moments_total: int
    """Committed since the start."""
    events_total: int
    """On the disk since the start."""
    dropped_total: int
    """Moments and events lost because the disk was too slow."""
    failures_total: int
    """Moments lost because the disk did not take them. Events are tried again."""
    damaged_total: int
    """Records and files that could not be read."""
    dumps: int = 0
    """Dumps kept beside the recording, as of the last minute."""
    dumps_evicted: dict[str, dict[str, int]] = {}
    """Kind of event -> whose limit was reached (`kind_dumps`, `owner_dumps`, `owner_bytes`, `dumps`, `bytes`) -> dumps
    deleted since the start."""


class OtlpStatus(Struct, frozen=True, kw_only=True):
    """How the export by OTLP goes."""

    endpoint: str
    """Where it goes."""
    exports_total: Count
    """Requests that the receiver took."""
    failures_total: Count
    """Requests that it did not take; their points are not sent again, newer ones are."""
    points_total: Count
    """Points that it took."""
    rejected_total: Count
    """Points that it did not take though it took the rest of the request."""
    bytes_total: Count
    """Of the requests taken, before compression."""
    cpu_seconds: float
    """CPU time of the export."""
    last_failure: str | None
    """What the receiver did last instead of taking a request."""


FleetState = Literal["starting", "shipping", "waiting", "stopped"]
"""`waiting`: for a database that does not answer, or has no room now. `stopped`: until a person has mended tables,
password, address or certificate; looked at again every minute."""


class FleetStatus(Struct, frozen=True, kw_only=True):
    """How the shipping to a fleet's database goes."""

    url: str
    state: FleetState
    """`waiting`: for a database that does not answer, or has no room now. `stopped`: until a person has mended tables,
    password, address or certificate; looked at again every minute."""
    reason: str | None
    """Why it is not `shipping`."""
    machine: str | None
    """Under which the rows are found."""
    shipped_until: float | None
    """End of the last minute that was shipped, in Unix seconds."""
    lag_seconds: float | None
    """Since then; five minutes are usual."""
    rows_total: Count
    """Rows shipped, and seen to arrive."""
    batches_total: Count
    """Batches of these."""
    bytes_total: Count
    """Bytes of these, before compression."""
    failures_total: Count
    """Tries that failed; nothing is lost by one."""
    set_aside_total: Count
    """Rows that the database will never take."""
    gaps_total: Count
    """Stretches, and rows, that were lost before they were shipped, since the recording began."""
    cpu_seconds: float
    """CPU time of the shipping."""


class NotifyStatus(Struct, frozen=True, kw_only=True):
    """How the notifications go."""

    services: tuple[str, ...]
    """Scheme and place in the list of each address, never the address."""
    sent_total: Count
    """Messages that a service took; each service counts."""
    failures_total: Count
    """Messages that a service did not take; each is tried again a few times."""
    folded_total: Count
    """Notices told together with others."""
    dropped_total: Count
    """Messages given up, and notices that came faster than they could be taken."""
    waiting: Count
    """Notices and messages not sent yet."""
    last_failure: str | None
    """Which service failed last, and why."""
