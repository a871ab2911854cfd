"""A recording played in the sampler's place: everything downstream works as if it happened now."""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from msgspec import structs

from blackbox.errors import FailureError
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample
from blackbox.model.status import SourceStatus

GAP_SECONDS_MAX = 5.0
"""Nobody watches a server that shows nothing for longer: gaps in the recording are cut to this."""

READY_POLL_SECONDS = 0.02
"""Between questions whether the recorder has room again: it writes about that many moments in that time."""
READY_SECONDS_MAX = 30.0
"""A recorder that takes nothing for so long takes nothing more: the replay goes on without it."""

log = logging.getLogger(__name__)


class Replay:
    """Publishes recorded moments as fast as they were taken, or faster. Their timestamps stay as recorded."""

    def __init__(
        self,
        moments: Iterable[Moment],
        publish: Callable[[Moment], None],
        *,
        name: str,
        speed: float,
        gap_seconds_min: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[], None] = lambda: None,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """`name` is of the recording; every published moment names it among its sources. `gap_seconds_min` is between
        moments that nobody could follow as fast as they were, at speed 1. `end`: called once nothing more is played.
        `ready`: whether whoever records what is played has room for more."""
        self._moments = moments
        self._publish = publish
        self._name = name
        self._speed = speed
        self._gap_seconds_min = gap_seconds_min
        self._clock = clock
        self._end = end
        self._ready = ready
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="replay", daemon=True)

    def start(self) -> None:
        """Begins to play, in a thread of its own."""
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Stops playing, within about `seconds`."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def release(self) -> None:
        """Holds no driver that it could release."""

    def resume(self) -> None:
        """Holds no driver that it could reacquire."""

    def run(self) -> None:
        """Plays to the end or until `close`."""
        due = self._clock()
        before: float | None = None
        seq = 0
        try:
            for moment in self._moments:
                if before is not None:
                    gap = max(self._gap_seconds_min, moment.timestamp - before)
                    due += min(GAP_SECONDS_MAX, gap / self._speed)
                before = moment.timestamp
                if self._stopping.wait(max(0.0, due - self._clock())) or not self._await_room():
                    return
                seq += 1
                self._publish(self._as_now(moment, seq))
        except FailureError as error:
            log.warning("the replay broke off after %d moments: %s", seq, error)
        except Exception:
            log.exception("the replay broke off after %d moments", seq)
        else:
            log.info("the replay of %s is over after %d moments; the last one stays", self._name, seq)
        finally:
            self._end()

    def _await_room(self) -> bool:
        """Waits until there is room, within bounds; False where the replay is to stop."""
        for _ in range(int(READY_SECONDS_MAX / READY_POLL_SECONDS)):
            if self._ready():
                return True
            if self._stopping.wait(READY_POLL_SECONDS):
                return False
        return True

    def _as_now(self, moment: Moment, seq: int) -> Moment:
        """The moment, with its places on the monotonic clock moved to now."""
        now = self._clock()
        later = now - moment.taken_at
        status = SourceStatus(
            name="replay",
            state="ok",
            reason=None,
            age_seconds=0.0,
            duration_seconds=None,
            samples_total=seq,
            failures_total=0,
            restarts_total=0,
            cost={},
            facts={"recording": self._name, "speed": f"{self._speed:g}"},
        )
        return structs.replace(
            moment,
            seq=seq,
            taken_at=now,
            samples=tuple(_moved(sample, later) for sample in moment.samples),
            sources=(status, *map(_with_age, moment.sources)),
            stale_after_seconds=moment.stale_after_seconds / min(1.0, self._speed),
        )


def _with_age(status: SourceStatus) -> SourceStatus:
    """A file that was read has no age of its own; what is played of it is as old as its moment."""
    return structs.replace(status, age_seconds=0.0) if status.state == "ok" and status.age_seconds is None else status


def _moved(sample: Sample, seconds: float) -> Sample:
    return structs.replace(
        sample,
        taken_at=sample.taken_at + seconds,
        processes_taken_at=_later(sample.processes_taken_at, seconds),
        devices=tuple(structs.replace(device, taken_at=device.taken_at + seconds) for device in sample.devices),
        allocators=tuple(
            structs.replace(
                allocator,
                taken_at=allocator.taken_at + seconds,
                details_taken_at=_later(allocator.details_taken_at, seconds),
            )
            for allocator in sample.allocators
        ),
        engines=tuple(structs.replace(engine, taken_at=_later(engine.taken_at, seconds)) for engine in sample.engines),
    )


def _later(time: float | None, seconds: float) -> float | None:
    return None if time is None else time + seconds
