"""The Prometheus exposition: what `GET /metrics` answers."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

from blackbox.hub import Hub, Published
from blackbox.model.event import EventKind
from blackbox.model.facts import DRIVER_EVENTS, DRIVER_EVENTS_WATCHED
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample
from blackbox.model.status import RecorderStatus, ServerStats
from blackbox.model.view import Shape
from blackbox.outputs.prometheus.family import Family, metrics
from blackbox.outputs.prometheus.gpus import (
    Devices,
    devices,
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


class PrometheusExporter:
    """Text of the newest moment and of Blackbox itself.

    The readings are put into text once per moment, however many scrape; what is about Blackbox is read at each
    scrape. Readings older than the moment's `stale_after_seconds` vanish rather than stand still.
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
    ) -> None:
        """`events`: how many there were since the start, by kind."""
        self._hub = hub
        self._http = http
        self._build = build
        self._clock = clock
        self._recorder = recorder
        self._events = events
        self._process_metrics = process_metrics
        self._process = ProcessCollector(registry=None)
        self._lock = threading.Lock()
        self._text: tuple[Published, bool, bytes] | None = None
        """Of the GPUs, for every viewer."""
        self._process_text: tuple[Published, bool, int | None, bytes] | None = None
        """Of the processes, for the last viewer."""
        self._engine_text: tuple[Published, int | None, bytes] | None = None
        """Of the engines, likewise."""
        self._xids = XidCounter()
        self.close = hub.subscribe(lambda published: self._xids.count(published.moment))
        """Stops counting events."""

    def exposition(self, viewer_uid: int | None = None) -> bytes:
        """The text, in the format `CONTENT_TYPE`; what allocators of other users' processes than `viewer_uid` report is
        left out, None sees all. Any thread may ask."""
        published = self._hub.latest
        if published is None:
            return self._about_server(None, 0.0, False)
        lag = max(0.0, self._clock() - published.moment.taken_at)
        fresh = lag <= published.moment.stale_after_seconds
        readings = self._readings(published, fresh)
        if self._process_metrics:
            readings += self._process_readings(published, fresh, viewer_uid)
        if fresh and any(sample.engines for sample in published.moment.samples):
            readings += self._engine_readings(published, viewer_uid)
        return readings + self._about_server(published.moment, lag, fresh)

    def _readings(self, published: Published, fresh: bool) -> bytes:
        with self._lock:
            if self._text is None or self._text[:2] != (published, fresh):
                self._text = published, fresh, self._encoded(GPU_FAMILIES, published, fresh, None)
            return self._text[2]

    def _process_readings(self, published: Published, fresh: bool, viewer_uid: int | None) -> bytes:
        key = published, fresh, viewer_uid
        with self._lock:
            if self._process_text is None or self._process_text[:3] != key:
                self._process_text = (*key, self._encoded(PROCESS_FAMILIES, published, fresh, viewer_uid))
            return self._process_text[3]

    def _engine_readings(self, published: Published, viewer_uid: int | None) -> bytes:
        key = published, viewer_uid
        with self._lock:
            if self._engine_text is None or self._engine_text[:2] != key:
                seen = published.snapshot(Shape(None, "none", viewer_uid))
                self._engine_text = (*key, _text(metrics(ENGINE_FAMILIES, seen)))
            return self._engine_text[2]

    def _encoded(
        self, families: Sequence[Family[Devices]], published: Published, fresh: bool, viewer_uid: int | None
    ) -> bytes:
        uuids = dict.fromkeys(
            device.uuid
            for sample in published.moment.samples
            for device in sample.devices
            if device.parent_uuid is None
        )
        snapshots = tuple(published.snapshot(Shape(uuid, "none", viewer_uid)) for uuid in uuids)
        return _text(metrics(families, devices(snapshots, published.moment.timestamp, fresh)))

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
        )
        return _text(metrics(SERVER_FAMILIES, state)) + _text(self._process.collect())


class XidCounter:
    """Xid errors per GPU since it began to listen; a GPU counts from 0 as soon as it is seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, moment: Moment) -> None:
        """Adds the Xids of the moment; an event stands in one moment only."""
        with self._lock:
            for sample in moment.samples:
                self._counts.update(dict.fromkeys(_watched(sample), 0))
                self._counts.update(
                    event.gpu_uuid for event in sample.events if event.kind == "xid" and event.gpu_uuid is not None
                )

    def by_gpu(self) -> dict[str, int]:
        """The counts so far."""
        with self._lock:
            return dict(self._counts)


def _watched(sample: Sample) -> Iterator[str]:
    """The GPUs whose Xids the source would see."""
    if DRIVER_EVENTS.of(sample.facts) in (None, DRIVER_EVENTS_WATCHED):
        yield from (device.uuid for device in sample.devices if device.parent_uuid is None)


class _Once(CollectorRegistry):
    """A registry of metrics that are already collected."""

    def __init__(self, collected: Iterable[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._collected = collected

    def collect(self) -> Iterator[Metric]:
        return iter(self._collected)


def _text(collected: Iterable[Metric]) -> bytes:
    return generate_latest(_Once(collected))
