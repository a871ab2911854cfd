"""The probe in CuPy: what its default memory pool holds on each GPU. It lists no blocks.

Where a program gives CuPy another allocator (RMM's, CUDA's own pools), the default pool is empty, and nothing is
reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, Optional

from blackbox.agent import devices
from blackbox.agent.probe import AgentContext, Probe
from blackbox.wire.report import AllocatorReport, Report

UNKNOWN = {
    "blocks": "CuPy tells its totals alone",
    "inactive_split_bytes": "CuPy does not count it",
    "requested_bytes": "CuPy does not count it",
}


def make(module: ModuleType, context: AgentContext) -> Optional[Probe]:  # noqa: ARG001, UP045 - evaluated by Python 3.9
    """See `ProbeFactory`."""
    return CupyProbe(module)


class CupyProbe:
    """Reports on the CuPy of this process."""

    source = "cupy"

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy

    def report(self, full: bool) -> Optional[Report]:  # noqa: ARG002, UP045
        """See `Probe`. The current GPU is a property of a thread, and changes in the agent's alone."""
        taken_at = time.monotonic()
        allocators = tuple(self._allocators())
        return Report(self.source, taken_at, allocators) if allocators else None

    def _allocators(self) -> Iterator[AllocatorReport]:
        for ordinal in devices.in_use():
            with suppress(Exception), self._cupy.cuda.Device(ordinal):  # one that is lost: the others are told
                pool = self._cupy.get_default_memory_pool()
                held, used = pool.total_bytes(), pool.used_bytes()
                uuid = devices.uuid_of(ordinal) if held else None
                if uuid is not None:
                    yield AllocatorReport(uuid, max(held, used), used, unknown=UNKNOWN)
