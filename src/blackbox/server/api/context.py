"""The parts of the server that handlers share."""

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, NamedTuple

from blackbox.hub import Hub
from blackbox.model.status import FleetStatus, NotifyStatus, OtlpStatus, RecorderStatus, ServerStats
from blackbox.server.http.limits import Limits
from blackbox.server.http.query_pool import QueryPool
from blackbox.server.http.waiting_budget import WaitingBudget
from blackbox.server.streams.event_broadcast import EventStreams
from blackbox.server.streams.snapshot_broadcast import Broadcaster
from blackbox.settings import Settings

if TYPE_CHECKING:
    from blackbox.outputs.prometheus.exporter import PrometheusExporter
    from blackbox.server.http.fleet_pool import FleetPool


class Context(NamedTuple):
    """The parts of the server that routes share."""

    hub: Hub
    settings: Settings
    limits: Limits
    stats: ServerStats
    broadcaster: Broadcaster
    clock: Callable[[], float]
    """The machine's monotonic clock, as in `Moment.taken_at`."""
    start_id: str
    """Different for every start of the server, so that entity tags of another start never match."""
    exporter: "Callable[[], Awaitable[PrometheusExporter]]"
    """Made once, when it is first asked for."""
    workers: Executor
    waiting: WaitingBudget
    query_pool: QueryPool | None
    """About the recording; None where nothing is recorded."""
    event_streams: EventStreams | None
    """Likewise."""
    recorder_status: Callable[[], RecorderStatus] | None
    """Likewise."""
    notify_status: Callable[[], NotifyStatus] | None
    """None where nobody is notified."""
    otlp_status: Callable[[], OtlpStatus] | None
    """None where nothing is exported."""
    fleet_status: Callable[[], FleetStatus] | None
    """None where nothing is shipped."""
    fleet_pool: "FleetPool | None"
    """None where no fleet is asked."""
    setting_origins: Mapping[str, str]
    """Name of a setting -> where it was set; those at their default are absent."""

    @property
    def simulated(self) -> bool:
        """Whether what is served and recorded is of the simulated machine: one recording never holds both kinds. A
        replay is what its file is of."""
        latest = self.hub.latest
        return self.settings.demo or (latest is not None and latest.moment.simulated)
