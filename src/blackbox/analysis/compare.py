"""What is new, gone, grown or shrunk between two snapshots, by process and by type of block."""

from collections import defaultdict
from collections.abc import Iterator

from blackbox.model.answers import Change, Comparison, ProcessChange, Side, TypeChange
from blackbox.model.sample import BlockType
from blackbox.model.snapshot import Process, Snapshot

Place = tuple[str, int]
Kind = tuple[BlockType, str | None]
"""(type, subtype) of a block."""
Sums = dict[Kind, tuple[int, int]]
"""(bytes, count) by kind."""


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """The difference. A pid that another process has been given since counts as one gone and one new."""
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


Held = tuple[Process, Sums]


def _pairs(before: Snapshot, after: Snapshot) -> Iterator[tuple[Held | None, Held | None]]:
    then, later = _held(before), _held(after)
    for place in dict.fromkeys((*then, *later)):
        old, new = then.get(place), later.get(place)
        if old is not None and new is not None and _is_another(old[0], new[0]):
            yield old, None
            yield None, new
        else:
            yield old, new


def _is_another(old: Process, new: Process) -> bool:
    return None not in (old.start_time, new.start_time) and old.start_time != new.start_time


def _held(snapshot: Snapshot) -> dict[Place, Held]:
    """Every process with the sums of its blocks."""
    devices: dict[tuple[int, int], set[str]] = defaultdict(set)
    for process in snapshot.processes:
        devices[process.gpu, process.pid].add(process.gpu_uuid)
    sums: defaultdict[tuple[int, int], defaultdict[Kind, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for block in snapshot.blocks:
        total = sums[block.gpu, block.pid][block.type, block.subtype]
        total[0] += block.size
        total[1] += 1
    return {
        (process.gpu_uuid, process.pid): (
            process,
            # a block does not say on which MIG instance of its GPU it lies
            _sums(sums[process.gpu, process.pid]) if len(devices[process.gpu, process.pid]) == 1 else {},
        )
        for process in snapshot.processes
    }


def _sums(found: dict[Kind, list[int]]) -> Sums:
    return {kind: (size, count) for kind, (size, count) in found.items()}


def _difference(old: Held | None, new: Held | None) -> ProcessChange | None:
    """None where nothing differs."""
    one = new or old
    assert one is not None
    process = one[0]
    before, after = old[0].used_bytes if old else 0, new[0].used_bytes if new else 0
    types = tuple(_types(old[1] if old else {}, new[1] if new else {}))
    if old and new and before == after and not types:
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
        unknown=_unknown(old, new),
    )


def _change(old: Held | None, new: Held | None, delta: int) -> Change:
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


def _unknown(old: Held | None, new: Held | None) -> dict[str, str]:
    sides = (("before_bytes", old), ("after_bytes", new))
    found = {key: held[0].unknown["used_bytes"] for key, held in sides if held and "used_bytes" in held[0].unknown}
    return found | {"delta_bytes": "; ".join(dict.fromkeys(found.values()))} if found else {}
