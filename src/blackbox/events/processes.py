"""Processes that begin to hold memory of a GPU, and those that stop or die, with the most they held."""

from collections.abc import Iterator

from msgspec import Struct, structs

from blackbox.events.endings import Endings, crash, how, is_crash
from blackbox.events.holders import Holder, Holders, Place
from blackbox.model.event import ProcessLife
from blackbox.model.identity import same_start
from blackbox.model.sample import DeviceProcess, Ending, Event, EventKind
from blackbox.model.snapshot import Moment
from blackbox.model.text import size, who


class _Life(Struct):
    """A process seen on a device."""

    gpu: int
    row: DeviceProcess
    used_bytes: int | None = None
    peak_used_bytes: int | None = None
    peak_at: float | None = None
    is_told_dead: bool = False

    def see(self, holder: Holder, timestamp: float) -> None:
        """Takes the newest figures."""
        used = holder.row.used_bytes
        self.gpu, self.used_bytes = holder.gpu, used
        if holder.row.start_time is not None or self.row.start_time is None:
            self.row = holder.row
        if used is not None and (self.peak_used_bytes is None or used > self.peak_used_bytes):
            self.peak_used_bytes, self.peak_at = used, timestamp

    def told(self) -> ProcessLife:
        """What an event says about it."""
        return ProcessLife(
            name=self.row.name,
            start_time=self.row.start_time,
            used_bytes=self.used_bytes,
            peak_used_bytes=self.peak_used_bytes,
            peak_at=self.peak_at,
        )


class ProcessWatch:
    """Whoever is there when a device is first seen has not just started; whoever cannot be seen has not ended."""

    def __init__(self, endings: Endings) -> None:
        self._endings = endings
        self._lives: dict[Place, _Life] = {}
        self._met: set[str] = set()
        """Devices whose processes are known."""

    def observe(self, moment: Moment, held: Holders) -> Iterator[Event]:
        """Starts, deaths and exits since the last moment."""
        for ending in self._endings.take(moment):
            yield from self._died(ending, ending.timestamp)
        yield from self._ended(moment.timestamp, held)
        for place, holder in held.by_place.items():
            life = self._lives.get(place)
            if life is None:
                life = self._lives[place] = _Life(holder.gpu, holder.row)
                life.see(holder, moment.timestamp)
                if place[0] in self._met:
                    yield _event("process_start", life, moment.timestamp, f"began to use GPU {life.gpu}")
            else:
                life.see(holder, moment.timestamp)
        self._met |= held.listed

    def _ended(self, timestamp: float, held: Holders) -> Iterator[Event]:
        for place, life in tuple(self._lives.items()):
            if _has_ended(place, life, held):
                ending = self._endings.of(life.row)
                if ending is not None and not life.is_told_dead:
                    yield from self._died(ending, timestamp)
                del self._lives[place]
                yield _exit(life, ending, timestamp)

    def _died(self, ending: Ending, timestamp: float) -> Iterator[Event]:
        """Tells of a crash, once, whatever number of GPUs the process held memory of; of one that held some only."""
        if not is_crash(ending):
            return
        lives = {place: life for place, life in self._lives.items() if place[1] == ending.pid}
        for life in lives.values():
            life.is_told_dead = True
        (uuid, _), life = max(lives.items(), key=lambda item: item[1].used_bytes or 0, default=((None, 0), None))
        if life is not None:
            yield crash(ending, life.told(), uuid, timestamp)
        elif ending.gpu_uuids:
            yield crash(ending, None, ending.gpu_uuids[0], timestamp)


def _has_ended(place: Place, life: _Life, held: Holders) -> bool:
    holder = held.by_place.get(place)
    if holder is not None:
        return is_another(life.row, holder.row)
    uuid = place[0]
    return uuid in held.listed or (uuid not in held.devices and bool(held.listed))


def is_another(before: DeviceProcess, now: DeviceProcess) -> bool:
    """Whether the pid has been given to another process."""
    return same_start(before.start_time, now.start_time) is False


def _exit(life: _Life, ending: Ending | None, timestamp: float) -> Event:
    peak = "" if life.peak_used_bytes is None else f"; held {size(life.peak_used_bytes)} at most"
    manner = f" ({how(ending)})" if ending is not None else ""
    event = _event("process_exit", life, timestamp, f"no longer uses GPU {life.gpu}{manner}{peak}")
    told = structs.replace(life.told(), ended="unknown")
    if ending is not None:
        told = structs.replace(
            told,
            ended=ending.ended,
            signal=ending.signal,
            exit_code=ending.exit_code,
            exception=ending.exception,
        )
    return structs.replace(event, process=told)


def _event(kind: EventKind, life: _Life, timestamp: float, what: str) -> Event:
    row = life.row
    return Event(
        kind=kind,
        timestamp=timestamp,
        message=f"{who(row.name, row.pid)} {what}",
        gpu_uuid=row.gpu_uuid,
        pid=row.pid,
        uid=row.uid,
        process=life.told(),
    )
