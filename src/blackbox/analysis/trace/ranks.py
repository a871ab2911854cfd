"""Many snapshots of one job, a file a process: who holds more than the others, and who was refused first."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from blackbox.analysis.trace.device_findings import DeviceFindings
from blackbox.analysis.trace.situations import HISTORY_MIN

History = Literal["whole", "part", "none"]
_DIGITS = re.compile(r"(\d+)")


class RankRow(Struct, frozen=True, kw_only=True):
    """One device of one file."""

    file: str
    gpu: int
    history: History
    """Whether steps led to that peak: `none`: it is what was held at the end; `part`: the file's own steps contradict
    each other before it."""
    peak_bytes: int
    peak_bytes_max: int | None
    """None: `peak_bytes` is exact. Else it is the least that the file allows, and this the most."""
    requested_bytes: int
    reserved_bytes: int
    """At the peak."""
    peak_seconds: float | None
    """Since the file's first step."""
    refusals: int
    first_refusal_time: float | None
    """Unix seconds by the clock of its machine; None where nothing was refused, or the file has no times."""
    first_refused_bytes: int | None
    by_category: dict[str, int]
    """At the peak -> bytes."""


class UnreadFile(Struct, frozen=True):
    file: str
    reason: str


class CategorySpread(Struct, frozen=True, kw_only=True):
    """What the ranks hold for one purpose at their peaks."""

    category: str
    least_bytes: int
    least_file: str
    most_bytes: int
    most_file: str


class RankTable(Struct, frozen=True, kw_only=True):
    """All ranks."""

    rows: tuple[RankRow, ...]
    unread: tuple[UnreadFile, ...]
    mean_bytes: float
    """Of the peaks."""
    highest: RankRow
    lowest: RankRow
    spread_bytes: int
    """Between these two."""
    imbalance_ratio: float
    """The highest peak over the mean of all; 1: every rank holds the same. 4 decimals."""
    first_refused: RankRow | None
    """By the clocks of the machines, which may differ; None where nothing was refused, or no file has times."""
    refused_files: int
    by_category: tuple[CategorySpread, ...]
    """The widest spread first."""


def in_order(name: str) -> list[tuple[int, str]]:
    """To sort by: `rank2` before `rank10`."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _DIGITS.split(name)]


def history_of(device: DeviceFindings) -> History:
    """How much of what led to the end is known."""
    if device.steps < HISTORY_MIN or not device.replayed:
        return "none"
    return "whole" if device.replayed == device.steps else "part"


def rows_of(file: str, devices: Iterable[DeviceFindings]) -> list[RankRow]:
    """The devices of a file that held any memory."""
    return [_row(file, device) for device in devices if device.peak.bytes or device.peak.reserved_bytes]


def rank_table(rows: Sequence[RankRow], unread: Sequence[UnreadFile]) -> RankTable:
    """Of at least one row."""
    highest = max(rows, key=lambda row: row.peak_bytes)
    lowest = min(rows, key=lambda row: row.peak_bytes)
    average = sum(row.peak_bytes for row in rows) / len(rows)
    refused = [row for row in rows if row.first_refusal_time is not None]
    return RankTable(
        rows=tuple(rows),
        unread=tuple(unread),
        mean_bytes=average,
        highest=highest,
        lowest=lowest,
        spread_bytes=highest.peak_bytes - lowest.peak_bytes,
        imbalance_ratio=round(highest.peak_bytes / average, 4) if average else 1.0,
        first_refused=min(refused, key=lambda row: row.first_refusal_time or 0.0, default=None),
        refused_files=len({row.file for row in rows if row.refusals}),
        by_category=tuple(sorted(_spreads(rows), key=lambda one: (one.least_bytes - one.most_bytes, one.category))),
    )


def _row(file: str, device: DeviceFindings) -> RankRow:
    peak, first = device.peak, device.refusals[0] if device.refusals else None
    return RankRow(
        file=file,
        gpu=device.gpu,
        history=history_of(device),
        peak_bytes=peak.bytes,
        peak_bytes_max=peak.bytes_max,
        requested_bytes=peak.requested_bytes,
        reserved_bytes=peak.reserved_bytes,
        peak_seconds=peak.seconds,
        refusals=device.refusals_total,
        first_refusal_time=None if first is None else first.moment.time,
        first_refused_bytes=None if first is None else first.requested_size,
        by_category={share.category: share.bytes for share in peak.by_category},
    )


def _spreads(rows: Sequence[RankRow]) -> Iterable[CategorySpread]:
    for name in dict.fromkeys(name for row in rows for name in row.by_category):
        least = min(rows, key=lambda row: row.by_category.get(name, 0))
        most = max(rows, key=lambda row: row.by_category.get(name, 0))
        yield CategorySpread(
            category=name,
            least_bytes=least.by_category.get(name, 0),
            least_file=least.file,
            most_bytes=most.by_category.get(name, 0),
            most_file=most.file,
        )
