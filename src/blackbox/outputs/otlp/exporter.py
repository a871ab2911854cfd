"""The thread that exports: the newest moment at every interval, later where the receiver does not take it."""

import logging
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from blackbox.events.xids import XidCounter
from blackbox.hub import Hub, Published
from blackbox.model.status import OtlpStatus
from blackbox.outputs.devices import devices_of
from blackbox.outputs.otlp.endpoint import Endpoint
from blackbox.outputs.otlp.points import Attributes, Seen, request
from blackbox.outputs.otlp.sender import ExportOutcome, send

FIRST_SECONDS = 1.0
"""Between looks for the first moment."""
BACK_OFF_SECONDS_MAX = 300.0
"""A receiver that was down for long is found again within this, or within an interval where that is longer."""
RETRY_AFTER_SECONDS_MAX = 3600.0
"""Whatever a receiver asks for; an operator who mends it does not want to wait for longer."""
JITTER = 0.2
"""Share of a delay by which it varies, so that the machines of a fleet do not come back at once."""
MACHINE_ID = Path("/etc/machine-id")
INSTANCE_NAMESPACE = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""OpenTelemetry's, for ids of services that are made of something else."""

log = logging.getLogger(__name__)

Send = Callable[[Endpoint, Mapping[str, str], bytes], ExportOutcome]


class OtlpExporter:
    """Sends what the hub has; nobody waits for it."""

    def __init__(
        self,
        hub: Hub,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        *,
        version: str,
        port: int,
        interval_seconds: float,
        with_processes: bool = False,
        send: Send = send,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the one that `Moment.taken_at` was read from; `port` is the server's, which tells it from others
        on this machine."""
        self._hub = hub
        self._endpoint = endpoint
        self._headers = headers
        self._version = version
        self._port = port
        self._interval_seconds = interval_seconds
        self._with_processes = with_processes
        self._send = send
        self._clock = clock
        self._started_at = time.time()
        self._xids = XidCounter()
        self._sent: Published | None = None
        """The last that was taken."""
        self._failures = 0
        """Since the last export that was taken."""
        self._exports_total = self._failures_total = self._points_total = self._rejected_total = self._bytes_total = 0
        self._cpu_seconds = 0.0
        self._last_failure: str | None = None
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        """Begins to export, and to count errors of the driver."""
        self._unsubscribe = self._hub.subscribe(lambda published: self._xids.count(published.moment))
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Ends the thread, and waits so long for an export under way."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._unsubscribe()
            self._thread.join(seconds)

    def status(self) -> OtlpStatus:
        """How it goes. Any thread may ask."""
        return OtlpStatus(
            endpoint=self._endpoint.url,
            exports_total=self._exports_total,
            failures_total=self._failures_total,
            points_total=self._points_total,
            rejected_total=self._rejected_total,
            bytes_total=self._bytes_total,
            cpu_seconds=round(self._cpu_seconds, 6),
            last_failure=self._last_failure,
        )

    def _run(self) -> None:
        wait = 0.0
        while not self._wake.wait(wait) and not self._closing:
            try:
                wait = self._export()
            except Exception as error:  # the thread must live; a text may hold names of users
                log.error("fault in the export by OTLP: %s", type(error).__name__)
                wait = self._interval_seconds
            self._cpu_seconds = time.thread_time()

    def _export(self) -> float:
        """Exports the newest moment, and returns how long to wait for the next."""
        latest = self._hub.latest
        if latest is None:
            return min(FIRST_SECONDS, self._interval_seconds)
        if latest is self._sent:  # nothing new: a point of the same time would be one twice
            return self._interval_seconds
        made, points = request(self._seen(latest), with_processes=self._with_processes)
        if not points:
            return self._interval_seconds
        body = made.SerializeToString()
        outcome = self._send(self._endpoint, self._headers, body)
        if outcome.failure is not None:
            return self._back_off(outcome)
        self._sent = latest
        self._exports_total += 1
        self._points_total += points - outcome.rejected_points
        self._rejected_total += outcome.rejected_points
        self._bytes_total += len(body)
        if self._failures:
            log.info("%s takes metrics again", self._endpoint.url)
        self._failures = 0
        return self._interval_seconds

    def _seen(self, latest: Published) -> Seen:
        moment = latest.moment
        fresh = self._clock() - moment.taken_at <= moment.stale_after_seconds
        simulated = moment.simulated
        return Seen(
            devices=devices_of(latest, fresh, None),
            timestamp=moment.timestamp,
            started_at=self._started_at,
            xids=self._xids.by_gpu(),
            resource=resource(moment.host, self._version, self._port, simulated=simulated),
            version=self._version,
        )

    def _back_off(self, outcome: ExportOutcome) -> float:
        self._failures_total += 1
        if not self._failures or outcome.failure != self._last_failure:
            log.warning("metrics are not taken by %s: it %s", self._endpoint.url, outcome.failure)
        self._last_failure = outcome.failure
        doubled = self._interval_seconds * 2 ** min(self._failures, 20)
        self._failures += 1
        delay = min(doubled, max(BACK_OFF_SECONDS_MAX, self._interval_seconds))
        if outcome.retry_after_seconds is not None:
            delay = max(delay, min(outcome.retry_after_seconds, RETRY_AFTER_SECONDS_MAX))
        return delay * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret


def resource(host: str, version: str, port: int, *, simulated: bool, machine_id: Path = MACHINE_ID) -> Attributes:
    """Whose metrics these are: this server, which has the same id after it was started again."""
    try:
        known = machine_id.read_text().strip()
    except OSError:
        known = socket.gethostname()
    return {
        "service.name": "blackbox",
        "service.version": version,
        "service.instance.id": str(uuid.uuid5(INSTANCE_NAMESPACE, f"{known}:{port}")),
        "host.name": host,
        "blackbox.simulated": True if simulated else None,
    }
