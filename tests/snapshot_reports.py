"""Reports on snapshots that tests have an allocator make."""

import pickle
from pathlib import Path

import pytest

from blackbox.report import Report, build_report
from blackbox.report.snapshot_file import of_snapshot_file
from tests.caching_allocator import CachingAllocator, Frames, RefusedError
from tests.traced_programs import STACKS


def report_of(allocator: CachingAllocator, folder: Path) -> Report:
    path = folder / "snapshot.pickle"
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    return build_report(of_snapshot_file(path))


def refuse(allocator: CachingAllocator, size: int, frames: Frames = STACKS[2]) -> None:
    with pytest.raises(RefusedError):
        allocator.alloc(size, frames=frames)
