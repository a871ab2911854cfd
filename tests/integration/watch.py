"""A sampler on the real clock, and a way to wait for what its moments show."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from blackbox.model.moment import Moment
from blackbox.model.status import SourceStatus
from blackbox.sampling.runner import ChildRunner
from blackbox.sampling.sampler import Sampler, WakeEvent
from blackbox.sources import SourceSpec
from tests.waiting import PATIENCE_SECONDS, until

CLOSE_SECONDS = PATIENCE_SECONDS


class Watch:
    """Everything one sampler with one source published."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.moments: list[Moment] = []
        self._published = threading.Condition()

    @property
    def latest(self) -> Moment:
        return self.moments[-1]

    @property
    def status(self) -> SourceStatus:
        return self.latest.sources[0]

    def publish(self, moment: Moment) -> None:
        with self._published:
            self.moments.append(moment)
            self._published.notify_all()

    def until(self, condition: Callable[[Moment], object]) -> float:
        """Waits for a moment that fulfils the condition; the seconds that took."""
        began_at = time.monotonic()
        with self._published:
            first = len(self.moments)
            found = self._published.wait_for(lambda: any(map(condition, self.moments[first:])), PATIENCE_SECONDS)
        shown = f"{self.status.state}: {self.status.reason}" if self.moments else "nothing"
        assert found, f"not seen in {PATIENCE_SECONDS} s; last was {shown}"
        return time.monotonic() - began_at

    def until_state(self, state: str) -> float:
        return self.until(lambda moment: moment.sources[0].state == state)

    def events(self, kind: str) -> int:
        return sum(
            event.kind == kind for moment in self.moments for sample in moment.samples for event in sample.events
        )


@contextlib.contextmanager
def watching(spec: SourceSpec, interval_seconds: float = 0.5, wall: Callable[[], float] = time.time) -> Iterator[Watch]:
    """Runs a sampler over one source in its own process."""
    wake_event = WakeEvent()
    runner = ChildRunner(spec, interval_seconds=interval_seconds, answered=wake_event.answered)
    moments: list[Watch] = []
    sampler = Sampler(
        [runner],
        lambda moment: moments[0].publish(moment),
        interval_seconds=interval_seconds,
        host="here",
        wake_event=wake_event,
        wall=wall,
    )
    moments.append(Watch(sampler))
    sampler.start()
    try:
        yield moments[0]
    finally:
        sampler.close(CLOSE_SECONDS)
        killed = runner._supervised._stuck  # pyright: ignore[reportPrivateUsage]
        until(lambda: all(process.gone() for process in killed))  # a loaded machine takes its time with them
