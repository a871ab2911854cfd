"""The probe in RMM: what its resources hold on each GPU, as far as one of them counts it. It lists no blocks.

Resources stand on one another. The outermost that counts allocations tells what is allocated, the outermost pool what
is held. Without either nothing is told, and the driver's figure stands alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple, Optional

from blackbox.agent import devices
from blackbox.agent.probe import AgentContext, Probe
from blackbox.wire.report import AllocatorReport, Report

NESTING_MAX = 16
"""Resources on one another; three are usual."""
NOT_ON_THE_GPU = ("ManagedMemoryResource", "SystemMemoryResource", "PinnedHostMemoryResource")
"""What lies below pools of memory that the driver books to no process."""
UNKNOWN = {
    "blocks": "RMM tells its totals alone",
    "inactive_split_bytes": "RMM does not count it",
    "requested_bytes": "RMM does not count it",
}
NOT_COUNTED = {"allocated_bytes": "RMM counts it where a StatisticsResourceAdaptor or the like is in use"}
NO_POOL = {"reserved_bytes": "RMM has no pool here that tells its size; at least what is allocated"}


class RmmTotals(NamedTuple):
    """What the resources of a device count; None where none of them does."""

    held_bytes: int | None
    allocated_bytes: int | None


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
            if ordinal in in_use:
                found = _look(resources.get_per_device_resource(ordinal))
                uuid = devices.uuid_of(ordinal)
                if uuid is not None and found is not None:
                    yield _allocator(uuid, found)


def _look(outermost: Any) -> RmmTotals | None:
    """None where nothing is counted, or it is not memory of the GPU."""
    held = allocated = None
    resource = outermost
    for _ in range(NESTING_MAX):
        if resource is None:
            break
        if type(resource).__name__ in NOT_ON_THE_GPU:
            return None
        if allocated is None:
            allocated = _counted(resource)
        if held is None and hasattr(resource, "pool_size"):
            held = resource.pool_size()
        resource = getattr(resource, "upstream_mr", None)
    return None if held is None and allocated is None else RmmTotals(held, allocated)


def _counted(resource: Any) -> int | None:
    counts = getattr(resource, "allocation_counts", None)
    if counts is not None:
        return counts.current_bytes
    return resource.get_allocated_bytes() if hasattr(resource, "get_allocated_bytes") else None


def _allocator(uuid: str, found: RmmTotals) -> AllocatorReport:
    allocated = found.allocated_bytes or 0
    unknown = UNKNOWN
    if found.allocated_bytes is None:
        unknown = {**unknown, **NOT_COUNTED}
    if found.held_bytes is None:
        unknown = {**unknown, **NO_POOL}
    return AllocatorReport(uuid, max(found.held_bytes or 0, allocated), allocated, unknown=unknown)
