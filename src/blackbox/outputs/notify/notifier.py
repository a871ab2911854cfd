"""The thread that tells people: what happens goes in without waiting, and out as fast as services take it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blackbox.model.event import Event
from blackbox.model.forecast import Outlook
from blackbox.model.moment import Moment
from blackbox.model.status import NotifyStatus
from blackbox.outputs.notify.folding import Folding
from blackbox.outputs.notify.notice import Notice, body, of_event, of_outlook, title
from blackbox.outputs.notify.services import Service

WAITING_MAX = 200
"""Notices between the sampler and the thread; what comes while it is full is counted as dropped."""
FAILED_MAX = 100
"""Messages that wait to be tried again; the oldest goes first."""
TRY_AGAIN_SECONDS = (10.0, 60.0, 300.0)
"""After a failure: a service that restarts is back by the first, one that was deployed by the last."""
OUTLOOK_SECONDS = 60.0
"""Between two looks at when memory will be full, each of some milliseconds of the recording's time."""
CALM_FACTOR = 2.0
"""A GPU that was told to fill counts as calm when it would take this many times longer, so that it is told once."""

log = logging.getLogger(__name__)


@dataclass
class _Failed:
    services: list[Service]
    title: str
    body: str
    tries: int
    due: float


class Notifier:
    """Feed `take` with moments and `note` with events, from any thread; neither blocks or raises."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        host: str,
        address: Callable[[], str],
        outlook: Callable[[], Sequence[Outlook]] | None = None,
        within_seconds: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`address` is where people find the dashboard; `outlook` tells when each GPU will be full, None where nobody
        knows; a GPU that would be full `within_seconds` is told."""
        self._services = list(services)
        self._host = host
        self._address = address
        self._outlook = outlook
        self._within_seconds = within_seconds
        self._clock = clock
        self._moment: Moment | None = None
        self._waiting: deque[Notice] = deque()
        self._folding = Folding(clock())
        self._failed: deque[_Failed] = deque()
        self._filling: set[str] = set()
        """GPUs that were told to fill."""
        self._outlook_due = clock() + OUTLOOK_SECONDS
        self._outlook_failed = False
        self._sent_total = self._failures_total = self._dropped_total = 0
        self._last_failure: str | None = None
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Ends the thread, and waits so long for a message that is being sent. What waits is dropped."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def take(self, moment: Moment) -> None:
        """Tells of the events of a moment."""
        self._moment = moment
        for sample in moment.samples:
            for event in sample.events:
                self.note(event)

    def note(self, event: Event) -> None:
        """Tells of an event, if people need to know."""
        notice = of_event(event, self._moment)
        if notice is None:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._dropped_total += 1
            return
        self._waiting.append(notice)
        self._wake.set()

    def status(self) -> NotifyStatus:
        """How it goes. Any thread may ask."""
        return NotifyStatus(
            services=tuple(service.name for service in self._services),
            sent_total=self._sent_total,
            failures_total=self._failures_total,
            folded_total=self._folding.folded_total,
            dropped_total=self._dropped_total,
            waiting=len(self._waiting) + len(self._failed),
            last_failure=self._last_failure,
        )

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._seconds_to_wait())
            self._wake.clear()
            try:
                self._work()
            except Exception as error:  # the thread must live; the text of an error may hold an address
                log.error("fault in the notifications: %s", type(error).__name__)

    def _seconds_to_wait(self) -> float | None:
        dues = [failed.due for failed in self._failed]
        if self._outlook is not None:
            dues.append(self._outlook_due)
        if (fold := self._folding.next_due()) is not None:
            dues.append(fold)
        return max(0.0, min(dues) - self._clock()) if dues else None

    def _work(self) -> None:
        if self._outlook is not None and self._clock() >= self._outlook_due:
            self._look_ahead(self._outlook)
        while self._waiting and not self._closing:
            if (notice := self._folding.offer(self._waiting.popleft(), self._clock())) is not None:
                self._send(notice)
        for notice in self._folding.due(self._clock()):
            self._send(notice)
        for _ in range(len(self._failed)):
            failed = self._failed.popleft()
            if failed.due <= self._clock():
                self._try(failed)
            else:
                self._failed.append(failed)

    def _look_ahead(self, outlook: Callable[[], Sequence[Outlook]]) -> None:
        """Puts GPUs that will be full soon in front of the other notices."""
        self._outlook_due = self._clock() + OUTLOOK_SECONDS
        try:
            found = outlook()
        except Exception:
            if not self._outlook_failed:  # once: it would fail every time
                log.exception("cannot tell when memory will be full")
            self._outlook_failed = True
            return
        for one in found:
            ahead = one.full_in_seconds
            if ahead is None or ahead > CALM_FACTOR * self._within_seconds:
                self._filling.discard(one.gpu_uuid)
            elif ahead <= self._within_seconds and one.gpu_uuid not in self._filling:
                self._filling.add(one.gpu_uuid)
                moment = self._moment
                self._waiting.appendleft(of_outlook(one, time.time() if moment is None else moment.timestamp, moment))

    def _send(self, notice: Notice) -> None:
        self._try(_Failed(self._services, title(notice, self._host), body(notice, self._address()), 0, 0.0))

    def _try(self, message: _Failed) -> None:
        """Sends to each of its services; those that fail are tried again later, a few times."""
        failed: list[Service] = []
        for service in message.services:
            if self._closing:
                return
            reason = service.send(message.title, message.body)
            if reason is None:
                self._sent_total += 1
                continue
            self._failures_total += 1
            self._last_failure = f"{service.name}: {reason}"
            log.warning("a notification failed: %s: %s", service.name, reason)
            failed.append(service)
        if not failed:
            return
        if message.tries >= len(TRY_AGAIN_SECONDS):
            self._dropped_total += 1
            return
        if len(self._failed) >= FAILED_MAX:
            self._failed.popleft()
            self._dropped_total += 1
        due = self._clock() + TRY_AGAIN_SECONDS[message.tries]
        self._failed.append(_Failed(failed, message.title, message.body, message.tries + 1, due))
