"""Dumps made by themselves: when something goes wrong, the minutes before it are kept beyond the recording's thinning.

`DumpKeeper` listens to moments and events, waits a little so that the end is in it too, and writes on its own thread.
How often is `pace`, which ones stay is `retention`.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import structs

from blackbox.errors import FailureError
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder.dumps.file import new_head, write_dump
from blackbox.recorder.dumps.pace import DumpPace
from blackbox.recorder.dumps.retention import Evictions, enforce
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.dump_files import new_dump
from blackbox.recorder.storage.helper import HelperLostError
from blackbox.recorder.storage.privacy import is_anothers, make_directory

BEFORE_SECONDS = 600.0
"""What led to an out-of-memory is in the last ten minutes, or goes on for hours and shows in them too."""
AFTER_SECONDS = 3.0
"""The exit of the process, and what the driver took back."""
APART_SECONDS_MAX = 10.0
"""An event that is told in time is not older than this; another time is not believed, and the server's counts."""
AGAIN_SECONDS = (5.0, 60.0)
"""After a helper that was lost: what ended it may be over."""
END_SECONDS_MAX = 0.3
"""For a thread whose helper was ended."""
PENDING_MAX = 16
"""Dumps waiting to be written, each of seconds; those of one owner may be half of them."""
TRIGGERS = frozenset(("oom", "crash", "xid", "gpu_lost", "threshold"))
"""Kinds of events."""

Keep = Callable[[Recording, Path, Event, float], Path]
"""The recording, where to keep, the event, the time now."""

log = logging.getLogger(__name__)


class DumpKeeper:
    """Feed `take` with moments and `note` with events, from any thread; neither blocks or raises."""

    def __init__(
        self,
        directory: Path,
        recording: Recording,
        wall: Callable[[], float] = time.time,
        after_seconds: float = AFTER_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        evictions: Evictions | None = None,
        write: Keep | None = None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Writes into `directory`, which is made when it is needed; counts into `evictions`. `write` makes a dump as
        `keep` does, and may raise `HelperLostError`, too; `end` has it give up."""
        self._directory = directory
        self._recording = recording
        self._wall = wall
        self._after_seconds = after_seconds
        self._evictions = Evictions() if evictions is None else evictions
        self._write = keep if write is None else write
        self._end = end
        self._lock = threading.Lock()
        """Guards the two below."""
        self._pace = DumpPace(clock)
        self._pending: list[Event] = []
        """The triggers in hand, by the server's time."""
        self._closing = threading.Event()
        self._asked = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="dumps", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Dumps waiting to be written, or being written."""
        return len(self._pending)

    def take(self, moment: Moment) -> None:
        """Looks for triggers among the events of a moment."""
        for sample in moment.samples:
            for event in sample.events:
                self.note(event)

    def note(self, event: Event) -> None:
        """Makes a dump soon, if the event is a trigger and the last one is not too near."""
        if not is_trigger(event):
            return
        with self._lock:
            if not self._has_room(event.uid) or not self._pace.is_due(event):
                return
            if len(self._pending) >= PENDING_MAX:
                log.warning("no dump (%s): others wait for theirs", self._pending.pop(self._of_most()).message)
            self._pending.append(dated(event, self._wall()))
        self._asked.release()

    def _has_room(self, uid: int | None) -> bool:
        """For one more of an owner: where there is none, whoever has the most gives up his newest for who has fewer."""
        own = sum(pending.uid == uid for pending in self._pending)
        if len(self._pending) < PENDING_MAX:
            return own < PENDING_MAX // 2
        most = self._pending[self._of_most()].uid
        return sum(pending.uid == most for pending in self._pending) > own + 1

    def _of_most(self) -> int:
        """Place of the newest of whoever has the most that wait, but for the one being written."""
        counts = Counter(pending.uid for pending in self._pending)
        return max(range(1, len(self._pending)), key=lambda place: (counts[self._pending[place].uid], place))

    def close(self, seconds: float) -> None:
        """Writes what is pending now, without waiting for what comes after; gives up after `seconds`."""
        self._closing.set()
        self._asked.release()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._end()
            self._thread.join(END_SECONDS_MAX)

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            if self._pending:
                self._closing.wait(self._after_seconds)
                self._keep(self._pending[0])
                with self._lock:
                    del self._pending[0]
            elif self._closing.is_set():
                return

    def _keep(self, event: Event) -> None:
        """The recording has its minutes for an hour, so what was lost on the way is tried again."""
        now = self._wall()
        for seconds in AGAIN_SECONDS:
            try:
                return self._made(event, now)
            except HelperLostError as error:
                if self._closing.is_set():
                    break
                log.warning("the dump is made again in %g s (%s): %s", seconds, event.message, error)
                self._closing.wait(seconds)
        try:
            self._made(event, now)
        except HelperLostError as error:
            log.warning("no dump (%s): %s", event.message, error)

    def _made(self, event: Event, now: float) -> None:
        try:
            path = self._write(self._recording, self._directory, event, now)
            log.warning("kept the minutes before (%s): blackbox report %s", event.message, path)
            enforce(self._directory, self._evictions)
        except (FailureError, OSError) as error:
            log.warning("no dump: %s", error)
        except HelperLostError:
            raise
        except Exception:
            log.exception("fault while making a dump")


def is_trigger(event: Event) -> bool:
    """Whether the minutes before it are worth keeping."""
    if event.threshold is not None and not event.threshold.above:
        return False
    return event.kind in TRIGGERS


def dated(event: Event, now: float) -> Event:
    """The event at a time that can be true when it is told `now`."""
    if abs(event.timestamp - now) <= APART_SECONDS_MAX:
        return event
    return structs.replace(event, timestamp=now)


def keep(recording: Recording, directory: Path, event: Event, now: float) -> Path:
    """A dump of the time before and a little after an event. Raises `FailureError`."""
    since, until = event.timestamp - BEFORE_SECONDS, max(now, event.timestamp)
    if is_anothers(directory):
        raise FailureError(f"{directory} belongs to another user")
    make_directory(directory)
    dump = new_dump(directory, event.kind, event.pid, event.uid, event.timestamp)
    events = _with(event, recording.each_event(since, until))
    write_dump(dump.path, new_head(event.message, since, until), recording.moments(since, until), events)
    return dump.path


def _with(event: Event, events: Iterable[Event]) -> Iterator[Event]:
    """All of them, and the event where it is none of them."""
    is_there = False
    for known in events:
        is_there = is_there or structs.replace(known, oom=None) == structs.replace(event, oom=None)
        yield known
    if not is_there:
        yield event
