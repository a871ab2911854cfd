"""What allocators claim, held against the driver: no program makes a GPU's ledger absurd.

An allocator may be right and the driver's figure a moment old, so a claim above it is believed as far as the memory
that the driver says is in use and accounts for by no process, and a little more. What is beyond is left out, and named.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import structs

from blackbox.merge.selection import Selection
from blackbox.model.identity import ProcessKey
from blackbox.model.parts import Allocator, Memory

AHEAD_SHARE = 1 / 16
"""Of a GPU's memory: what its programs may have allocated since the driver was asked; 5 GiB of 80 in half a second."""
EXCESS = "the allocator told more than the driver says"


class Claim(NamedTuple):
    """What the allocators of one process on one GPU say that they hold."""

    key: ProcessKey
    claimed_bytes: int
    driver_bytes: int | None


def excessive(selection: Selection, claims: Iterable[Claim]) -> dict[ProcessKey, int]:
    """The processes whose claim cannot be true, and how much is believed of each. The smallest excess comes first: who
    claims everything takes nothing from the others."""
    ledger_of = _ledgers(selection)
    room = _room(selection, ledger_of)
    believed: dict[ProcessKey, int] = {}
    for claim in sorted(claims, key=_excess):
        ledger = ledger_of.get(claim.key[0])
        if ledger is None or _excess(claim) <= 0:
            continue
        if _excess(claim) <= room[ledger]:
            room[ledger] -= _excess(claim)
        elif claim.driver_bytes is None:
            believed[claim.key], room[ledger] = room[ledger], 0
        else:
            believed[claim.key] = claim.driver_bytes
    return believed


def capped(allocators: Iterable[Allocator], believed_bytes: int) -> Iterator[Allocator]:
    """The allocators of a process with totals that sum to at most `believed_bytes`, and without details: they are
    details of something else."""
    left = believed_bytes
    for allocator in allocators:
        reserved = min(allocator.reserved_bytes, left)
        left -= reserved
        why = f"{EXCESS}: {allocator.reserved_bytes} bytes, of which {reserved} are believed"
        yield structs.replace(
            allocator,
            reserved_bytes=reserved,
            allocated_bytes=min(allocator.allocated_bytes, reserved),
            inactive_split_bytes=None,
            requested_bytes=None,
            largest_free_bytes=None,
            blocks=None,
            kv_pools=(),
            threads=None,
            stacks=None,
            unknown=allocator.unknown | dict.fromkeys(("reserved_bytes", "allocated_bytes", "blocks"), why),
        )


def _excess(claim: Claim) -> int:
    return claim.claimed_bytes - (claim.driver_bytes or 0)


def _ledgers(selection: Selection) -> dict[str, str]:
    """Device -> the device whose memory its processes use: itself, or the GPU of an instance that tells none."""
    measured = {device.uuid for device in selection.devices if device.memory is not None}
    found = {
        device.uuid: device.uuid if device.uuid in measured else device.parent_uuid for device in selection.devices
    }
    return {uuid: ledger for uuid, ledger in found.items() if ledger in measured}


def _room(selection: Selection, ledger_of: dict[str, str]) -> dict[str, int]:
    """Ledger -> bytes that claims may exceed the driver's figures of processes by."""
    attributed: defaultdict[str, int] = defaultdict(int)
    for row in selection.processes:
        attributed[ledger_of.get(row.gpu_uuid, "")] += row.used_bytes or 0
    return {
        device.uuid: max(0, device.memory.used_bytes - attributed[device.uuid]) + _ahead(device.memory)
        for device in selection.devices
        if device.memory is not None
    }


def _ahead(memory: Memory) -> int:
    return min(memory.free_bytes, int(memory.total_bytes * AHEAD_SHARE))
