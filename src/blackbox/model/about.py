"""Answers about Blackbox itself: the settings in force, what it costs, and what each process lets it see."""

from msgspec import Struct

from blackbox.model.quantity import Bytes, Count
from blackbox.model.status import FleetStatus, NotifyStatus, OtlpStatus

SettingValue = bool | int | float | str | tuple[str, ...] | None


class SettingInForce(Struct, frozen=True, kw_only=True):
    """One setting of the server."""

    name: str
    """As in the server's own words, with its unit."""
    value: SettingValue
    """What is in force; null: not set. Files are named, never read; a password in an address is left out."""
    origin: str
    """Where it was set: a flag, a variable, or file and key; `default` where it was not."""


class SettingsInForce(Struct, frozen=True, kw_only=True):
    """Answer of `GET /settings`."""

    settings: tuple[SettingInForce, ...]
    """All that can be set, those that were set first."""


class OwnCost(Struct, frozen=True, kw_only=True):
    """Answer of `GET /status`: what the server itself takes and does. `GET /metrics` has the same over time."""

    version: str
    """Of Blackbox."""
    pid: int
    """Of the server."""
    started_at: float
    """Unix seconds."""
    cpu_seconds: float
    """CPU time since then, with that of its children that have ended."""
    resident_bytes: Bytes
    """Memory of the server, without its children."""
    threads: Count
    """Of the server."""
    connections_open: Count
    """Clients connected."""
    streams_open: Count
    """Of these, with a stream."""
    requests_total: Count
    """Answers given."""
    errors_total: Count
    """Of these, faults of ours."""
    sent_bytes_total: Bytes
    """Answers and events."""
    waiting_bytes: Bytes
    """Held until clients take them."""
    notify: NotifyStatus | None = None
    """How the notifications go; null where none are sent."""
    fleet: FleetStatus | None = None
    """How shipping to a fleet's database goes; null where nothing is shipped."""
    otlp: OtlpStatus | None = None
    """How the export by OTLP goes; null where nothing is exported."""


class ProcessCoverage(Struct, frozen=True, kw_only=True):
    """What a process on a GPU lets Blackbox see of its memory."""

    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the device: the MIG instance where there is one."""
    pid: int
    """Process, in the server's pid namespace."""
    name: str
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, its identity."""
    sources: tuple[str, ...]
    """Who tells from inside, such as `pytorch`; empty where nobody does."""
    told: tuple[str, ...]
    """What is known of it, of `used`, `reserved`, `blocks`, `segments`, `times`, `stacks`, `threads` and `kernels`."""
    missing: dict[str, str]
    """The others of these, each with the reason."""


class Coverage(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/coverage`."""

    seq: int
    """Sample number since the server started."""
    timestamp: str
    """UTC time of the sample, RFC 3339."""
    processes: tuple[ProcessCoverage, ...]
    """One row per process and GPU (or MIG instance)."""
