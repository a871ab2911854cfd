"""What is due once an hour: its minutes are packed, and rolled up into a row of the hour. Where thousands of processes
came and went this takes tens of MB for a second, so the server has a helper do it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.frames import Frame
from blackbox.recorder.storage.helper import Helper
from blackbox.recorder.storage.rollup import RolledRow, roll_up_samples, roll_up_summaries
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tier_writer import TierWriter
from blackbox.recorder.storage.tiers import FULL, HOUR, MINUTE, period_start

TASK = f"{__name__}:keep_up_here"

log = logging.getLogger(__name__)


class Order(Struct, frozen=True):
    """What is due."""

    directory: str
    since: float
    """Unix seconds: hours from here on are to be rolled up."""
    until: float
    """Up to here; none where it is `since`."""
    row_at: float
    """Time of the next minute's row: chunks that it does not lie in are to be finished."""
    chunk_bytes_max: int


class Upkeep(Protocol):
    """What is done of an order."""

    def poll(self) -> bytes | None:
        """How many records were damaged, once it is done. Raises `FailureError`, `HelperLostError`."""
        ...

    def kill(self) -> None:
        """Ends it; what was not done is done by the next order."""
        ...


Begin = Callable[[Order], Upkeep]


class _Done:
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def poll(self) -> bytes:
        return self._answer

    def kill(self) -> None:
        """It is done."""


def begin_here(order: Order) -> Upkeep:
    """Does it now. Raises `sqlite3.Error`, `OSError`."""
    return _Done(str(keep_up(order)).encode())


def begin_apart(order: Order) -> Upkeep:
    """Has a helper do it, or does it now where none can be started."""
    try:
        return Helper(TASK, msgspec.json.encode(order))
    except OSError as error:
        log.warning("the hour is rolled up by the server itself: %s", error)
        return begin_here(order)


def in_hand(order: Order) -> list[Path]:
    """Files that whoever does the order reads its rows from, or may be writing: what it was told of, the newest two of
    each tier, one of which is finished and one gone on with, and whatever is open."""
    directory, found = Path(order.directory), list[Path]()
    for tier in (MINUTE, HOUR):
        chunks = chunk_files(directory, tier.name)
        since = period_start(order.since, tier.chunk_seconds)
        found += (chunk.path for chunk in chunks[:-2] if chunk.start >= since or chunk.has_companions())
        found += (chunk.path for chunk in chunks[-2:])
    return found


def keep_up_here(order: bytes) -> bytes:
    """The helper's inside."""
    return str(keep_up(msgspec.json.decode(order, type=Order))).encode()


def keep_up(order: Order) -> int:
    """Rolls up the hours, then packs the minutes; nobody else may write either tier meanwhile. Returns how many damaged
    records were met. Raises `sqlite3.Error`, `OSError`."""
    directory = Path(order.directory)
    minutes, hours = (TierWriter(directory, tier, order.chunk_bytes_max) for tier in (MINUTE, HOUR))
    finer = TierReader(directory, MINUTE)
    try:
        if order.since < order.until:
            hours.finish_older(order.since)
        for period, row, frame in periods(finer, order.since, order.until, HOUR.step_seconds):
            hours.append(period, row.layout, row.values, frame, synced=True)
        minutes.finish_older(order.row_at)
        minutes.pack(order.row_at)
    finally:
        hours.close()
        minutes.close()
    return sum(part.damaged for part in (minutes, hours, finer))


def periods(finer: TierReader, since: float, until: float, step: float) -> Iterator[tuple[float, RolledRow, Frame]]:
    """Start, row and last moment of every period of `step` seconds with any, oldest first."""
    combine = roll_up_samples if finer.tier is FULL else roll_up_summaries
    runs = list(finer.runs(since, until))
    starts = {period_start(time, step) for run in runs for time in run.times if since <= time < until}
    for period in sorted(starts):
        row = combine(runs, period, period + step)
        frame = finer.newest_frame(period + step - 1e-6)
        if row is not None and frame is not None and frame.time >= period:
            yield period, row, frame
