"""The sampler: on every tick asks all sources at once, and publishes one moment of what they know.

No source can hold up a tick: who does not answer within a short grace is published as it was, with its age.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from msgspec import structs

from blackbox.model.codec import event_fault
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample
from blackbox.model.snapshot import Xid
from blackbox.model.status import SourceStatus
from blackbox.model.visibility import visible_reason
from blackbox.sampling.auto_reset_event import AutoResetEvent
from blackbox.sampling.runner import MEASURING_STATES, Runner, stale_after_seconds

GRACE_SECONDS_MAX = 0.1
"""A healthy source answers in milliseconds; waiting longer would be seen in the cadence."""
GRACE_SHARE = 0.5
"""Of the interval, where that is short."""
START_SECONDS_MAX = 1.0
"""The first moment waits this long for the first samples, so that it need not be empty."""

log = logging.getLogger(__name__)


class WakeEvent:
    """Wakes the sampler early; any thread may set it."""

    def __init__(self) -> None:
        self._event = AutoResetEvent()
        self._awaited: Collection[Runner] = ()

    def set(self) -> None:
        self._event.set()

    def awaits(self, runners: Collection[Runner]) -> None:
        """From now on `answered` tells of these."""
        self._awaited = runners

    def answered(self) -> None:
        """Sets it where all runners that are awaited have answered: the sampler need not wake for each."""
        if not any(runner.pending for runner in self._awaited):
            self.set()

    def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or earlier when it was set since the last wait."""
        self._event.wait(seconds)


class IdleRelease(NamedTuple):
    """Releases the sources while nobody asks."""

    seconds: float
    """Without a request, before they are released."""
    last_asked_at: Callable[[], float]
    """When somebody asked last, on the monotonic clock."""


