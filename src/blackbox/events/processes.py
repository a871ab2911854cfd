"""Processes that begin to use a GPU, and those that stop using it or crash, with the most memory they held."""

from collections.abc import Iterator

from msgspec import Struct, structs

from blackbox.events.exits import ProcessExits, crash_event, exit_text, is_crash
from blackbox.events.listing import ListedProcess, MomentProcesses
from blackbox.model.event import Event, EventKind, ProcessLife
from blackbox.model.identity import ProcessKey, same_start
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.model.sample import ProcessExit
from blackbox.model.text import size, who


class _TrackedProcess(Struct):
    """A process seen on a device."""

    place: str
    row: DeviceProcess
    listed: ListedProcess | None = None
    """As it was seen last."""
    used_bytes: int | None = None
    peak_used_bytes: int | None = None
    peak_at: float | None = None
    is_reported_dead: bool = False

    def update(self, holder: ListedProcess, timestamp: float) -> None:
        """Takes over the newest numbers."""
        used = holder.row.used_bytes
        self.place, self.used_bytes, self.listed = holder.place, used, holder
        if holder.row.start_time is not None or self.row.start_time is None:
            self.row = holder.row
        if used is not None and (self.peak_used_bytes is None or used > self.peak_used_bytes):
            self.peak_used_bytes, self.peak_at = used, timestamp

    def move(self, timestamp: float) -> None:
        """Takes over the newest amount: all else is as it was listed last."""
        if self.listed is not None and self.listed.row.used_bytes != self.used_bytes:
            self.update(self.listed, timestamp)

    def summary(self) -> ProcessLife:
        """The process as an event describes it."""
        return ProcessLife(
            name=self.row.name,
            start_time=self.row.start_time,
            used_bytes=self.used_bytes,
            peak_used_bytes=self.peak_used_bytes,
            peak_at=self.peak_at,
        )


class ProcessDetector:
    """Detects starts, exits and crashes. A process present when its device is first seen has not just started; a
    process on a device that cannot be read has not ended.

    Of a device whose list may not be complete (other users' programs are hidden, a row cannot be), the processes that
    are listed are followed all the same: one has started that is younger than the device's first moment here, and one
    has ended that is neither in the list nor in the kernel's.
    """

    def __init__(self, exits: ProcessExits) -> None:
        self._exits = exits
        self._tracked: dict[ProcessKey, _TrackedProcess] = {}
        self._known_devices: set[str] = set()
        """UUIDs of devices whose process list has been read before."""
        self._seen_at: dict[str, float] = {}
        """Unix time of the moment in which a device was first seen, by its UUID."""
        self._are_some_missing = False
        """A tracked process is not in an incomplete list, and the kernel still knows it."""
        self._compared: tuple[object, frozenset[str], frozenset[str]] | None = None
        """What the moment before was compared by: its processes, its devices, and those that are listed."""

    def observe(self, moment: Moment, listing: MomentProcesses) -> Iterator[Event]:
        """Starts, crashes and exits since the last moment."""
        for process_exit in self._exits.new_exits(moment):
            yield from self._crashes(process_exit, process_exit.timestamp)
        before, self._compared = self._compared, (listing.processes, listing.listed, frozenset(listing.devices))
        is_same = before is not None and before[0] is listing.processes and before[1:] == self._compared[1:]
        if is_same and not self._are_some_missing:  # nobody came or went
            if listing.are_moved:
                for process in self._tracked.values():
                    process.move(moment.timestamp)
            return
        for uuid in listing.devices:
            self._seen_at.setdefault(uuid, moment.timestamp)
        yield from self._exited(moment.timestamp, listing)
        for key, holder in listing.processes.items():
            process = self._tracked.get(key)
            if process is None:
                process = self._tracked[key] = _TrackedProcess(holder.place, holder.row)
                process.update(holder, moment.timestamp)
                if key[0] in self._known_devices or self._is_younger(key[0], holder.row, listing):
                    yield _event("process_start", process, moment.timestamp, f"began to use {process.place}")
            elif process.listed is not holder:
                process.update(holder, moment.timestamp)
            elif listing.are_moved:
                process.move(moment.timestamp)
        self._known_devices |= listing.listed

    def _exited(self, timestamp: float, listing: MomentProcesses) -> Iterator[Event]:
        self._are_some_missing = False
        for key, process in tuple(self._tracked.items()):
            if self._has_exited(key, process, listing):
                process_exit = self._exits.of(process.row)
                if process_exit is not None and not process.is_reported_dead:
                    yield from self._crashes(process_exit, timestamp)
                del self._tracked[key]
                yield _exit_event(process, process_exit, timestamp)

    def _crashes(self, process_exit: ProcessExit, timestamp: float) -> Iterator[Event]:
        """The event of a crash: one, however many GPUs the process used; none where it used no GPU."""
        if not is_crash(process_exit):
            return
        tracked = {key: process for key, process in self._tracked.items() if key[1] == process_exit.pid}
        for process in tracked.values():
            process.is_reported_dead = True
        (uuid, _), process = max(tracked.items(), key=lambda item: item[1].used_bytes or 0, default=((None, 0), None))
        if process is not None:
            yield crash_event(process_exit, process.summary(), uuid, timestamp)
        elif process_exit.gpu_uuids:
            yield crash_event(process_exit, None, process_exit.gpu_uuids[0], timestamp)

    def _is_younger(self, uuid: str, row: DeviceProcess, listing: MomentProcesses) -> bool:
        """Whether the process began after its device was first seen, of whose processes some are listed."""
        seen_at = self._seen_at.get(uuid)
        if seen_at is None or row.start_time is None or not listing.devices[uuid].is_partly_listed:
            return False
        return row.start_time > seen_at

    def _has_exited(self, key: ProcessKey, process: _TrackedProcess, listing: MomentProcesses) -> bool:
        holder = listing.processes.get(key)
        if holder is not None:
            return holder is not process.listed and is_other_process(process.row, holder.row)
        uuid = key[0]
        if uuid in listing.listed or (uuid not in listing.devices and bool(listing.listed)):
            return True
        device = listing.devices.get(uuid)
        if device is None or not device.is_partly_listed:
            return False
        if self._exits.is_gone(process.row):
            return True
        self._are_some_missing = True
        return False


def is_other_process(before: DeviceProcess, now: DeviceProcess) -> bool:
    """Whether the pid has been given to a different process."""
    return same_start(before.start_time, now.start_time) is False


def _exit_event(process: _TrackedProcess, process_exit: ProcessExit | None, timestamp: float) -> Event:
    peak = "" if process.peak_used_bytes is None else f"; held {size(process.peak_used_bytes)} at most"
    manner = f" ({exit_text(process_exit)})" if process_exit is not None else ""
    event = _event("process_exit", process, timestamp, f"no longer uses {process.place}{manner}{peak}")
    summary = structs.replace(process.summary(), ended="unknown")
    if process_exit is not None:
        summary = structs.replace(
            summary,
            ended=process_exit.ended,
            signal=process_exit.signal,
            exit_code=process_exit.exit_code,
            exception=process_exit.exception,
        )
    return structs.replace(event, process=summary)


def _event(kind: EventKind, process: _TrackedProcess, timestamp: float, what: str) -> Event:
    row = process.row
    return Event(
        kind=kind,
        timestamp=timestamp,
        message=f"{who(row.name, row.pid)} {what}",
        gpu_uuid=row.gpu_uuid,
        pid=row.pid,
        uid=row.uid,
        process=process.summary(),
    )
