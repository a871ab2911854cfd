"""Dumps made by themselves: when something goes wrong, the minutes before it are kept beyond the recording's thinning.

`DumpKeeper` listens to moments and events, waits a little so that the end is in it too, and writes on its own thread.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from blackbox.errors import FailureError
from blackbox.model.sample import Event
from blackbox.model.snapshot import Moment
from blackbox.recorder.dumps.file import new_head, write_dump
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.directory import DUMP_SUFFIX, dump_files

BEFORE_SECONDS = 600.0
"""What led to an out-of-memory is in the last ten minutes, or goes on for hours and shows in them too."""
AFTER_SECONDS = 3.0
"""The exit of the process, and what the driver took back."""
REST_SECONDS = 60.0
"""A program that runs out of memory in a loop, and goes on, gets one dump a minute."""
DUMPS_MAX = 20
DUMPS_BYTES_MAX = 512 * 1024 * 1024
"""Beside the limit of the recording itself; the oldest go."""
TRIGGERS = frozenset(("oom", "crash", "xid", "gpu_lost", "threshold"))
"""Kinds of events."""
TriggerKey = tuple[str, str | None, int | None]
"""Kind, GPU and process of an event."""
ANY_CRASH: TriggerKey = ("crash", None, None)
"""A job of many processes dies as one, and every dump holds them all."""

log = logging.getLogger(__name__)


class DumpKeeper:
    """Feed `take` with moments and `note` with events, from any thread; neither blocks or raises."""

    def __init__(
        self,
        directory: Path,
        recording: Recording,
        wall: Callable[[], float] = time.time,
        after_seconds: float = AFTER_SECONDS,
    ) -> None:
        """Writes into `directory`, which is made when it is needed."""
        self._directory = directory
        self._recording = recording
        self._wall = wall
        self._after_seconds = after_seconds
        self._last_at: dict[TriggerKey, float] = {}
        """When each key last made a dump."""
        self._pending: list[Event] = []
        """The trigger in hand."""
        self._closing = threading.Event()
        self._asked = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="dumps", daemon=True)
        self._thread.start()

    def take(self, moment: Moment) -> None:
        """Looks for triggers among the events of a moment."""
        for sample in moment.samples:
            for event in sample.events:
                self.note(event)

    def note(self, event: Event) -> None:
        """Makes a dump soon, if the event is a trigger and the last one is not too near."""
        key = ANY_CRASH if event.kind == "crash" else (event.kind, event.gpu_uuid, event.pid)
        oldest = event.timestamp - REST_SECONDS
        if not is_trigger(event) or self._last_at.get(key, float("-inf")) > oldest:
            return
        if event.kind == "crash" and self._ran_out(event.pid, oldest):
            return
        self._last_at = {one: at for one, at in self._last_at.items() if at > oldest} | {key: event.timestamp}
        self._pending.append(event)
        self._asked.release()

    def close(self, seconds: float) -> None:
        """Writes what is pending now, without waiting for what comes after; gives up after `seconds`."""
        self._closing.set()
        self._asked.release()
        self._thread.join(seconds)

    def _ran_out(self, pid: int | None, since: float) -> bool:
        """Whether the process made a dump of its out-of-memory lately: it died of that."""
        return any(kind == "oom" and who == pid and at > since for (kind, _, who), at in self._last_at.items())

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            if self._pending:
                self._closing.wait(self._after_seconds)
                self._keep(self._pending.pop(0))
            elif self._closing.is_set():
                return

    def _keep(self, event: Event) -> None:
        try:
            path = keep(self._recording, self._directory, event, self._wall())
            log.warning("kept the minutes before (%s): blackbox report %s", event.message, path)
            tidy(self._directory)
        except (FailureError, OSError) as error:
            log.warning("no dump: %s", error)
        except Exception:
            log.exception("fault while making a dump")


def is_trigger(event: Event) -> bool:
    """Whether the minutes before it are worth keeping."""
    if event.threshold is not None and not event.threshold.above:
        return False
    return event.kind in TRIGGERS


def keep(recording: Recording, directory: Path, event: Event, now: float) -> Path:
    """A dump of the time before and a little after an event. Raises `FailureError`."""
    since, until = event.timestamp - BEFORE_SECONDS, max(now, event.timestamp)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = event.kind if event.pid is None else f"{event.kind}-{event.pid}"
    path = directory / dump_name(name, event.timestamp)
    events = [recorded.event for recorded in recording.events(since, until)]
    if all(known != event for known in events):
        events.append(event)
    write_dump(path, new_head(event.message, since, until), recording.moments(since, until), events)
    return path


def dump_name(about: str, timestamp: float) -> str:
    """`oom-4711-20261122T120307Z.bbdump`."""
    return f"{about}-{datetime.fromtimestamp(timestamp, UTC):%Y%m%dT%H%M%SZ}{DUMP_SUFFIX}"


def tidy(directory: Path) -> None:
    """Deletes the oldest where they are too many or too large; the newest always stays."""
    kept = dump_files(directory)
    sizes = {path: path.stat().st_size for path in kept}
    while len(kept) > 1 and (len(kept) > DUMPS_MAX or sum(sizes[path] for path in kept) > DUMPS_BYTES_MAX):
        oldest = kept.pop(0)
        log.info("the dump %s goes, to make room", oldest.name)
        oldest.unlink(missing_ok=True)
