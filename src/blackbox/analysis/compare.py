"""What is new, gone, grown or shrunk between two snapshots, by process, by type of block, and by stack."""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from blackbox.model.identity import ProcessKey, same_start
from blackbox.model.parts import BlockType
from blackbox.model.query import Change, Comparison, ProcessChange, PurposeChange, Side, StackChange, TypeChange
from blackbox.model.snapshot import Process, Snapshot

BlockKind = tuple[BlockType, str | None]
"""(type, subtype) of a block."""
Sums = dict[BlockKind, tuple[int, int]]
"""(bytes, count) by kind."""
StackOrigin = tuple[tuple[str, ...], BlockType, str | None]
"""(frames, type, subtype) of live memory."""
SUMMED_UP = "not told by itself; it may be part of what is of unknown stack"
NO_STACKS = "no history of its allocator was recorded"


class ProcessSums(Struct, frozen=True):
    """A process, with the sums of its blocks and stacks."""

    process: Process
    kinds: Sums
    stacks: dict[StackOrigin, int] | None
    """Live bytes by stack; None where none were reported."""


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """The difference. A pid that was given to another process in between counts as one process gone and one new."""
    changes = [_difference(*pair) for pair in _pairs(before, after)]
    differing = [change for change in changes if change is not None]
    return Comparison(
        a=_side(before),
        b=_side(after),
        delta_bytes=after.used_bytes - before.used_bytes,
        processes=tuple(sorted(differing, key=lambda change: (-abs(change.delta_bytes), change.gpu, change.pid))),
        unchanged=len(changes) - len(differing),
    )


def _side(snapshot: Snapshot) -> Side:
    return Side(seq=snapshot.seq, timestamp=snapshot.timestamp, used_bytes=snapshot.used_bytes)


def _pairs(before: Snapshot, after: Snapshot) -> Iterator[tuple[ProcessSums | None, ProcessSums | None]]:
    then, later = _sums_by_process(before), _sums_by_process(after)
    for key in dict.fromkeys((*then, *later)):
        old, new = then.get(key), later.get(key)
        if old is not None and new is not None and _is_another(old.process, new.process):
            yield old, None
            yield None, new
        else:
            yield old, new


def _is_another(old: Process, new: Process) -> bool:
    return same_start(old.start_time, new.start_time) is False


def _sums_by_process(snapshot: Snapshot) -> dict[ProcessKey, ProcessSums]:
    """Every process with the sums of its blocks."""
    devices: dict[tuple[int, int], set[str]] = defaultdict(set)
    for process in snapshot.processes:
        devices[process.gpu, process.pid].add(process.gpu_uuid)
    sums: defaultdict[tuple[int, int], defaultdict[BlockKind, list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0, 0])
    )
    for block in snapshot.blocks:
        total = sums[block.gpu, block.pid][block.type, block.subtype]
        total[0] += block.size
        total[1] += 1
    stacks: defaultdict[tuple[int, int], dict[StackOrigin, int]] = defaultdict(dict)
    for stack in snapshot.stacks or ():
        origin: StackOrigin = stack.frames, stack.type, stack.subtype
        of_process = stacks[stack.gpu, stack.pid]
        of_process[origin] = of_process.get(origin, 0) + stack.allocated_bytes
    found: dict[ProcessKey, ProcessSums] = {}
    for process in snapshot.processes:
        key = process.gpu, process.pid
        if len(devices[key]) == 1:
            found[process.gpu_uuid, process.pid] = ProcessSums(process, _sums(sums[key]), stacks.get(key))
        else:  # a block does not say on which MIG instance of its GPU it lies
            found[process.gpu_uuid, process.pid] = ProcessSums(process, {}, None)
    return found


def _sums(found: dict[BlockKind, list[int]]) -> Sums:
    return {kind: (size, count) for kind, (size, count) in found.items()}


