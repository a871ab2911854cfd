"""The thread that follows the recording and ships it: events at once, the minutes of now before the backlog, and never
further than what has been seen to arrive."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from itertools import takewhile

from msgspec import Struct, structs

from blackbox.errors import FailureError
from blackbox.fleet import order
from blackbox.fleet.batch import Batch, make_batch
from blackbox.fleet.cursor import Cursor, CursorFile, machine_of
from blackbox.fleet.deliver import Delivery, set_aside_detail
from blackbox.fleet.events import event_rows, gap_row
from blackbox.fleet.minutes import ClosedMinutes
from blackbox.fleet.rows import Origin, Users, exact_time, minute_rows, whole_time
from blackbox.fleet.schema import EVENT, MACHINE, VERSION
from blackbox.fleet.send import Access, EngineConnection, EngineError
from blackbox.fleet.setup import version_of
from blackbox.hub import Published
from blackbox.model.event import Event
from blackbox.model.status import FleetState, FleetStatus
from blackbox.recorder import Recording
from blackbox.recorder.storage.event_log import RecordedEvent
from blackbox.recorder.storage.tiers import MINUTE_SECONDS

BATCH_MINUTES = 5
"""Of a batch, counted from 1970: an engine wants few, large inserts, and people ask for minutes, not for seconds."""
EVENTS_MAX = 500
"""Events of a batch."""
LOOK_SECONDS = 15.0
"""Between two looks at the recording."""
EVENT_SECONDS = 0.5
"""After an event, until the recorder has written it."""
MOMENT_SECONDS_MAX = 30.0
"""After an event, until its moment is recorded; later none is waited for."""
BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX = 1.0, 60.0
"""Until the next try after a passing error: doubled each time, up to a minute, half to one and a half times as long."""
SETUP_SECONDS = 60.0
"""Until the next look whether somebody has mended tables or password."""
UNKNOWN_TRIES_MAX = 5
"""Of an error that nobody knows; then it is taken for one of the rows."""
TOLD_SECONDS = 0.001
"""Between two words of a server about itself, at least: the engine keeps the newest."""
SHARE_OF_CPU = 0.1
"""The most that a backlog may take of a core."""

log = logging.getLogger(__name__)


class FleetOptions(Struct, frozen=True, kw_only=True):
    """What the settings say of shipping."""

    access: Access
    host: str
    version: str
    """Of this Blackbox."""
    tenant: str = ""
    users: Users = "hash"
    simulated: bool = False
    batch_minutes: int = BATCH_MINUTES


class Shipper:
    """Feed `take` with moments and `note` with events, from any thread, so that it looks at once where there is
    something to ship; neither blocks or raises. What is shipped comes from the recording alone."""

    def __init__(
        self,
        recording: Recording,
        options: FleetOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Touches nothing yet. Raises `FailureError` where certificates cannot be read."""
        self._recording = recording
        self._minutes = ClosedMinutes(recording.directory)
        self._file = CursorFile(recording.directory)
        self._options = options
        self._clock = clock
        self._wall_clock = wall_clock
        self._look_seconds = look_seconds
        self._connection = EngineConnection(options.access)
        self._cursor: Cursor | None = None
        self._origin: Origin | None = None
        self._checked = False
        """The tables are there, and new enough."""
        self._delivery: tuple[Delivery, Cursor] | None = None
        """The batch on its way, and where the cursor goes once it has arrived."""
        self._tries = self._unknown_tries = 0
        self._backlog = False
        self._retry_at = float("-inf")
        self._state: FleetState = "starting"
        self._reason: str | None = None
        self._cause: str | int | None = None
        """Of the last stop."""
        self._rows_total = self._batches_total = self._failures_total = self._bytes_total = self._set_aside_total = 0
        self._cpu_seconds = 0.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to ship."""
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Ends the thread, and waits so long for an answer; what is on its way is sent again after the next start."""
        self._closing.set()
        self._wake.set()
        if self._thread is None:
            self._connection.close()
        else:
            self._thread.join(seconds)

    def take(self, published: Published) -> None:
        """Looks for the events of a moment."""
        if any(sample.events for sample in published.moment.samples):
            self._wake.set()

    def note(self, _event: Event) -> None:
        """Looks for an event."""
        self._wake.set()

    def status(self) -> FleetStatus:
        """How it goes. Any thread may ask."""
        cursor = self._cursor
        shipped = None if cursor is None else cursor.shipped_until
        return FleetStatus(
            url=self._options.access.url,
            state=self._state,
            reason=self._reason,
            machine=None if self._origin is None else self._origin.machine,
            shipped_until=shipped,
            lag_seconds=None if shipped is None else max(0.0, round(self._wall_clock() - shipped, 3)),
            rows_total=self._rows_total,
            batches_total=self._batches_total,
            bytes_total=self._bytes_total,
            failures_total=self._failures_total,
            set_aside_total=self._set_aside_total,
            gaps_total=0 if cursor is None else cursor.gaps,
            cpu_seconds=self._cpu_seconds,
        )

    @property
    def seconds_to_retry(self) -> float:
        """Until something is tried again after an error; negative where nothing is to be waited for."""
        return self._retry_at - self._clock()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                started = time.thread_time()
                self.step()
                spent = time.thread_time() - started
                self._cpu_seconds += spent
                self._pause(spent)
        finally:
            self._connection.close()

    def _pause(self, spent: float) -> None:
        """Until there is something to do, or to be tried again; while much is to do, so that it takes few of a core."""
        wait = self.seconds_to_retry
        if wait > 0:
            self._closing.wait(wait)
        elif self._backlog:
            self._closing.wait(spent * (1 / SHARE_OF_CPU - 1))
        elif self._wake.wait(self._look_seconds):
            self._closing.wait(EVENT_SECONDS)
            self._wake.clear()

    def step(self) -> None:
        """Ships one batch, if there is one. Raises nothing."""
        try:
            self._ship()
        except EngineError as error:
            self._failed(error)
        except FailureError as error:
            self._stop(str(error))
        except Exception as error:
            log.exception("fault in the shipping")
            self._stop(f"fault in the shipping: {type(error).__name__}")

    def _ship(self) -> None:
        origin, cursor = self._begin()
        if not self._checked:
            self._check_tables()
        if self._delivery is None:
            self._delivery = self._next(origin, cursor)
        self._backlog = self._delivery is not None
        if self._delivery is not None:
            delivery, after = self._delivery
            delivery.deliver(self._connection, hopeless=self._unknown_tries >= UNKNOWN_TRIES_MAX)
            self._arrived(delivery, after, origin)
        self._tries = self._unknown_tries = 0
        self._retry_at = float("-inf")
        if self._reason is not None:
            log.info("shipping goes on")
        self._state, self._reason = "shipping", None

    def _begin(self) -> tuple[Origin, Cursor]:
        if self._cursor is None or self._origin is None:
            cursor = self._file.read()
            machine = machine_of(cursor.recording)
            self._origin = Origin(machine, self._options.host, self._options.tenant, self._options.users)
            self._cursor = cursor
        return self._origin, self._cursor

    def _check_tables(self) -> None:
        """Raises `EngineError`."""
        found = version_of(self._connection, self._options.access.database)
        if found is None or found < VERSION:
            told = "there are no tables" if found is None else f"the tables are of version {found}, not {VERSION}"
            raise EngineError("setup", f"{self._options.access.url}: {told}: run 'blackbox fleet init'")
        self._checked = True

    def _next(self, origin: Origin, cursor: Cursor) -> tuple[Delivery, Cursor] | None:
        """What comes next: events first, which are few and urgent; then minutes."""
        return self._next_events(origin, cursor) or self._next_minutes(origin, cursor)

    def _next_events(self, origin: Origin, cursor: Cursor) -> tuple[Delivery, Cursor] | None:
        events = self._settled(self._recording.events_after(cursor.event_id, EVENTS_MAX, light=True))
        if not events:
            return None
        last = events[-1].id
        rows = event_rows(events, origin, self._recording.moment_at)
        batch = make_batch(f"{self._prefix(origin, cursor)}/events/{events[0].id}-{last}", [rows])
        return Delivery(batch, origin), structs.replace(cursor, event_id=last)

    def _settled(self, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        """Those up to the first whose moment may not be recorded yet: whose its process is, is looked up there."""
        if not events:
            return []
        span = self._recording.span()
        recorded_until = max(self._wall_clock() - MOMENT_SECONDS_MAX, float("-inf") if span is None else span[1])
        return list(takewhile(lambda one: one.event.timestamp <= recorded_until, events))

    def _next_minutes(self, origin: Origin, cursor: Cursor) -> tuple[Delivery, Cursor] | None:
        first, closed = self._minutes.first(), self._minutes.closed_until(self._wall_clock())
        if first is None or closed is None:
            return None
        recorded, length = order.Recorded(first, closed), self._options.batch_minutes * MINUTE_SECONDS
        begun, cursor = cursor, order.set_back(cursor, closed)
        if cursor is not begun:
            log.warning("the clock was set back: shipping goes on at %s", whole_time(cursor.shipped_until or closed))
        gap = order.lost(cursor, recorded)
        if gap is not None:
            return self._gap(origin, gap)
        found: tuple[Delivery, Cursor] | None = None
        while found is None and (stretch := order.newest(cursor, recorded, length)) is not None:
            found, cursor = self._minutes_of(origin, stretch), stretch.after
        while found is None and (stretch := order.oldest(cursor, recorded, length)) is not None:
            found, cursor = self._minutes_of(origin, stretch), stretch.after
            if found is None:
                resumed = self._minutes.next_start(stretch.until, closed)
                cursor = order.without_silence(stretch, resumed, recorded, length)
        if found is None and cursor != begun and begun.shipped_until is not None:
            self._move(cursor)
        return found

    def _minutes_of(self, origin: Origin, stretch: order.MinuteRange) -> tuple[Delivery, Cursor] | None:
        """None where nothing was recorded then."""
        since, until, after = stretch
        minutes = minute_rows(self._minutes.read(since, until), origin)
        batch = make_batch(f"{self._prefix(origin, after)}/minutes/{since:.0f}-{until:.0f}", minutes)
        return (Delivery(batch, origin), after) if batch.parts else None

    def _gap(self, origin: Origin, stretch: order.MinuteRange) -> tuple[Delivery, Cursor]:
        """Minutes that are no longer there, or were never recorded: nobody can tell any more."""
        since, until, cursor = stretch
        log.warning("minutes from %s to %s are no longer in the recording", whole_time(since), whole_time(until))
        row = gap_row(origin, since, until, "no longer in the recording when it was to be shipped")
        batch = make_batch(f"{self._prefix(origin, cursor)}/gap/{since:.0f}-{until:.0f}", [{EVENT.name: [row]}])
        return Delivery(batch, origin), structs.replace(cursor, gaps=cursor.gaps + 1)

    def _prefix(self, origin: Origin, cursor: Cursor) -> str:
        return f"{origin.machine}/{cursor.recording}"

    def _arrived(self, delivery: Delivery, after: Cursor, origin: Origin) -> None:
        """Moves the cursor; of rows that were set aside, only once a gap tells of them."""
        if delivery.set_aside:
            after = self._tell_of_set_aside(delivery, after, origin)
        after = structs.replace(after, told=max(self._wall_clock(), after.told + TOLD_SECONDS))
        self._move(after)
        self._delivery = None
        self._rows_total += delivery.batch.rows
        self._bytes_total += delivery.batch.size
        self._batches_total += 1
        self._tell_of_machine(origin, after)

    def _tell_of_set_aside(self, delivery: Delivery, after: Cursor, origin: Origin) -> Cursor:
        now = delivery.batch
        before = () if self._cursor is None else self._cursor.ahead
        until = next((end for _, end in reversed(after.ahead) if (_, end) not in before), after.shipped_until or 0.0)
        rows = [gap_row(origin, until, until, lost.reason, **set_aside_detail(lost)) for lost in delivery.set_aside]
        told: Batch = make_batch(f"{now.name}/set-aside", [{EVENT.name: rows}])
        Delivery(told, origin).deliver(self._connection)
        count = sum(lost.rows for lost in delivery.set_aside)
        self._set_aside_total += count
        log.warning("%d rows were set aside: %s", count, delivery.set_aside[0].reason)
        return structs.replace(after, gaps=after.gaps + len(rows))

    def _tell_of_machine(self, origin: Origin, cursor: Cursor) -> None:
        newest = self._minutes.recorded_until()
        row = origin.where | {
            "recording": cursor.recording,
            "version": self._options.version,
            "simulated": self._options.simulated,
            "shipped_until": None if cursor.shipped_until is None else whole_time(cursor.shipped_until),
            "ahead_since": None if not cursor.ahead else whole_time(cursor.ahead[-1][0]),
            "ahead_until": None if not cursor.ahead else whole_time(cursor.ahead[-1][1]),
            "recorded_until": None if newest is None else exact_time(newest),
            "gaps": cursor.gaps,
            "updated": exact_time(cursor.told),
        }
        batch = make_batch(f"{self._prefix(origin, cursor)}/machine", [{MACHINE.name: [row]}])
        Delivery(batch, origin).insert(self._connection)

    def _move(self, cursor: Cursor) -> None:
        self._file.write(cursor)
        self._cursor = cursor

    def _failed(self, error: EngineError) -> None:
        self._failures_total += 1
        self._tries += 1
        self._unknown_tries += error.kind == "unknown"
        if error.kind == "setup":
            self._checked = False
            self._stop(str(error), error.code)
            return
        wait = min(BACK_OFF_SECONDS * 2 ** (self._tries - 1), BACK_OFF_SECONDS_MAX)
        self._retry_at = self._clock() + wait * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        if self._reason is None:
            log.warning("shipping waits: %s", error)
        self._state, self._reason = "waiting", str(error)

    def _stop(self, reason: str, code: int | None = None) -> None:
        """Until a person has done something. It is told once: the engine's words for one error differ each time."""
        self._retry_at = self._clock() + SETUP_SECONDS
        cause = reason if code is None else code
        if self._state != "stopped" or self._cause != cause:
            log.error("nothing is shipped: %s", reason)
        self._cause = cause
        self._state, self._reason = "stopped", reason
