"""The probe in JAX: what XLA's allocator counts on each GPU. It lists no blocks.

JAX takes three quarters of a GPU when it is first used, unless told otherwise, and gives parts of that to its arrays:
the difference between `reserved_bytes` and `allocated_bytes` is free for JAX, and lost to everyone else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, Optional

from blackbox.agent import devices
from blackbox.agent.probe import AgentContext, Probe
from blackbox.wire.report import AllocatorReport, Report

BRIDGE = "jax._src.xla_bridge"
BACKENDS = "_backends"
"""In it: platform -> client, of those that the program has set up. Asking JAX itself would set them up."""
PLATFORMS = ("cuda", "gpu", "rocm")
UNKNOWN = {
    "blocks": "JAX tells its totals alone",
    "inactive_split_bytes": "JAX does not count it",
    "requested_bytes": "JAX does not count it",
}
NO_POOL = {"reserved_bytes": "this version of JAX does not tell what it holds; at least what its arrays take"}


def make(module: ModuleType, context: AgentContext) -> Optional[Probe]:  # noqa: ARG001, UP045 - evaluated by Python 3.9
    """See `ProbeFactory`."""
    return JaxProbe()


class JaxProbe:
    """Reports on the JAX of this process."""

    source = "jax"

    def report(self, full: bool) -> Optional[Report]:  # noqa: ARG002, UP045
        """See `Probe`. Asks the devices of clients that are there already, which costs a microsecond each."""
        taken_at = time.monotonic()
        allocators = tuple(_allocators())
        return Report(self.source, taken_at, allocators) if allocators else None


def _allocators() -> Iterator[AllocatorReport]:
    seen: set[str] = set()
    for device in _devices():
        with suppress(Exception):  # one that is lost, or counts otherwise: the others are told
            stats = device.memory_stats()
            uuid = devices.uuid_of(device.local_hardware_id) if stats else None
            if uuid is not None and uuid not in seen:
                allocator = _allocator(uuid, stats)
                seen.add(uuid)
                yield allocator


def _devices() -> Iterator[Any]:
    for platform, client in list(getattr(sys.modules.get(BRIDGE), BACKENDS, {}).items()):
        if platform in PLATFORMS:
            yield from client.local_devices()


def _allocator(uuid: str, stats: dict[str, int]) -> AllocatorReport:
    allocated = stats["bytes_in_use"]
    pool = stats.get("pool_bytes", 0)
    return AllocatorReport(
        uuid,
        max(pool, allocated),
        allocated,
        largest_free_bytes=stats.get("largest_free_block_bytes") if pool else None,
        limit_bytes=stats.get("bytes_limit") or None,
        unknown=UNKNOWN if pool else {**UNKNOWN, **NO_POOL},
    )
