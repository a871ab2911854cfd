"""How finely and how long everything is kept: the tiers, and which chunks are deleted, past their age or to stay within
the limit. The same for the numbers and for the moments beside them.
"""

import logging
import math
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from blackbox.recorder.storage.directory import ChunkFile, chunk_files

EVENTS_NAME = "events"
"""Of the event log's chunks, beside those of the tiers."""
MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60.0, 3600.0, 86_400.0

log = logging.getLogger(__name__)


class Tier(NamedTuple):
    """One fineness of recording. Every tier is written as time passes; thinning is the deletion of old chunks."""

    name: str
    step_seconds: float
    """Period of which one row and the last moment are kept; 0 to keep every moment."""
    block_seconds: float
    """Rows packed together: more pack better, fewer are read faster."""
    chunk_seconds: float
    """One file: what is deleted at once, and what a damaged file costs at most."""
    keep_seconds: float | None
    """Age at which a chunk goes; None to keep it as long as there is room."""


FULL = Tier("full", 0.0, MINUTE_SECONDS, 10 * MINUTE_SECONDS, HOUR_SECONDS)
MINUTE = Tier("minute", MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS, 30 * DAY_SECONDS)
HOUR = Tier("hour", HOUR_SECONDS, DAY_SECONDS, 30 * DAY_SECONDS, None)
TIERS = (FULL, MINUTE, HOUR)
"""From fine to coarse; each but the first is made from the one before."""


def period_start(time: float, seconds: float) -> float:
    """Start of the period, counted from 1970, that `time` lies in."""
    return math.floor(time / seconds) * seconds


def recorded_bytes(directory: Path) -> int:
    """Disk that all chunks take."""
    return sum(chunk.bytes() for chunks in _by_tier(directory).values() for chunk in chunks)


def enforce(directory: Path, now: float, limit_bytes: int, in_use: Collection[Path | None]) -> int:
    """Deletes what is too old or too much, never a file `in_use`; returns the bytes that remain."""
    for tier in TIERS:
        for chunk in chunk_files(directory, tier.name):
            age = now - chunk.start - tier.chunk_seconds
            if tier.keep_seconds is not None and age > tier.keep_seconds and chunk.path not in in_use:
                chunk.delete()
    tiers = {
        name: [(chunk, chunk.bytes()) for chunk in chunks if chunk.path not in in_use]
        for name, chunks in _by_tier(directory).items()
    }
    total = recorded_bytes(directory)
    while total > limit_bytes:
        largest = max(tiers.values(), key=lambda chunks: sum(size for _, size in chunks))
        if not largest:
            break
        chunk, size = largest.pop(0)
        log.info("the recording is at its limit of %d bytes: %s goes", limit_bytes, chunk.path.name)
        chunk.delete()
        total -= size
    return total


def _by_tier(directory: Path) -> dict[str, list[ChunkFile]]:
    return {name: chunk_files(directory, name) for name in (*(tier.name for tier in TIERS), EVENTS_NAME)}
