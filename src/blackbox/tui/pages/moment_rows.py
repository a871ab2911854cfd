"""Who held what at a moment: a row for each stack, and for what no stack tells, with the reason."""

from typing import NamedTuple

from blackbox.model.purpose import purpose_of
from blackbox.model.query import Comparison
from blackbox.model.snapshot import Snapshot
from blackbox.terminal.ledger import leaves, ledgers, process_label
from blackbox.terminal.purposes import LOOK_OF, OPAQUE, OUTSIDE
from blackbox.tui.scene import NO_ALLOCATOR, Scene, reports


class HeldRow(NamedTuple):
    """Memory of one stack; or what no stack tells, with the reason."""

    process: str
    uuid: str
    purpose: str
    bytes: int
    change: float | None
    """Since a minute before; None where nobody can tell."""
    blocks: int | None
    frames: tuple[str, ...]
    reason: str | None


def rows_of(scene: Scene, snapshot: Snapshot, before: Comparison | None) -> list[HeldRow]:
    """Largest first: stacks, what of an allocator has none, what nobody looks into."""
    uuids = {leaf.gpu.uuid for leaf in leaves(ledgers(snapshot)) if scene.view.gpu in (None, leaf.gpu.uuid)}
    changes = {
        (one.gpu, one.pid, stack.frames, stack.type, stack.subtype): stack.delta_bytes
        for one in (before.processes if before is not None else ())
        for stack in one.stacks
    }
    found: list[HeldRow] = []
    for process in snapshot.processes:
        if process.gpu_uuid not in uuids:
            continue
        name = process_label(process.name, process.pid)
        stacks = [one for one in snapshot.stacks or () if (one.gpu, one.pid) == (process.gpu, process.pid)]
        for one in stacks:
            purpose = purpose_of(one.type, one.subtype, allocated=True, utilized=True)
            key = one.gpu, one.pid, one.frames, one.type, one.subtype
            change = changes.get(key, 0) if before is not None else None
            why = None if one.frames else "of no stack, or of many too small to tell"
            found.append(
                HeldRow(name, process.gpu_uuid, purpose, one.allocated_bytes, change, one.blocks, one.frames, why)
            )
        found += _without_stacks(
            process.gpu_uuid, name, process.purposes, process.used_bytes, bool(stacks), reports(process)
        )
    words = scene.view.filter.lower().split()
    kept = [row for row in found if all(word in _searched(row) for word in words)]
    return sorted(kept, key=lambda row: -row.bytes)


def _without_stacks(
    uuid: str, name: str, purposes: dict[str, int] | None, used: int, has_stacks: bool, tells: bool
) -> list[HeldRow]:
    """What a process holds beside its stacks."""
    if not tells:
        return [HeldRow(name, uuid, OPAQUE, used, None, None, (), NO_ALLOCATOR)]
    why = "held by its allocator, not live" if has_stacks else "it records no stacks"
    told = {key: count for key, count in (purposes or {}).items() if key in LOOK_OF}
    live = [key for key in told if LOOK_OF[key].colour is not None]
    shown = [key for key in told if not (has_stacks and key in live)]
    rows = [HeldRow(name, uuid, key, told[key], None, None, (), why) for key in shown]
    rest = used - sum(told.values())
    outside = "the driver's own for this process: context, libraries"
    return [*rows, *([HeldRow(name, uuid, OUTSIDE, rest, None, None, (), outside)] if rest > 0 else [])]


def _searched(row: HeldRow) -> str:
    return " ".join((row.process, LOOK_OF[row.purpose].name, *row.frames)).lower()
