"""A runner keeps one source in a thread of its own, so that nobody ever waits for it."""

import importlib
import logging
import threading
import time
from collections.abc import Callable

from msgspec import structs

from blackbox.model.event import Event
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState, SourceStatus
from blackbox.sampling.auto_reset_event import AutoResetEvent
from blackbox.sources.base import Source, SourceContext, SourceSpec
from blackbox.sources.isolation.supervisor import SourceFault, SupervisedSource

STALE_SECONDS_MIN = 1.4
"""Two missed samples at the default interval: a lost source shows in the third moment, within 1.5 s."""
STALE_INTERVALS = 2.8
"""The same at longer intervals: a little under three, so that the third moment counts."""
EVENTS_MAX = 1000
"""Events kept for the next moment. A driver in trouble repeats itself; the newest say where it ended."""

log = logging.getLogger(__name__)

MEASURING_STATES: tuple[SourceState, ...] = ("ok", "degraded")
"""States in which a source measures."""


def stale_after_seconds(interval_seconds: float) -> float:
    """Age from which figures no longer pass as fresh."""
    return max(STALE_SECONDS_MIN, STALE_INTERVALS * interval_seconds)


class Runner:
    """One source in a thread. All methods return at once, but `close`."""

    def __init__(
        self,
        source: Source,
        *,
        interval_seconds: float,
        answered: Callable[[], None] = lambda: None,
        cancelled: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`answered` is called on the runner's thread after each answer. `cancelled` is set while none is wanted."""
        self.name = source.name
        self._source = source
        self._stale_seconds = stale_after_seconds(interval_seconds)
        self._answered = answered
        self._cancelled = cancelled or threading.Event()
        self._clock = clock
        self._asked = AutoResetEvent()
        self._busy = False
        self._closing = False
        self._lock = threading.Lock()
        """Guards what follows."""
        self._newest: Sample | None = None
        """The last answer, without its events."""
        self._events: tuple[Event, ...] = ()
        """Not collected yet."""
        self._fault: tuple[SourceState, str] | None = None
        """Why the last request got no answer."""
        self._released: str | None = None
        """Why the source is released, while it is."""
        self._good_at: float | None = None
        self._asked_at: float | None = None
        """Of the first request since the last answer."""
        self._duration_seconds: float | None = None
        self._samples_total = 0
        self._failures_total = 0
        self._thread = threading.Thread(target=self._run, name=f"source-{self.name}", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> bool:
        """A request is being answered."""
        return self._busy

    def request(self) -> None:
        """Take a sample now. Ignored while one is being taken, after `release`, and while the newest is new enough for
        the source (`quiet_seconds`)."""
        if self.pending or self._released or self._is_quiet():
            return
        with self._lock:
            self._asked_at = self._asked_at or self._clock()
        self._busy = True
        self._asked.set()

    def collect(self) -> Sample | None:
        """The newest sample, with the events nobody collected yet; None when there is none."""
        with self._lock:
            if self._newest is None or not self._events:
                return self._newest
            events, self._events = self._events, ()
            return structs.replace(self._newest, events=events)

    def status(self, now: float) -> SourceStatus:
        """Health of the source at `now`."""
        with self._lock:
            state, reason = self._judge(now)
            return SourceStatus(
                name=self.name,
                state=state,
                reason=reason,
                age_seconds=None if self._good_at is None else max(0.0, now - self._good_at),
                duration_seconds=self._duration_seconds,
                samples_total=self._samples_total,
                failures_total=self._failures_total,
                restarts_total=self._restarts_total(),
                cost=self._newest.cost if self._newest else {},
                facts=self._newest.facts if self._newest else {},
            )

    def release(self, reason: str) -> None:
        """Releases the driver, and forgets its last sample, until `resume`."""
        with self._lock:
            self._released = reason
            self._newest = self._fault = None
        self._cancelled.set()
        self._asked.set()

    def resume(self) -> None:
        """Reacquires the driver."""
        with self._lock:
            self._released = None
            self._asked_at = None
        self._cancelled.clear()
        self.request()

    def close(self, seconds: float) -> None:
        """Closes the source; gives up waiting for it after `seconds`."""
        self._closing = True
        self._cancelled.set()
        self._asked.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("%s: did not close within %.1f s", self.name, seconds)

    def _restarts_total(self) -> int:
        return 0

    def _doing(self) -> str | None:
        """What keeps the source busy, in words."""
        return None

    def _judge(self, now: float) -> tuple[SourceState, str | None]:
        if self._released:
            return "released", self._released
        if self._fault:
            return self._fault
        since = self._newest.taken_at if self._newest else self._asked_at
        if since is not None and now - since > self._stale_seconds:
            doing = self._doing()
            return "stale", f"no answer for {now - since:.1f} s" + (f": {doing}" if doing else "")
        if self._newest is None:
            return "starting", self._doing()
        return self._newest.state, self._newest.reason

    def _is_quiet(self) -> bool:
        quiet_seconds: float = getattr(self._source, "quiet_seconds", 0.0)
        newest = self._newest
        return newest is not None and self._fault is None and self._clock() - newest.taken_at < quiet_seconds

    def _run(self) -> None:
        while not self._closing:
            self._asked.wait()
            self._busy = True
            if self._closing or self._released:
                self._source.close()
            else:
                self._take()
            self._busy = False
            self._answered()
        self._source.close()

    def _take(self) -> None:
        began_at = self._clock()
        try:
            self._keep(self._source.sample())
        except SourceFault as fault:
            self._fail(fault.state, fault.reason)
        except Exception as error:
            log.exception("%s: fault in the source", self.name)
            self._fail("failed", f"fault in the source: {type(error).__name__}: {error}")
        with self._lock:
            self._duration_seconds = self._clock() - began_at

    def _keep(self, sample: Sample) -> None:
        with self._lock:
            self._samples_total += 1
            self._failures_total += sample.state == "failed"
            self._events = (self._events + sample.events)[-EVENTS_MAX:]
            self._fault = self._asked_at = None
            if self._released:
                return
            self._newest = structs.replace(sample, events=()) if sample.events else sample
            if sample.state in MEASURING_STATES:
                self._good_at = sample.taken_at

    def _fail(self, state: SourceState, reason: str) -> None:
        with self._lock:
            if self._released:
                return
            self._failures_total += 1
            self._fault = state, reason


class ChildRunner(Runner):
    """A source in a supervised process of its own."""

    def __init__(
        self,
        spec: SourceSpec,
        *,
        interval_seconds: float,
        answered: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        cancelled = threading.Event()
        self._supervised = SupervisedSource(spec.name, spec.factory, cancelled=cancelled, clock=clock)
        super().__init__(
            self._supervised,
            interval_seconds=interval_seconds,
            answered=answered,
            cancelled=cancelled,
            clock=clock,
        )

    def _restarts_total(self) -> int:
        return self._supervised.restarts_total

    def _doing(self) -> str | None:
        call = self._supervised.current_call
        return f"waiting for {call}" if call else None


def make_runner(
    spec: SourceSpec, context: SourceContext, interval_seconds: float, answered: Callable[[], None] = lambda: None
) -> Runner:
    """The source of `spec` in a thread, or in a supervised process, of its own."""
    factory = spec.chosen_factory(context.options)
    if spec.isolation == "child":
        return ChildRunner(spec._replace(factory=factory), interval_seconds=interval_seconds, answered=answered)
    module, _, name = factory.partition(":")
    make: Callable[[SourceContext], Source] = getattr(importlib.import_module(module), name)
    return Runner(make(context), interval_seconds=interval_seconds, answered=answered)
