"""The Prometheus exposition: what `GET /metrics` answers."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from blackbox.events.xids import XidCounter
from blackbox.hub import Hub, Published
from blackbox.model.event import EventKind
from blackbox.model.moment import Moment
from blackbox.model.status import FleetStatus, NotifyStatus, OtlpStatus, RecorderStatus, ServerStats
from blackbox.model.view import Shape
from blackbox.outputs.devices import Devices, devices_of
from blackbox.outputs.prometheus.family import Family, metrics
from blackbox.outputs.prometheus.gpus import (
    engine_families,
    gpu_families,
    instance_families,
    process_families,
)
from blackbox.outputs.prometheus.self_metrics import Build, ServerState, server_families

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

GPU_FAMILIES = (*gpu_families(), *instance_families())
PROCESS_FAMILIES = tuple(process_families())
ENGINE_FAMILIES = tuple(engine_families())
SERVER_FAMILIES = tuple(server_families())
VIEWERS_MAX = 8
"""Whose readings of the newest moment are kept: one or two scrape a machine."""


class PrometheusExporter:
    """Text of the newest moment and of Blackbox itself.

    The readings are put into text once per moment and viewer, however many scrape; what is about Blackbox is read at
    each scrape. Readings older than the moment's `stale_after_seconds` vanish rather than stand still.
    """

    def __init__(
        self,
        hub: Hub,
        http: ServerStats,
        build: Build,
        clock: Callable[[], float],
        process_metrics: bool = False,
        recorder: Callable[[], RecorderStatus] | None = None,
        events: Callable[[], Mapping[EventKind, int]] | None = None,
        notify: Callable[[], NotifyStatus] | None = None,
        otlp: Callable[[], OtlpStatus] | None = None,
        fleet: Callable[[], FleetStatus] | None = None,
    ) -> None:
        """`events`: how many there were since the start, by kind."""
        self._hub = hub
        self._http = http
        self._build = build
        self._clock = clock
        self._recorder = recorder
        self._events = events
        self._notify = notify
        self._otlp = otlp
        self._fleet = fleet
        self._process_metrics = process_metrics
        self._process = ProcessCollector(registry=None)
        self._lock = threading.Lock()
        self._texts: OrderedDict[tuple[Published, bool, int | None], bytes] = OrderedDict()
        """Readings of the newest moment, by viewer; at most `VIEWERS_MAX`."""
        self._xids = XidCounter()
        self.close = hub.subscribe(lambda published: self._xids.count(published.moment))
        """Stops counting events."""

    def exposition(self, viewer_uid: int | None = None) -> bytes:
        """The text, in the format `CONTENT_TYPE`; what programs of other users than `viewer_uid` told is in none of its
        numbers, None sees all. Any thread may ask."""
        published = self._hub.latest
        if published is None:
            return self._about_server(None, 0.0, False)
        lag = max(0.0, self._clock() - published.moment.taken_at)
        fresh = lag <= published.moment.stale_after_seconds
        readings = self._readings(published, fresh, published.effective_viewer(viewer_uid))
        return readings + self._about_server(published.moment, lag, fresh)

    def _readings(self, published: Published, fresh: bool, viewer_uid: int | None) -> bytes:
        key = published, fresh, viewer_uid
        with self._lock:
            for old in [known for known in self._texts if known[:2] != key[:2]]:
                del self._texts[old]
            if key not in self._texts:
                families = (*GPU_FAMILIES, *PROCESS_FAMILIES) if self._process_metrics else GPU_FAMILIES
                self._texts[key] = self._encoded(families, published, fresh, viewer_uid)
                if fresh and any(sample.engines for sample in published.moment.samples):
                    seen = published.snapshot(Shape(None, "none", viewer_uid))
                    self._texts[key] += _text(metrics(ENGINE_FAMILIES, seen))
                if len(self._texts) > VIEWERS_MAX:
                    self._texts.popitem(last=False)
            return self._texts[key]

    def _encoded(
        self, families: Sequence[Family[Devices]], published: Published, fresh: bool, viewer_uid: int | None
    ) -> bytes:
        return _text(metrics(families, devices_of(published, fresh, viewer_uid)))

    def _about_server(self, moment: Moment | None, lag_seconds: float, fresh: bool) -> bytes:
        state = ServerState(
            build=self._build,
            http=self._http,
            moment=moment,
            lag_seconds=lag_seconds,
            fresh=fresh,
            xids=self._xids.by_gpu(),
            events={} if self._events is None else self._events(),
            recorder=None if self._recorder is None else self._recorder(),
            notify=None if self._notify is None else self._notify(),
            otlp=None if self._otlp is None else self._otlp(),
            fleet=None if self._fleet is None else self._fleet(),
        )
        return _text(metrics(SERVER_FAMILIES, state)) + _text(self._process.collect())


class _Once(CollectorRegistry):
    """A registry of metrics that are already collected."""

    def __init__(self, collected: Iterable[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._collected = collected

    def collect(self) -> Iterator[Metric]:
        return iter(self._collected)


def _text(collected: Iterable[Metric]) -> bytes:
    return generate_latest(_Once(collected))