class Sampler:
    """Ticks on the monotonic clock: no drift, and no burst after a stall."""

    def __init__(
        self,
        runners: Sequence[Runner],
        publish: Callable[[Moment], None],
        *,
        interval_seconds: float,
        host: str,
        wake_event: WakeEvent | None = None,
        idle_release: IdleRelease | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        arrivals: Callable[[], Collection[Runner]] = tuple,
    ) -> None:
        """`wake_event` is the one whose `answered` the `runners` call; `wall` only stamps what is published. `arrivals`
        tells, at each tick, which runners there are besides from now on."""
        self._runners = runners
        """Replaced, never changed: other threads go through it."""
        self._arrivals = arrivals
        self._publish = publish
        self._interval_seconds = interval_seconds
        self._grace_seconds = min(GRACE_SECONDS_MAX, GRACE_SHARE * interval_seconds)
        self._host = host
        self._wake_event = wake_event or WakeEvent()
        self._idle_release = idle_release
        self._clock = clock
        self._wall = wall
        self._health = {runner.name: _Health() for runner in runners}
        self._xids: dict[str, Xid] = {}
        """GPU UUID -> its last Xid. Replaced, never changed: published moments hold it."""
        self._dropped_events: Counter[str] = Counter()
        """Source -> its events that could not be encoded."""
        self._seq = 0
        self._resting = False
        """The sources are released because nobody asks."""
        self._released = False
        """The sources are released on request."""
        self._stopping = False
        self._thread = threading.Thread(target=self.run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begins to tick, in a thread of its own."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Stops ticking and closes all sources, within about `seconds`."""
        self._stopping = True
        self._wake_event.set()
        until = self._clock() + seconds
        closers = [threading.Thread(target=runner.close, args=(seconds,), daemon=True) for runner in self._runners]
        for thread in closers:
            thread.start()
        for thread in (self._thread, *closers):
            if thread.ident is not None:
                thread.join(max(0.0, until - self._clock()))

    def release(self) -> None:
        """Releases every driver, until `resume`. Any thread may ask."""
        self._released = True
        self._release("released on request")

    def resume(self) -> None:
        """Reacquires the drivers."""
        self._released = self._resting = False
        for runner in self._runners:
            runner.resume()

    def run(self) -> None:
        """Ticks until `close`."""
        self.tick(START_SECONDS_MAX)
        due = self._clock() + self._interval_seconds
        while not self._stopping:
            self._sleep_until(due)
            if not self._stopping:
                self.tick(self._grace_seconds)
            due = next_tick(due, self._clock(), self._interval_seconds)

    def tick(self, grace_seconds: float) -> None:
        """Asks every source, waits `grace_seconds` at most, and publishes a moment."""
        self._rest_or_wake()
        self._admit_arrivals()
        prompt = [runner for runner in self._runners if not runner.pending]
        self._wake_event.awaits(prompt)
        for runner in prompt:
            runner.request()
        self._await(prompt, grace_seconds)
        moment = self._moment()
        try:
            self._publish(moment)
        except Exception:
            log.exception("moment %d was not published", moment.seq)

    def _admit_arrivals(self) -> None:
        if self._released or self._resting:  # what is released is not to be opened
            return
        try:
            arrived = self._arrivals()
        except Exception:
            log.exception("no look was taken for sources that may have come")
            return
        if arrived:
            self._health |= {runner.name: _Health() for runner in arrived}
            self._runners = (*self._runners, *arrived)
            if self._released:
                self._release("released on request")

    def _sleep_until(self, due: float) -> None:
        while not self._stopping and (left := due - self._clock()) > 0:
            self._wake_event.wait(left)

    def _await(self, runners: Collection[Runner], seconds: float) -> None:
        until = self._clock() + seconds
        while any(runner.pending for runner in runners) and not self._stopping:
            left = until - self._clock()
            if left <= 0:
                return
            self._wake_event.wait(left)

    def _moment(self) -> Moment:
        self._seq += 1
        now, timestamp = self._clock(), self._wall()
        samples: list[Sample] = []
        sources: list[SourceStatus] = []
        for runner in self._runners:
            sample, status = runner.collect(), runner.status(now)
            why = status.reason if sample is None else visible_reason(status, sample, None)
            change = self._health[runner.name].change(status, why, timestamp)
            if sample and sample.events:
                sample = self._without_faulty_events(sample)
            if sample and change:
                sample = structs.replace(sample, events=(*sample.events, change))
            if sample:
                self._note(sample.events)
                samples.append(sample)
            if dropped := self._dropped_events[runner.name]:
                total = status.cost.get("events_dropped_total", 0) + dropped
                status = structs.replace(status, cost=status.cost | {"events_dropped_total": total})
            sources.append(status)
        return Moment(
            seq=self._seq,
            timestamp=timestamp,
            taken_at=now,
            host=self._host,
            samples=tuple(samples),
            sources=tuple(sources),
            xids=self._xids,
            stale_after_seconds=stale_after_seconds(self._interval_seconds),
        )

    def _without_faulty_events(self, sample: Sample) -> Sample:
        """The sample without the events that nothing could record or send."""
        for event in sample.events:
            if (fault := event_fault(event)) is not None:
                self._dropped_events[sample.source] += 1
                log.warning("%s: an event of kind %s is dropped: %s", sample.source, event.kind, fault)
                sample = structs.replace(sample, events=tuple(one for one in sample.events if one is not event))
        return sample

    def _note(self, events: Collection[Event]) -> None:
        """Logs the events, and keeps the last Xid of each GPU."""
        for event in events:
            log.warning("%s: %s%s", event.kind, f"{event.gpu_uuid}: " if event.gpu_uuid else "", event.message)
        xids = {
            event.gpu_uuid: Xid(code=event.code, timestamp=event.timestamp)
            for event in events
            if event.kind == "xid" and event.gpu_uuid is not None and event.code is not None
        }
        if xids:
            self._xids = self._xids | xids

    def _rest_or_wake(self) -> None:
        if self._idle_release is None or self._released:
            return
        asked_ago = self._clock() - self._idle_release.last_asked_at()
        if asked_ago > self._idle_release.seconds and not self._resting:
            self._resting = True
            self._release(f"nobody asked for {self._idle_release.seconds:g} s")
        elif asked_ago <= self._idle_release.seconds and self._resting:
            self.resume()

    def _release(self, reason: str) -> None:
        for runner in self._runners:
            runner.release(reason)


def next_tick(due: float, now: float, interval: float) -> float:
    """The first of the ticks `due + n * interval` (n > 0) that is still ahead of `now`."""
    missed = math.floor((now - due) / interval)
    return due + (max(0, missed) + 1) * interval


class _Health:
    """Whether a source was well in the last moment, to tell each change once."""

    def __init__(self) -> None:
        self._state = "starting"
        self._was_well: bool | None = None

    def change(self, status: SourceStatus, reason: str | None, timestamp: float) -> Event | None:
        """Logs a new state with its whole `reason`; the event, when a source that measured stops, or comes back."""
        if status.state != self._state:
            level = logging.INFO if status.state in ("ok", "released") else logging.WARNING
            why = f": {reason}" if reason else ""
            log.log(level, "%s: %s -> %s%s", status.name, self._state, status.state, why)
            self._state = status.state
        if status.state in ("starting", "released"):
            return None
        well = status.state in MEASURING_STATES
        if self._was_well is None and not well:  # it has not measured yet
            return None
        was_well, self._was_well = self._was_well, well
        if was_well is None or was_well == well:
            return None
        message = f"{status.name} is back" if well else f"{status.name} is {status.state}: {status.reason}"
        return Event(kind="source_back" if well else "source_lost", timestamp=timestamp, message=message)
