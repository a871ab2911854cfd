"""Moments in a row, and stores of them, for tests of the recorder."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec import structs

from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder.storage.store import Store
from tests.moments import GIB, MIB, NOW, TIMESTAMP, allocator, device, memory, moment, process, sample

INTERVAL = 0.5
PID = 4711
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def used_bytes(seq: int) -> int:
    """What the process of moment `seq` uses beside the rest: different each time, and told apart by it."""
    return GIB + seq % 997 * 2 * MIB


def moment_at(
    timestamp: float, seq: int, *, events: tuple[Event, ...] = (), pid: int = PID, blocks: bool = False
) -> Moment:
    """One GPU and one process on it, which grows with `seq`."""
    return moment(
        sample(
            (device(0, memory=memory(used=2 * GIB + seq * 4096)),),
            (process(pid, used_bytes=4 * GIB + used_bytes(seq)),),
            allocators=(allocator(pid),) if blocks else (),
            events=events,
        ),
        seq=seq,
        timestamp=timestamp,
        taken_at=NOW,
    )


def series(
    since: float, seconds: float, *, interval: float = INTERVAL, first_seq: int = 1, **more: Any
) -> Iterator[Moment]:
    """Moments every `interval` seconds."""
    for number in range(round(seconds / interval)):
        yield moment_at(since + number * interval, first_seq + number, **more)


@contextmanager
def store_at(directory: Path, **more: Any) -> Iterator[Store]:
    """A store that is closed in the end."""
    with closing(Store(directory, **more)) as store:
        yield store


def record(directory: Path, *moments: Moment) -> None:
    """Records them and lets go of the directory."""
    with store_at(directory) as store:
        for one in moments:
            store.append(one)


def event(kind: Any = "xid", timestamp: float = TIMESTAMP, **more: Any) -> Event:
    """Something that happened."""
    return structs.replace(Event(kind=kind, timestamp=timestamp, message=f"{kind} happened"), **more)
