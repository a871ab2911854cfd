"""The probe in RMM: what its resources hold on each GPU, as far as one of them counts it. It lists no blocks.

Resources stand on one another. What lives is told by the outermost that counts it, unless it stands below a pool: there
it counts what the pool took, which is held; of several pools that nearest to the driver tells. Without either nothing
is told, and the driver's figure stands alone.

A `StatisticsResourceAdaptor` is no such count: where the program opens a block of statistics it tells that block's own,
which begins at 0 and goes below as older memory is freed, and nothing says that a block is open.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple, Optional

from blackbox.agent import devices
from blackbox.agent.probe import AgentContext, Probe
from blackbox.wire.report import AllocatorReport, Report

NESTING_MAX = 16
"""Resources on one another; three are usual."""
NOT_ON_THE_GPU = (
    "ManagedMemoryResource",
    "CudaAsyncManagedMemoryResource",
    "SystemMemoryResource",
    "SamHeadroomMemoryResource",
    "PinnedHostMemoryResource",
)
"""What lies below pools of memory that the driver books to no process."""
UNKNOWN = {
    "blocks": "RMM tells its totals alone",
    "inactive_split_bytes": "RMM does not count it",
    "requested_bytes": "RMM does not count it",
}
NOT_COUNTED = {
    "allocated_bytes": "RMM counts what lives in a TrackingResourceAdaptor or a LimitingResourceAdaptor alone"
}
NO_POOL = {"reserved_bytes": "RMM has no pool here that tells its size; at least what is allocated"}
PARTLY_HELD = {"reserved_bytes": "RMM has resources here that count for themselves alone; at least this much"}
SEVERAL = "bin_mrs"
"""What has it stands on more than one resource, and the walk sees one of them."""
TAKES_IN_BULK = ("PoolMemoryResource", "ArenaMemoryResource", "FixedSizeMemoryResource", "BinningMemoryResource")
"""Below them, what is counted is not what the program has."""
BYTES_MAX = 1 << 60
"""A count that was freed below 0 is larger."""


class RmmTotals(NamedTuple):
    """What the resources of a device count; None where none of them does."""

    held_bytes: int | None
    allocated_bytes: int | None
    partly: bool
    """Some of what is held is not counted."""


def make(module: ModuleType, context: AgentContext) -> Optional[Probe]:  # noqa: ARG001, UP045 - evaluated by Python 3.9
    """See `ProbeFactory`."""
    return RmmProbe(module)


class RmmProbe:
    """Reports on the RMM of this process."""

    source = "rmm"

    def __init__(self, rmm: Any) -> None:
        self._rmm = rmm

    def report(self, full: bool) -> Optional[Report]:  # noqa: ARG002, UP045
        """See `Probe`."""
        taken_at = time.monotonic()
        allocators = tuple(self._allocators())
        return Report(self.source, taken_at, allocators) if allocators else None

    def _allocators(self) -> Iterator[AllocatorReport]:
        resources = self._rmm.mr
        in_use = set(devices.in_use())
        for ordinal in list(resources.get_log_filenames()):  # names the devices that have a resource, and makes none
            with suppress(Exception):  # one that is lost: the others are told
                found = _look(resources.get_per_device_resource(ordinal)) if ordinal in in_use else None
                uuid = None if found is None else devices.uuid_of(ordinal)
                if uuid is not None and found is not None:
                    yield _allocator(uuid, found)


def _look(outermost: Any) -> RmmTotals | None:
    """None where nothing is counted, or it is not memory of the GPU."""
    pool = below = allocated = None
    below_a_pool = partly = False
    resource = outermost
    for _ in range(NESTING_MAX):
        if resource is None:
            break
        name = type(resource).__name__
        if name in NOT_ON_THE_GPU:
            return None
        counted = _living(resource)
        if below_a_pool:
            below = counted if below is None else below
        elif allocated is None:
            allocated = counted
        if hasattr(resource, "pool_size"):
            pool = _bytes(resource.pool_size())  # the one nearest to the driver holds for all above it
        below_a_pool = below_a_pool or name in TAKES_IN_BULK
        partly = partly or hasattr(resource, SEVERAL)
        resource = getattr(resource, "upstream_mr", None)
    held = below if pool is None else pool
    return None if held is None and allocated is None else RmmTotals(held, allocated, partly)


def _living(resource: Any) -> int | None:
    return _bytes(resource.get_allocated_bytes()) if hasattr(resource, "get_allocated_bytes") else None


def _bytes(count: int) -> int | None:
    return count if 0 <= count < BYTES_MAX else None


def _allocator(uuid: str, found: RmmTotals) -> AllocatorReport:
    allocated = found.allocated_bytes or 0
    unknown = UNKNOWN
    if found.allocated_bytes is None:
        unknown = {**unknown, **NOT_COUNTED}
    if found.held_bytes is None:
        unknown = {**unknown, **NO_POOL}
    elif found.partly:
        unknown = {**unknown, **PARTLY_HELD}
    return AllocatorReport(uuid, max(found.held_bytes or 0, allocated), allocated, unknown=unknown)
