"""Who is on a GPU, right before and right after a window."""

import os
from typing import NamedTuple

from blackbox.sources.nvidia.attribution import shared_reason
from blackbox.sources.nvidia.errors import Failure
from blackbox.sources.nvidia.process_list import ProcessLists, gap_of
from blackbox.sources.nvidia.topology import DeviceHandle


class GpuProcesses(NamedTuple):
    """The processes on a GPU, but for this one."""

    pids: tuple[int, ...]
    shared: str | None
    """Why counters of the whole GPU are not those of one process; None where they are."""


class GpuProcessReader:
    """Reads the driver's lists of one GPU at a time."""

    def __init__(self, sees_all_pids: bool) -> None:
        self._lists = ProcessLists()
        self._sees_all_pids = sees_all_pids

    def on(self, gpu: DeviceHandle, is_partitioned: bool) -> GpuProcesses:
        """Who is there now. Raises `LibraryGoneError`."""
        reading = self._lists.read(gpu.calls, None)
        rows, gap = ([], gap_of(reading)) if isinstance(reading, Failure) else reading
        pids = tuple(sorted({row.pid for row in rows} - {os.getpid()}))
        unlisted = gap.reason if gap else None
        shared = shared_reason(gpu.index, len(pids), unlisted, is_partitioned, self._sees_all_pids, "PM sampling")
        return GpuProcesses(pids, shared)
