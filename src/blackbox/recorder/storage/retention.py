"""What is deleted, and when: chunks past their age, and the oldest where the recording outgrows its limit."""

import logging
from collections.abc import Collection
from pathlib import Path

from blackbox.recorder.storage import event_log
from blackbox.recorder.storage.directory import ChunkFile, chunk_files
from blackbox.recorder.storage.tiers import TIERS

log = logging.getLogger(__name__)


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
    return {name: chunk_files(directory, name) for name in (*(tier.name for tier in TIERS), event_log.NAME)}