def _difference(old: ProcessSums | None, new: ProcessSums | None) -> ProcessChange | None:
    """None where nothing differs."""
    one = new or old
    assert one is not None
    process = one.process
    before, after = old.process.used_bytes if old else 0, new.process.used_bytes if new else 0
    types = tuple(_types(old.kinds if old else {}, new.kinds if new else {}))
    stacks = tuple(_stacks(old, new))
    purposes = tuple(_purposes(old, new))
    if old and new and before == after and not types and not stacks and not purposes:
        return None
    return ProcessChange(
        change=_change(old, new, after - before),
        gpu=process.gpu,
        gpu_uuid=process.gpu_uuid,
        pid=process.pid,
        name=process.name,
        start_time=process.start_time,
        before_bytes=before,
        after_bytes=after,
        delta_bytes=after - before,
        types=types,
        purposes=purposes,
        stacks=stacks,
        unknown=_unknown(old, new),
    )


def _change(old: ProcessSums | None, new: ProcessSums | None, delta: int) -> Change:
    if old is None:
        return "new"
    if new is None:
        return "gone"
    if delta == 0:
        return "shifted"
    return "grown" if delta > 0 else "shrunk"


def _types(old: Sums, new: Sums) -> list[TypeChange]:
    found: list[TypeChange] = []
    for type_, subtype in dict.fromkeys((*old, *new)):
        before, after = old.get((type_, subtype), (0, 0)), new.get((type_, subtype), (0, 0))
        if before != after:
            found.append(
                TypeChange(
                    type=type_,
                    subtype=subtype,
                    before_bytes=before[0],
                    after_bytes=after[0],
                    delta_bytes=after[0] - before[0],
                    before_blocks=before[1],
                    after_blocks=after[1],
                )
            )
    return sorted(found, key=lambda change: -abs(change.delta_bytes))


def _purposes(old: ProcessSums | None, new: ProcessSums | None) -> list[PurposeChange]:
    before, after = _by_purpose(old), _by_purpose(new)
    if before is None or after is None:
        return []
    changes = [
        PurposeChange(
            purpose=purpose,
            before_bytes=before.get(purpose, 0),
            after_bytes=after.get(purpose, 0),
            delta_bytes=after.get(purpose, 0) - before.get(purpose, 0),
        )
        for purpose in dict.fromkeys((*before, *after))
        if before.get(purpose, 0) != after.get(purpose, 0)
    ]
    return sorted(changes, key=lambda change: -abs(change.delta_bytes))


def _by_purpose(side: ProcessSums | None) -> dict[str, int] | None:
    """Nothing of a process that is not there, None where no allocator told its blocks."""
    return {} if side is None else side.process.purposes


def _stacks(old: ProcessSums | None, new: ProcessSums | None) -> list[StackChange]:
    before, after = _live_by_stack(old), _live_by_stack(new)
    if before is None or after is None:
        return []
    changes = [
        StackChange(
            frames=origin[0],
            type=origin[1],
            subtype=origin[2],
            before_bytes=before.get(origin, 0),
            after_bytes=after.get(origin, 0),
            delta_bytes=after.get(origin, 0) - before.get(origin, 0),
            unknown=_unknown_of_stack(origin, before, after),
        )
        for origin in dict.fromkeys((*before, *after))
        if before.get(origin, 0) != after.get(origin, 0)
    ]
    return sorted(changes, key=lambda change: -abs(change.delta_bytes))


def _unknown_of_stack(
    origin: StackOrigin, before: dict[StackOrigin, int], after: dict[StackOrigin, int]
) -> dict[str, str]:
    """The unknown keys of a stack that one side does not list: it may be part of what that side reports without a
    stack."""
    missing = [
        key
        for key, side in (("before_bytes", before), ("after_bytes", after))
        if origin not in side and any(size and not frames for (frames, _, _), size in side.items())
    ]
    return dict.fromkeys((*missing, "delta_bytes"), SUMMED_UP) if missing and origin[0] else {}


def _live_by_stack(side: ProcessSums | None) -> dict[StackOrigin, int] | None:
    """Live bytes by stack: none of a process that is not there, None where no stacks were reported."""
    return {} if side is None else side.stacks


def _unknown(old: ProcessSums | None, new: ProcessSums | None) -> dict[str, str]:
    sides = (("before_bytes", old), ("after_bytes", new))
    found = {
        key: sums_of.process.unknown["used_bytes"]
        for key, sums_of in sides
        if sums_of and "used_bytes" in sums_of.process.unknown
    }
    if found:
        found["delta_bytes"] = "; ".join(dict.fromkeys(found.values()))
    if _live_by_stack(old) is None or _live_by_stack(new) is None:
        found["stacks"] = NO_STACKS
    return found
