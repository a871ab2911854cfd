"""A second, simple replay of a snapshot's trace, to hold ours against: it shares no line with it, and is slow.

It reads the file's own dicts. Backward it finds what lived at the start; forward it cuts each block by the rules of
PyTorch's allocator without special settings.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MIB = 1 << 20
STEP_BYTES = 512


class SimplePeak(NamedTuple):
    bytes: int
    requested: int
    """Of the same blocks, as the program asked."""


class _Block(NamedTuple):
    size: int
    requested: int


def simple_peak(snapshot: Mapping[str, Any], device: int) -> SimplePeak:
    """The highest sum of what the program held on a GPU, for the first time, its start counted."""
    trace: Sequence[Mapping[str, Any]] = snapshot["device_traces"][device]
    segments = {one["address"]: one for one in snapshot["segments"] if one["device"] == device}
    live, waiting = _at_the_end(segments.values())
    starts = {address: one["total_size"] for address, one in segments.items() if not one.get("is_expandable")}
    begun, starts = _backward(trace, dict(live) | waiting, set(waiting), starts)
    return _forward(trace, begun, live, starts)


def _at_the_end(segments: Any) -> tuple[dict[int, _Block], dict[int, _Block]]:
    """Blocks by address: those that the program holds, and those that wait to be freed."""
    held: dict[int, _Block] = {}
    waiting: dict[int, _Block] = {}
    for segment in segments:
        address = segment["address"]
        for block in segment["blocks"]:
            if block["state"] != "inactive":
                into = held if block["state"] == "active_allocated" else waiting
                into[address] = _Block(block["size"], block.get("requested_size", block["size"]))
            address += block["size"]
    return held, waiting


def _backward(
    trace: Sequence[Mapping[str, Any]], there: dict[int, _Block], waiting: set[int], starts: dict[int, int]
) -> tuple[dict[int, _Block], dict[int, int]]:
    """What the program held before the first entry, and the segments then."""
    for entry in reversed(trace):
        address, size = entry.get("addr", 0), entry["size"]
        match entry["action"]:
            case "alloc":
                del there[address]
            case "free_completed":
                there[address] = _Block(_rounded(size), size)
                waiting.add(address)
            case "free_requested":
                waiting.remove(address)
            case "segment_alloc":
                del starts[address]
            case "segment_free":
                starts[address] = size
            case _:
                pass
    return {address: block for address, block in there.items() if address not in waiting}, starts


def _forward(
    trace: Sequence[Mapping[str, Any]], live: dict[int, _Block], last: Mapping[int, _Block], starts: dict[int, int]
) -> SimplePeak:
    taken = sorted(live)
    level, requested = sum(block.size for block in live.values()), sum(block.requested for block in live.values())
    peak = SimplePeak(level, requested)
    for entry in trace:
        address, size = entry.get("addr", 0), entry["size"]
        match entry["action"]:
            case "alloc":
                block = live[address] = _Block(_cut(address, size, taken, starts), size)
                insort(taken, address)
                level, requested = level + block.size, requested + size
                if level > peak.bytes:
                    peak = SimplePeak(level, requested)
            case "free_requested":
                block = live.pop(address)
                level, requested = level - block.size, requested - block.requested
            case "free_completed":
                taken.remove(address)
            case "segment_alloc":
                starts[address] = size
            case "segment_free":
                del starts[address]
            case _:
                pass
    assert {address: block.size for address, block in live.items()} == {
        address: block.size for address, block in last.items()
    }, "it ends where the file does"
    return peak


def _cut(address: int, asked: int, taken: Sequence[int], starts: Mapping[int, int]) -> int:
    """A large block keeps a rest of at most 1 MiB; in an expandable segment, or of a small one, every rest is free."""
    size = _rounded(asked)
    owner = max((start for start in starts if start <= address), default=None)
    if size <= MIB or owner is None or address >= owner + starts[owner]:
        return size
    place = bisect_right(taken, address)
    end = min(owner + starts[owner], taken[place] if place < len(taken) else 1 << 63)
    rest = end - address - size
    return size + rest if rest <= MIB else size


def _rounded(asked: int) -> int:
    return max(STEP_BYTES, -(-asked // STEP_BYTES) * STEP_BYTES)
